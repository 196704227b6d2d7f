"""When the next pass is due: at once for what may decide something, less often for what only came forward.

Proofs, exports and evictions report every second or so, each. With a hundred of them under way a pass for every report
would take a whole core, and change nothing but figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

_REST_PER_PASS = 9
"""Passes that nothing but progress asks for take a tenth of the time at most."""

_LONGEST_REST = timedelta(seconds=0.5)
"""What goes on from slice to slice waits for the next pass so long at most: a slice takes about a second."""


class Urge:
    """Why to make a pass. `clock` counts seconds, from anywhere: passes are measured by it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Have a first pass made at once."""
        self._clock = clock
        self._at_once, self._later = True, False
        self._wake: datetime | None = None
        self._passed: datetime | None = None
        self._rest = timedelta(0)

    def decides(self) -> None:
        """Have a pass made at once."""
        self._at_once = True

    def comes_forward(self) -> None:
        """Have a pass made as soon as passes for so little have rested."""
        self._later = True

    def wake_at(self, moment: datetime) -> None:
        """Have a pass made at a moment, or as soon after it as passes have rested."""
        self._wake = moment if self._wake is None else min(self._wake, moment)

    def due(self, now: datetime) -> bool:
        """Say whether to make a pass now."""
        return self._at_once or (self._wanted(now) and self.rests(now) <= timedelta(0))

    def rests(self, now: datetime) -> timedelta:
        """Say how long passes for progress still rest. A clock that was put back must not hold them."""
        if self._passed is None or now < self._passed or not self._wanted(now):
            return timedelta(0)
        return self._passed + self._rest - now

    def _wanted(self, now: datetime) -> bool:
        return self._later or self._woken(now)

    def _woken(self, now: datetime) -> bool:
        return self._wake is not None and now >= self._wake

    @contextmanager
    def passing(self, now: datetime) -> Iterator[None]:
        """Make a pass. One that fails is made again; what asks for one meanwhile is asked for the next.

        A pass that wants another at once has the other wait as it did itself.
        """
        decisive, self._at_once, self._later, self._wake = self._at_once, False, False, None
        began = self._clock()
        try:
            yield
        except BaseException:
            self._at_once = True
            raise
        self._passed = now
        self._rest = min(timedelta(seconds=_REST_PER_PASS * (self._clock() - began)), _LONGEST_REST)
        if decisive and self._woken(now):
            self._at_once = True
