"""Trying again at once, as long as much is left of the budget that the whole daemon shares (repeats.py).

An adapter call is one attempt. This wrapper adds a few quick ones for what passes by itself; anything longer is the
loop's business, which looks at the world again before it asks again. So calls that start something (create_import,
archive) are never repeated here: after a lost answer only what Azure lists tells whether they took. Nor is what names
nothing (cancel_archive): said again after a lost answer, it may end an archive that somebody else has begun since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import ParamSpec, TypeVar

import tenacity

from slurm_amlfs.application.ports import Arm
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.view import FileSystemView, ImportView
from slurm_amlfs.errors import TemporaryError

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 4
LONGEST_WAIT = timedelta(seconds=20)
"""A longer Retry-After is handed to the loop, which has other things to do meanwhile."""
FIRST_WAIT = timedelta(seconds=0.5)


class Retry:
    """Call something again when it raises a TemporaryError, at most `attempts` times in all.

    Args:
        is_ample: Says whether calls may be repeated at once; else what failed is the loop's, which waits longer.
        sleep: Waits that many seconds in the calling thread.
        attempts: Calls in all.
        check: Raises if nothing may be done any more. Asked right before each repetition: another daemon may have taken
            over during the wait, and the same name may be an import of its own by now.
    """

    def __init__(
        self,
        is_ample: Callable[[], bool],
        sleep: Callable[[float], None] = time.sleep,
        attempts: int = ATTEMPTS,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._is_ample = is_ample
        self._sleep = sleep
        self._attempts = attempts
        self._check = check

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function`, waiting at least what the other side asks for between two tries.

        Raises:
            AmlfsError: whatever the last try raised, or `check` did.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._goes_again),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            sleep=self._sleep,
            before=self._see_that_it_may,
            reraise=True,
        )
        return retrying(function, *args, **kwargs)

    def _see_that_it_may(self, state: tenacity.RetryCallState) -> None:
        if state.attempt_number > 1:
            self._check()

    def _goes_again(self, error: BaseException) -> bool:
        return isinstance(error, TemporaryError) and error.retry_after <= LONGEST_WAIT and self._is_ample()


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


def _wait(state: tenacity.RetryCallState) -> float:
    error = _error(state)
    asked = error.retry_after if isinstance(error, TemporaryError) else timedelta(0)
    ours: timedelta = FIRST_WAIT * 2 ** (state.attempt_number - 1)
    return max(asked, ours).total_seconds()
