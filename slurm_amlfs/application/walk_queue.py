"""Which of many walks through trees goes on next. Pure; the threads are in `walk_pool`.

Most urgent first; among equals, who came first. A walk goes by slices, and comes anew for each: so equals take turns.
What is only foreseen takes three quarters of the threads at most, and goes when nothing that a job waits for does. So
that a long line holds nobody up for ever, every eighth turn is that of whoever has waited longest, and every sixteenth
that of something foreseen.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from slurm_amlfs.domain.urgency import Rank

_OLDEST_EVERY = 8
_FORESEEN_EVERY = 16

_MOST_STALE = 4
"""So many times as many as wait may be in the heap."""

ItemT = TypeVar("ItemT")


@dataclass(slots=True)
class _Place(Generic[ItemT]):
    came: int
    priority: int
    item: ItemT


@dataclass(slots=True)
class _Line(Generic[ItemT]):
    """Those of one kind that wait: `places` in the order in which they came, `heap` by their urgency.

    What is in the heap and not at its place any more has been taken or has changed, and is passed over. Priorities grow
    while jobs wait, so now and then the heap is made anew.
    """

    places: dict[str, _Place[ItemT]] = field(default_factory=dict)
    heap: list[tuple[int, int, str]] = field(default_factory=list)

    def put(self, key: str, place: _Place[ItemT]) -> None:
        known = self.places.get(key)
        if known is not None:
            place.came = known.came
        if known is None or known.priority != place.priority:
            heapq.heappush(self.heap, (-place.priority, place.came, key))
        self.places[key] = place
        if len(self.heap) > _MOST_STALE * len(self.places):
            self.heap = [(-it.priority, it.came, its) for its, it in self.places.items()]
            heapq.heapify(self.heap)

    def take(self, *, oldest: bool) -> tuple[str, ItemT]:
        key = next(iter(self.places)) if oldest else self._most_urgent()
        return key, self.places.pop(key).item

    def _most_urgent(self) -> str:
        while True:
            priority, came, key = heapq.heappop(self.heap)
            place = self.places.get(key)
            if place is not None and (-place.priority, place.came) == (priority, came):
                return key


class WalkQueue(Generic[ItemT]):
    """What waits for a thread, each under a key of its own, and how much of what is only foreseen has one."""

    def __init__(self, threads: int) -> None:
        """Begin empty. A quarter of the threads are not for what is only foreseen, and at least one of several."""
        self._most_foreseen = max(threads - max(threads // 4, 1), 1)
        self._foreseen = 0
        self._staged: _Line[ItemT] = _Line()
        self._ahead: _Line[ItemT] = _Line()
        self._came = 0
        self._turns = 0

    def __len__(self) -> int:
        return len(self._staged.places) + len(self._ahead.places)

    def __contains__(self, key: str) -> bool:
        return key in self._staged.places or key in self._ahead.places

    def put(self, key: str, rank: Rank, item: ItemT) -> None:
        """Let something wait. What waits under the key already is replaced, and keeps its place among its kind."""
        self._came += 1
        line, other = (self._ahead, self._staged) if rank.foreseen else (self._staged, self._ahead)
        other.places.pop(key, None)
        line.put(key, _Place(self._came, rank.priority, item))

    def drop(self, keys: Collection[str]) -> list[ItemT]:
        """Let these wait no longer; return those that did."""
        lines = (self._staged.places, self._ahead.places)
        return [places.pop(key).item for places in lines for key in keys if key in places]

    def take(self) -> tuple[str, bool, ItemT] | None:
        """Give what goes next, with its key and whether it is only foreseen; None if nothing may.

        It has a thread from now on. One that was only foreseen gives it back by `end`.
        """
        staged = bool(self._staged.places)
        ahead = bool(self._ahead.places) and self._foreseen < self._most_foreseen
        if not staged and not ahead:
            return None
        self._turns += 1
        foreseen = ahead and (not staged or self._turns % _FORESEEN_EVERY == 0)
        self._foreseen += foreseen
        # Not in the turns of what is foreseen, or half of those that are the oldest's would be lost.
        oldest = (foreseen and staged) or self._turns % _OLDEST_EVERY == _OLDEST_EVERY - 1
        key, item = (self._ahead if foreseen else self._staged).take(oldest=oldest)
        return key, foreseen, item

    def end(self) -> None:
        """Take a thread back that something only foreseen had."""
        self._foreseen -= 1
