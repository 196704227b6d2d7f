"""How many restores may be in flight on one file system, over all its stages, and who may ask for the next ones.

Archives of exports by HSM have a room of their own, by the same rules.

The most urgent goes first; among equals, who has the fewest in flight. Who wanted more than there was room for has what
comes free kept for it, as long as it still asks. Urgency is any number, the less the sooner. So that nobody starves
behind others who come and come, who has asked in vain for a while goes first, the longest of them before the others,
for a small part of the room.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

_WANT_SECONDS = 10.0
"""How long room is kept for a share that has not asked again: its stage may wait out an error."""

_PATIENCE_SECONDS = 30.0
"""How long a share asks in vain, with nothing of its own ending, before it goes first."""

_PATIENT_PART = 20
"""It does so for one part in so many: with the usual limit that is as much as a window begins with."""


@dataclass(slots=True)
class _Standing:
    """What a share has in flight, how much more it wanted when it last asked, and since when it has asked in vain."""

    held: int = 0
    wanted: int = 0
    asked: float = 0.0
    in_vain: float | None = None

    def waits(self, now: float) -> bool:
        """Say whether it has waited long enough to go first."""
        return self.in_vain is not None and now - self.in_vain >= _PATIENCE_SECONDS

    def ask(self, wanted: int, granted: int, now: float) -> None:
        """Take note of an ask."""
        if granted or not wanted:
            self.in_vain = None
        elif self.in_vain is None or now - self.asked >= _WANT_SECONDS:
            self.in_vain = now
        self.held += granted
        self.wanted, self.asked = wanted - granted, now


class RestoreRoom:
    """The room of one file system; safe to use from several threads."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        """Begin with `limit` free. `clock` counts seconds, from anywhere."""
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._standings: dict[RestoreShare, _Standing] = {}

    def take(self, share: RestoreShare, wanted: int) -> int:
        """Give a share as much of what it wants as is free and not kept for others before it."""
        now = self._clock()
        with self._lock:
            mine = self._standings.setdefault(share, _Standing())
            free = self._limit - sum(it.held for it in self._standings.values())
            rank = self._rank(share, mine, now)
            kept = sum(
                self._capped(it, it.wanted, now)
                for other, it in self._standings.items()
                if other is not share and now - it.asked < _WANT_SECONDS and self._rank(other, it, now) < rank
            )
            granted = max(0, min(self._capped(mine, wanted, now), free - kept))
            mine.ask(wanted, granted, now)
            return granted

    @staticmethod
    def _rank(share: RestoreShare, standing: _Standing, now: float) -> tuple[bool, float, int]:
        if standing.in_vain is not None and standing.waits(now):
            return False, standing.in_vain, 0
        return True, share.urgency, standing.held

    def _capped(self, standing: _Standing, wanted: int, now: float) -> int:
        return min(wanted, max(1, self._limit // _PATIENT_PART)) if standing.waits(now) else wanted

    def give(self, share: RestoreShare, number: int) -> None:
        """Take back what has ended."""
        with self._lock:
            standing = self._standings[share]
            standing.held -= number
            if number:
                standing.in_vain = None

    def leave(self, share: RestoreShare) -> None:
        """Forget a share. What it has in flight goes on, uncounted: Lustre takes no restore back. Twice is success."""
        with self._lock:
            self._standings.pop(share, None)


class RestoreShare:
    """One proof's part of a room. `urgency` may change at any time."""

    def __init__(self, room: RestoreRoom, urgency: float) -> None:
        self._room = room
        self.urgency = urgency

    def take(self, wanted: int) -> int:
        """Ask for room for so many restores, none of which takes back what was wanted before; return how many fit."""
        return self._room.take(self, wanted)

    def give(self, number: int) -> None:
        """Give back the room of restores that ended."""
        self._room.give(self, number)

    def leave(self) -> None:
        """Give everything back."""
        self._room.leave(self)
