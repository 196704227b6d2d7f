"""Retries are few, for what passes by itself, and never more in an hour than the budget has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.adapters.retry import Retry, RetryingArm
from slurm_amlfs.adapters.retry_budget import WINDOW, RetryBudget
from slurm_amlfs.application.ports import Arm
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.errors import AmlfsError, FencedError, PermanentError, TemporaryError, ThrottledError
from tests.fakes.arm import FakeArm
from tests.fakes.counting import NOON, Time, counted


def failing(times: int, error: Exception) -> Callable[[], int]:
    """Make a function that fails so often and then tells how often it was called."""
    calls = 0

    def function() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise error
        return calls

    return function


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def retry(time: Time) -> Retry:
    return Retry(lambda: True, time.sleep, attempts=4)


def test_what_passes_is_tried_again(retry: Retry, time: Time) -> None:
    """Three failures are ridden out, waiting longer each time."""
    assert retry.call(failing(3, TemporaryError("x"))) == 4
    assert time.now - NOON == timedelta(seconds=0.5 + 1 + 2)


def test_the_last_error_is_the_verdict(retry: Retry) -> None:
    """After the last attempt its own error comes out."""
    error = TemporaryError("x")
    with pytest.raises(TemporaryError) as caught:
        retry.call(failing(9, error))
    assert caught.value is error


@pytest.mark.parametrize(
    "error", [PermanentError("x"), ValueError("x"), TemporaryError("x", retry_after=timedelta(60))]
)
def test_what_does_not_pass_soon_is_not_tried_again(retry: Retry, time: Time, error: Exception) -> None:
    """Permanent errors, bugs, and long waits are the loop's at once."""
    with pytest.raises(type(error)):
        retry.call(failing(1, error))
    assert time.now == NOON


def test_retry_after_is_waited(retry: Retry, time: Time) -> None:
    """What the other side asks for is the least wait."""
    retry.call(failing(1, ThrottledError("x", retry_after=timedelta(seconds=17))))
    assert time.now - NOON == timedelta(seconds=17)


def test_what_is_left_for_the_loop_is_not_used_up_at_once(time: Time) -> None:
    """Quick retries take the first half of the budget; then each error is the loop's, as it came."""
    repeats = counted(6, time=time)
    retry = Retry(repeats.is_ample, time.sleep)
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        key = repeats.begin("a")
        repeats.ended(key, well=False)
        raise TemporaryError("x")

    for _ in range(3):
        with pytest.raises(TemporaryError, match=r"^x$"):
            retry.call(call)
    assert calls == 4 + 1 + 1


@given(st.integers(0, 5), st.lists(st.integers(0, 2400), max_size=60))
def test_no_hour_has_more_than_the_budget(per_hour: int, gaps: list[int]) -> None:
    """Whenever it is asked, no window of an hour holds more retries than it may; and none is refused that fits."""
    budget, now = RetryBudget(per_hour), NOON
    granted: list[datetime] = []
    for gap in gaps:
        now += timedelta(seconds=gap)
        recent = [at for at in granted if at > now - WINDOW]
        assert (budget.free_in(now) == timedelta(0)) == (len(recent) < per_hour)
        if budget.spend(now):
            granted.append(now)
            recent.append(now)
        assert len(recent) <= per_hour
        assert len(recent) == per_hour or granted[-1] == now


def test_reads_are_tried_again(retry: Retry) -> None:
    """A listing rides out a failure."""
    arm = FakeArm()
    arm.faults = [TemporaryError("x")]
    assert RetryingArm(arm, retry).imports() == ()


@pytest.mark.parametrize(
    "start", [lambda arm: arm.create_import("amlfs-7", ["/a/"], Conflict.SKIP, 0), lambda arm: arm.archive("/a/")]
)
def test_what_starts_something_is_asked_once(retry: Retry, time: Time, start: Callable[[Arm], object]) -> None:
    """After a lost answer only what Azure lists tells whether it took, so nobody asks again in here."""
    arm = FakeArm()
    arm.lost_answers = [TemporaryError("x")]
    with pytest.raises(TemporaryError):
        start(RetryingArm(arm, retry))
    assert len(arm.jobs) + len(arm.archives) == 1
    assert time.now == NOON


def test_a_cancel_that_names_no_archive_is_said_once(retry: Retry, time: Time) -> None:
    """Its answer may be lost after it took, and the next archive is another's."""
    arm = FakeArm()
    arm.faults = [TemporaryError("x")]
    with pytest.raises(TemporaryError):
        RetryingArm(arm, retry).cancel_archive()
    assert time.now == NOON


def test_cancel_and_delete_of_imports_are_tried_again(retry: Retry) -> None:
    """What names its import may be done twice."""
    arm = FakeArm()
    wrapped = RetryingArm(arm, retry)
    wrapped.create_import("amlfs-7", ["/a/"], Conflict.SKIP, 0)
    arm.faults = [TemporaryError("x")]
    wrapped.cancel_import("amlfs-7")
    arm.finish("amlfs-7")
    arm.faults = [TemporaryError("x")]
    wrapped.delete_import("amlfs-7")
    assert (wrapped.imports(), wrapped.file_system().archives, wrapped.auto_jobs()) == ((), (), ())


@pytest.mark.parametrize("verdict", [FencedError("another has taken over"), TemporaryError("not certain now")])
@pytest.mark.parametrize(
    "call",
    [lambda arm: arm.cancel_import("amlfs-7"), lambda arm: arm.delete_import("amlfs-7"), lambda arm: arm.imports()],
)
def test_nothing_is_said_again_that_may_not_be_done_any_more(
    time: Time, call: Callable[[Arm], object], verdict: AmlfsError
) -> None:
    """Another daemon took over while this one waited: the import of that name is its own by now, and stays."""
    arm = FakeArm()
    arm.create_import("amlfs-7", ["/a/"], Conflict.SKIP, 0)
    arm.faults = [TemporaryError("x", retry_after=timedelta(seconds=15))]
    asked: list[timedelta] = []

    def check() -> None:
        asked.append(time.now - NOON)
        raise verdict

    with pytest.raises(type(verdict)) as caught:
        call(RetryingArm(arm, Retry(lambda: True, time.sleep, check=check)))
    assert caught.value is verdict
    assert asked == [timedelta(seconds=15)]
    assert not arm.jobs["amlfs-7"].import_state.over
    assert arm.faults == []


def test_what_may_still_be_done_is_seen_to_before_each_repetition(time: Time) -> None:
    """The first call is its caller's to see to."""
    asked: list[timedelta] = []
    retry = Retry(lambda: True, time.sleep, check=lambda: asked.append(time.now - NOON))
    assert retry.call(failing(2, TemporaryError("x"))) == 3
    assert asked == [timedelta(seconds=0.5), timedelta(seconds=1.5)]
