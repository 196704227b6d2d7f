"""Each request to Azure is counted by the real SDK's own pipelines: what fails is not asked over and over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import NoReturn

import pytest
from azure.core.credentials import AccessToken
from azure.identity import CredentialUnavailableError

from slurm_amlfs.adapters.arm import ArmFileSystem, _say_unknown
from slurm_amlfs.adapters.azure_transport import CountedCredential
from slurm_amlfs.adapters.blob import BlobContainer
from slurm_amlfs.adapters.repeats import Repeats
from slurm_amlfs.adapters.retry import Retry, RetryingArm
from slurm_amlfs.application.ports import Arm
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.view import ImportState
from slurm_amlfs.errors import AmlfsError, TemporaryError, ThrottledError
from tests.fakes.counting import Time, counted
from tests.fakes.http_server import Answer, ScriptedServer, serving
from tests.unit.test_arm import FILE_SYSTEM, SUBSCRIPTION
from tests.unit.test_blob import page

BUDGET = 5
BAD = {
    "503": Answer(503),
    "500": Answer(500),
    "429": Answer(429, "", {"Retry-After": "1"}),
    "429 without a word": Answer(429),
    "401": Answer(401),
    "cut off": Answer(0),
    "no JSON": Answer(200, "<html>well?</html>", {"Content-Type": "application/json"}),
    "another shape": Answer(200, [1, 2]),
}


def no_credential() -> NoReturn:
    """Fail: http on loopback needs none."""
    raise AssertionError


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as server:
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def repeats(time: Time) -> Repeats:
    return counted(BUDGET, time=time)


@pytest.fixture
def arm(server: ScriptedServer, repeats: Repeats, time: Time) -> Arm:
    known = ArmFileSystem(server.url, SUBSCRIPTION, "hpc", "amlfs1", no_credential, repeats=repeats)
    return RetryingArm(known, Retry(repeats.is_ample, time.sleep))


@pytest.fixture
def blobs(server: ScriptedServer, repeats: Repeats, time: Time) -> BlobContainer:
    url = f"{server.url}/devstoreaccount1/data"
    return BlobContainer(url, no_credential, repeats, Retry(repeats.is_ample, time.sleep))


def over_and_over(call: Callable[[], object], times: int = 30) -> None:
    """Call as a loop would that knows no better."""
    for _ in range(times):
        with pytest.raises(TemporaryError):
            call()


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_arm_is_asked_no_oftener_than_the_budget_lets(server: ScriptedServer, arm: Arm, answer: Answer) -> None:
    """Whatever goes wrong, and however often the loop comes: one first call of each kind, and the budget for all."""
    server.answers = [answer] * 200
    over_and_over(arm.imports)
    over_and_over(arm.file_system)
    if answer.status != 200:
        # A cancel that was taken needs no answer that can be read.
        over_and_over(lambda: arm.cancel_import("amlfs-7-x"))
    assert len(server.asked) <= 3 + BUDGET
    with pytest.raises(ThrottledError, match="are used up; it goes on by itself at about 13:0"):
        arm.imports()


@pytest.mark.parametrize("answer", [BAD["503"], BAD["cut off"], BAD["another shape"]])
def test_blob_is_asked_no_oftener_than_the_budget_lets(
    server: ScriptedServer, blobs: BlobContainer, answer: Answer
) -> None:
    """Listings and single blobs."""
    server.answers = [answer] * 200
    over_and_over(lambda: list(blobs.walk("/a/")))
    over_and_over(lambda: list(blobs.children("/a/")))
    over_and_over(lambda: blobs.find("a/x"))
    assert len(server.asked) <= 3 + BUDGET


def test_what_starts_something_counts_too(server: ScriptedServer, arm: Arm) -> None:
    """A create that is refused because somebody holds the slot, asked for again and again."""
    server.answers = [Answer(200, FILE_SYSTEM), *[Answer(409, {"error": {"code": "Conflict"}})] * 50]
    over_and_over(lambda: arm.create_import("amlfs-7-x", ["/a/"], Conflict.SKIP, 0))
    assert len(server.asked) <= 2 + BUDGET


def test_a_page_that_fails_is_asked_for_again_and_the_listing_goes_on(
    server: ScriptedServer, blobs: BlobContainer, time: Time
) -> None:
    """Nothing is listed twice, nothing is left out, and the wait that Azure asks for is kept."""
    busy = Answer(503, "", {"Retry-After": "7", "x-ms-error-code": "ServerBusy"})
    server.answers = [busy, page("<Name>a</Name>", "2"), Answer(0), page("<Name>b</Name>")]
    before = time.now
    assert [blob.name for blob in blobs.walk("/")] == ["a", "b"]
    assert [("marker=2" in asked.line) for asked in server.asked] == [False, False, True, True]
    assert (time.now - before).total_seconds() >= 7


def test_a_listing_never_ends_early_after_a_failure(server: ScriptedServer, blobs: BlobContainer) -> None:
    """What the SDK cannot read is no end of the listing: half of it would be taken for all."""
    server.answers = [Answer(200, "<no xml")] * 9
    with pytest.raises(TemporaryError):
        list(blobs.walk("/"))
    server.answers = [page("<Name>a</Name>", "2"), *[Answer(200, "<no xml")] * 9]
    walk = blobs.walk("/")
    next(walk)
    with pytest.raises(TemporaryError):
        next(walk)


def test_pages_of_a_listing_that_begins_again_are_counted(server: ScriptedServer) -> None:
    """Two pages were there when it failed; so each further run costs three, and there are not enough for a third."""
    blobs = BlobContainer(f"{server.url}/devstoreaccount1/data", no_credential, counted(8))
    pages = [page("<Name>a</Name>", "2"), page("<Name>b</Name>", "3")]
    refused = Answer(403, "", {"x-ms-error-code": "AuthorizationFailure"})
    server.answers = [*pages, refused] * 4
    for _ in range(3):
        with pytest.raises(TemporaryError):
            list(blobs.walk("/"))
    with pytest.raises(ThrottledError):
        list(blobs.walk("/"))
    assert len(server.asked) == 9


def test_the_sdk_registers_no_provider(server: ScriptedServer, arm: Arm) -> None:
    """By its own it would, and then ask every ten seconds without end whether that was done."""
    server.answers = [Answer(409, {"error": {"code": "MissingSubscriptionRegistration", "message": "..."}})]
    with pytest.raises(AmlfsError):
        arm.create_import("amlfs-7-x", ["/a/"], Conflict.SKIP, 0)
    assert len(server.asked) == 1


def test_a_redirect_is_not_followed(server: ScriptedServer, arm: Arm) -> None:
    """ARM answers where it is asked; thirty redirects would be thirty calls."""
    server.answers = [Answer(307, "", {"Location": f"{server.url}/elsewhere"})]
    with pytest.raises(TemporaryError):
        arm.cancel_archive()
    assert len(server.asked) == 1


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_clock_that_is_off_is_said_once(
    server: ScriptedServer, arm: Arm, caplog: pytest.LogCaptureFixture, minutes: int
) -> None:
    """Whichever way; and once that it is right again. An answer without a usable Date says nothing."""
    caplog.set_level(logging.INFO)
    off = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    right = format_datetime(datetime.now(UTC), usegmt=True)
    server.answers = [Answer(200, FILE_SYSTEM, {"Date": date}) for date in (off, off, "yesterday", right, right)]
    for _ in range(5):
        arm.file_system()
    assert [it.message for it in caplog.records] == ["clock-off", "clock-agrees-again"]


def test_a_wait_until_a_date_is_reckoned_by_azures_own_clock(server: ScriptedServer, arm: Arm) -> None:
    """Ten minutes off, and it still waits the minute that Azure asks for."""
    now = datetime.now(UTC) + timedelta(minutes=10)
    until = format_datetime(now + timedelta(seconds=60), usegmt=True)
    server.answers = [Answer(429, "", {"Date": format_datetime(now, usegmt=True), "Retry-After": until})]
    with pytest.raises(ThrottledError) as caught:
        arm.imports()
    assert caught.value.retry_after == timedelta(seconds=60)


def test_a_word_that_nobody_knows_is_said_once(
    server: ScriptedServer, arm: Arm, caplog: pytest.LogCaptureFixture
) -> None:
    """Which axis, and the word, cut to what a line bears."""
    _say_unknown.cache_clear()
    words = ["Pondering" + "x" * 500, "Pondering" + "x" * 500, None]
    bodies = [{"value": [{"name": "a", "properties": {"status": {"state": word}}}]} for word in words]
    server.answers = [Answer(200, body) for body in bodies]
    assert [arm.imports()[0].import_state for _ in words] == [ImportState.UNKNOWN] * 3
    told = [getattr(it, "amlfs_pairs") for it in caplog.records if it.message == "unknown-word"]  # noqa: B009 - it is no field of its type
    assert [(it["axis"], len(it["word"])) for it in told if it["word"] != "(none)"] == [("ImportState", 100)]


class LoggedOut:
    """A credential that has expired."""

    asked = 0

    def get_token(self, *_: str, **__: object) -> AccessToken:
        """Give none."""
        self.asked += 1
        raise CredentialUnavailableError("log in")

    get_token_info = get_token


def test_a_credential_that_gives_nothing_is_not_asked_over_and_over() -> None:
    """Each ask may be a process of `az`, or a call that Entra throttles; the error says what to mend."""
    time, inner = Time(), LoggedOut()
    repeats = counted(BUDGET, time=time)
    credential = CountedCredential(inner, repeats)  # type: ignore[arg-type] - as much of one as the SDK asks
    arm = ArmFileSystem("https://localhost:1", SUBSCRIPTION, "hpc", "amlfs1", lambda: credential, repeats=repeats)
    with pytest.raises(TemporaryError, match="no Azure credential to list import jobs; log the daemon's") as caught:
        arm.imports()
    over_and_over(arm.imports)
    assert inner.asked == 1 + BUDGET
    assert caught.value.retry_after.total_seconds() == 30
