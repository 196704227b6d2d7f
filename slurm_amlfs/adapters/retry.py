"""Trying again, within a budget that the whole daemon shares.

An adapter call is one attempt. This wrapper adds a few quick ones for what passes by itself; anything longer is the
loop's business, which looks at the world again before it asks again. So calls that start something (create_import,
archive) are never repeated here: after a lost answer only what Azure lists tells whether they took. Nor is what names
nothing (cancel_archive): said again after a lost answer, it may end an archive that somebody else has begun since.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

import tenacity

from slurm_amlfs.application.ports import Arm
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.view import FileSystemView, ImportView
from slurm_amlfs.errors import TemporaryError, ThrottledError

P = ParamSpec("P")
R = TypeVar("R")

WINDOW = timedelta(hours=1)
ATTEMPTS = 4
LONGEST_WAIT = timedelta(seconds=20)
"""A longer Retry-After is handed to the loop, which has other things to do meanwhile."""
FIRST_WAIT = timedelta(seconds=0.5)


class RetryBudget:
    """At most `per_hour` retries in any hour, whoever asks. Safe to share between threads; the time is an argument."""

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        self._spent: deque[datetime] = deque()
        self._lock = threading.Lock()

    def spend(self, now: datetime) -> bool:
        """Take one retry, or say that none is left."""
        with self._lock:
            self._forget(now)
            if len(self._spent) >= self._per_hour:
                return False
            self._spent.append(now)
            return True

    def free_in(self, now: datetime) -> timedelta:
        """Say how long until a retry is left, zero if one is."""
        with self._lock:
            self._forget(now)
            if len(self._spent) < self._per_hour:
                return timedelta(0)
            return self._spent[0] + WINDOW - now if self._spent else WINDOW

    def _forget(self, now: datetime) -> None:
        while self._spent and self._spent[0] <= now - WINDOW:
            self._spent.popleft()


class Retry:
    """Call something again when it raises a TemporaryError, at most `attempts` times in all and within the budget.

    Args:
        budget: Shared by every Retry of the daemon.
        now: Reads the time.
        sleep: Waits that many seconds in the calling thread.
        attempts: Calls in all.
    """

    def __init__(
        self,
        budget: RetryBudget,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._budget = budget
        self._now = now
        self._sleep = sleep
        self._attempts = attempts

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function`, waiting at least what the other side asks for between two tries.

        Raises:
            ThrottledError: the budget of this hour is used up; chained to the error that wanted a retry.
            AmlfsError: whatever the last try raised.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_brief),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            before_sleep=self._charge,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(function, *args, **kwargs)

    def _charge(self, state: tenacity.RetryCallState) -> None:
        now = self._now()
        if not self._budget.spend(now):
            raise ThrottledError(
                "the retry budget of this hour is used up; the daemon goes on by itself, raise retries_per_hour only"
                " if Azure is well",
                retry_after=self._budget.free_in(now),
            ) from _error(state)


class RetryingArm:
    """An Arm whose reads, and whatever names an import, are tried again. What starts or ends an archive is not."""

    def __init__(self, arm: Arm, retry: Retry) -> None:
        self._arm = arm
        self._retry = retry

    def file_system(self) -> FileSystemView:
        """Read health, provisioning state and archive status."""
        return self._retry.call(self._arm.file_system)

    def imports(self) -> tuple[ImportView, ...]:
        """List every import job that ARM knows."""
        return self._retry.call(self._arm.imports)

    def auto_jobs(self) -> tuple[str, ...]:
        """Name the auto-import and auto-export jobs that hold the slot."""
        return self._retry.call(self._arm.auto_jobs)

    def create_import(self, name: str, prefixes: Sequence[str], conflict: Conflict, max_errors: int) -> ImportView:
        """Create an import job, one attempt."""
        return self._arm.create_import(name, prefixes, conflict, max_errors)

    def cancel_import(self, name: str) -> None:
        """Ask a running import to stop."""
        self._retry.call(self._arm.cancel_import, name)

    def delete_import(self, name: str) -> None:
        """Delete the record of a finished import."""
        self._retry.call(self._arm.delete_import, name)

    def archive(self, path: str) -> str:
        """Start an archive, one attempt."""
        return self._arm.archive(path)

    def cancel_archive(self) -> None:
        """Ask the running archive to stop, one attempt: whichever runs by then."""
        self._arm.cancel_archive()


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _is_brief(error: BaseException) -> bool:
    return isinstance(error, TemporaryError) and error.retry_after <= LONGEST_WAIT


def _wait(state: tenacity.RetryCallState) -> float:
    error = _error(state)
    asked = error.retry_after if isinstance(error, TemporaryError) else timedelta(0)
    ours: timedelta = FIRST_WAIT * 2 ** (state.attempt_number - 1)
    return max(asked, ours).total_seconds()
