"""The Blob adapter against answers as the service gives them; names and prefixes on a real Azurite: integration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import NoReturn

import pytest

from slurm_amlfs.adapters.blob import BlobContainer
from slurm_amlfs.domain.view import BlobView
from slurm_amlfs.errors import PermanentError, TemporaryError, ThrottledError
from tests.fakes.counting import counted
from tests.fakes.http_server import Answer, ScriptedServer, serving


def no_credential() -> NoReturn:
    """Fail: Azurite has its key."""
    raise AssertionError


def page(names: str, marker: str = "") -> Answer:
    """Write one page of List Blobs."""
    blobs = "".join(
        f"<Blob>{name}<Properties><Last-Modified>Sun, 22 Nov 2026 20:50:40 GMT</Last-Modified><Etag>0x1</Etag>"
        "<Content-Length>7</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
        for name in names.split("|")
    )
    head = '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="x" ContainerName="data">'
    return Answer(200, f"{head}<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>")


def refusal(status: int, code: str, **headers: str) -> Answer:
    """Refuse as Blob does."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, "", {"x-ms-error-code": code, "x-ms-request-id": "r-1", **named})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as server:
        yield server


@pytest.fixture
def blobs(server: ScriptedServer) -> BlobContainer:
    return BlobContainer(f"{server.url}/devstoreaccount1/data", no_credential, counted())


def test_walk_follows_the_pages(server: ScriptedServer, blobs: BlobContainer) -> None:
    """Pages come one after the other, each only when it is wanted; encoded names are decoded once."""
    server.answers = [page("<Name>a</Name>|<Name>%41</Name>", "next"), page('<Name Encoded="true">b%01%2541</Name>')]
    walk = blobs.walk("/")
    assert server.asked == []
    assert next(walk).name == "a"
    assert len(server.asked) == 1
    assert [blob.name for blob in walk] == ["%41", "b\x01%41"]
    assert "maxresults=5000" in server.asked[0].line
    assert "marker=next" in server.asked[1].line


def test_what_is_told_of_a_blob(server: ScriptedServer, blobs: BlobContainer) -> None:
    """Name, size, time and etag, as the SDK reads them."""
    server.answers = [page("<Name>a</Name>")]
    assert list(blobs.walk("/")) == [BlobView("a", 7, datetime(2026, 11, 22, 20, 50, 40, tzinfo=UTC), "0x1")]


def test_an_answer_that_is_not_understood_is_left_to_the_sdk(server: ScriptedServer, blobs: BlobContainer) -> None:
    """No blob is lost because the service says something new."""
    answer = page("<Name>a</Name>|<Name>b</Name>")
    server.answers = [replace(answer, body=answer.body.replace("<Content-Length>7</Content-Length>", "", 1))]
    assert [blob.name for blob in blobs.walk("/")] == ["a", "b"]


def test_prefix_has_no_slash_in_blob(server: ScriptedServer, blobs: BlobContainer) -> None:
    """The prefix goes without its first slash, and literally otherwise."""
    server.answers = [page("<Name>x</Name>")]
    list(blobs.walk("/a b%2F/"))
    assert "prefix=a%20b%252F%2F" in server.asked[0].line or "prefix=a+b%252F%2F" in server.asked[0].line


def test_find_takes_no_other_name(server: ScriptedServer, blobs: BlobContainer) -> None:
    """A blob whose name only begins alike is not the one."""
    server.answers = [page("<Name>a/b</Name>"), page("<Name>a/bc</Name>")]
    found = blobs.find("a/b")
    assert found is not None
    assert (found.name, found.size_bytes) == ("a/b", 7)
    assert blobs.find("a/b") is None


def test_no_container(server: ScriptedServer, blobs: BlobContainer) -> None:
    """A container that does not exist is told with its address and the mend."""
    server.answers = [refusal(404, "ContainerNotFound")] * 2
    for call in (lambda: blobs.find("a"), lambda: list(blobs.walk("/"))):
        with pytest.raises(PermanentError, match=r"no container at http.*/data; create it, or mend") as caught:
            call()
        assert (caught.value.code, caught.value.correlation_id) == ("ContainerNotFound", "r-1")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(503, "ServerBusy"), TemporaryError),
        (refusal(500, "InternalError"), TemporaryError),
        (refusal(403, "AuthorizationPermissionMismatch"), TemporaryError),
        (refusal(429, "TooManyRequests", Retry_After="3"), ThrottledError),
        (refusal(400, "OutOfRangeInput"), PermanentError),
        (Answer(0), TemporaryError),
        (Answer(200, "<no xml"), TemporaryError),
    ],
)
def test_errors(server: ScriptedServer, blobs: BlobContainer, answer: Answer, kind: type[Exception]) -> None:
    """Each failure is one of our errors, tried once, in mid-stream too."""
    server.answers = [page("<Name>a</Name>", "next"), answer]
    walk = blobs.walk("/")
    next(walk)
    with pytest.raises(kind) as caught:
        next(walk)
    assert type(caught.value) is kind
    assert len(server.asked) == 2


def test_nothing_in_the_clear() -> None:
    """Only this machine is spoken to without TLS."""
    with pytest.raises(PermanentError, match="use https"):
        BlobContainer("http://account.blob.core.windows.net/data", no_credential, counted())
