"""The one place that reads the time; everything else is given `now`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The system's clock."""

    def now(self) -> datetime:
        """Read the time, aware, in UTC."""
        return datetime.now(UTC)


class SteadyClock:
    """A clock that shows the time of its making at first, and is never set."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._count = time.monotonic()

    def now(self) -> datetime:
        """Read the time, aware, in UTC."""
        return self._began + timedelta(seconds=time.monotonic() - self._count)
