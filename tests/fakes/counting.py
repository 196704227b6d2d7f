"""A count of repeated calls for what makes some, on a clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from slurm_amlfs.adapters.repeats import Repeats
from slurm_amlfs.adapters.retry_ledger import FILE_NAME, RetryLedger

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = NOON

    def read(self) -> datetime:
        """Read it."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move it."""
        self.now += timedelta(seconds=seconds)


def counted(per_hour: int = 1000, folder: Path | None = None, time: Time | None = None) -> Repeats:
    """Make a count; in a folder, it goes on where the last one there ended."""
    time = time or Time()
    ledger = None if folder is None else RetryLedger(folder / FILE_NAME, time.read())
    return Repeats(per_hour, ledger, time.read, time.read)
