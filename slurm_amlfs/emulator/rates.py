"""How fast the emulated service works, and the clock that holds it to that.

Nothing here knows what is being counted. All times are seconds of a monotonic clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

NO_LIMIT = 0.0
"""A rate of zero means: as fast as this machine can."""

SHORTEST_SLEEP_SECONDS = 0.001
"""Less than this is not slept: a wake-up costs about as much, and the schedule is absolute, so nothing is lost."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The emulator's speeds. `*_per_second` of zero is unlimited; `*_seconds` are durations.

    Walk and import rates are those of the specification's example (importJobs_Get: 10000 and 4000 a second).
    `import_overhead_seconds` is what an import of nothing takes (5.2 s and 7.0 s in the recorded Azure PowerShell
    traffic), `operation_seconds` how long the ARM operation itself takes (3.1 s and 4.1 s there), `cancel_seconds` how
    long a job stays Cancelling (over 10 s there). The defaults are shorter, so that a demo is quick.
    Restores run at 7.5e9 bytes a second in the service (tiered-checkpoints.md).
    """

    walk_per_second: float = 10_000.0
    import_per_second: float = 4_000.0
    import_overhead_seconds: float = 1.0
    operation_seconds: float = 0.5
    cancel_seconds: float = 0.5
    archive_overhead_seconds: float = 1.0
    archive_scan_per_second: float = 10_000.0
    archive_files_per_second: float = 500.0
    archive_bytes_per_second: float = 1e9
    restore_bytes_per_second: float = 1e9
    auto_interval_seconds: float = 2.0


class Pace:
    """An absolute schedule: the n-th thing is due n/rate seconds after the start.

    Because each wait is measured from the start, late wake-ups do not add up and the rate holds at 2,000 as at
    100,000 a second. `postpone` shifts the schedule by a time in which nothing should have moved.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_each = 1.0 / per_second if per_second > 0 else 0.0
        self._clock = clock
        self._start = clock()

    def ahead_seconds(self, done: float) -> float:
        """Say how long before its due time the `done`-th thing is; zero or less when it is due."""
        if not self._seconds_each:
            return 0.0
        return self._start + done * self._seconds_each - self._clock()

    def postpone(self, seconds: float) -> None:
        """Make everything due later by `seconds`."""
        self._start += seconds

    def wait(self, done: float, stop: threading.Event) -> None:
        """Sleep until the `done`-th thing is due, or until `stop` is set."""
        ahead = self.ahead_seconds(done)
        if ahead > SHORTEST_SLEEP_SECONDS:
            stop.wait(ahead)
