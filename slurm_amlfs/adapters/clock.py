"""The one place that reads the time; everything else is given `now`."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """The system's clock."""

    def now(self) -> datetime:
        """Read the time, aware, in UTC."""
        return datetime.now(UTC)
