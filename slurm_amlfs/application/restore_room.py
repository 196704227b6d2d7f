"""How many restores may be in flight on one file system, over all its stages, and who may ask for the next ones.

Archives of exports by HSM have a room of their own, by the same rules.

The most urgent goes first; among equals, who has the fewest in flight. Who wanted more than there was room for has what
comes free kept for it, as long as it still asks. Urgency is a moment, in seconds from anywhere: an earlier one goes
sooner. So nobody starves: whoever comes later has a later moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

_WANT_SECONDS = 10.0
"""How long room is kept for a share that has not asked again: its stage may wait out an error."""


@dataclass(slots=True)
class _Standing:
    """What a share has in flight, and how much more it wanted when it last asked."""

    held: int = 0
    wanted: int = 0
    asked: float = 0.0


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
            rank = (share.urgency, mine.held)
            free = self._limit - sum(it.held for it in self._standings.values())
            kept = sum(
                it.wanted
                for other, it in self._standings.items()
                if other is not share and now - it.asked < _WANT_SECONDS and (other.urgency, it.held) < rank
            )
            granted = max(0, min(wanted, free - kept))
            mine.held += granted
            mine.wanted, mine.asked = wanted - granted, now
            return granted

    def give(self, share: RestoreShare, number: int) -> None:
        """Take back what has ended."""
        with self._lock:
            self._standings[share].held -= number

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
