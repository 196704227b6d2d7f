"""Leases at rest: all on Lustre, needed by nobody. There may be a million of them, so no pass goes through all.

They lie in blocks, by file system and prefix. Nothing is changed in place: a change makes the few blocks anew that it
touches, and two versions are set beside each other by the blocks that they do not share. Each block knows when its
leases were used, so that those used longest ago are found without a look at the others.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.prefix import Namespace, covers

_FULL = 1024
"""Leases that a block holds at most; a million are then some two thousand blocks of as many."""


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Neighbours in the order of their keys.

    By file system, `holding` is the oldest use of one that holds bytes, `held_bytes` how much all of them hold.
    """

    keys: tuple[LeaseKey, ...]
    leases: dict[LeaseKey, Lease]
    oldest: datetime
    newest: datetime
    holding: dict[str, datetime]
    held_bytes: Counter[str]


def _block(leases: Iterable[Lease]) -> _Block:
    held = {it.key: it for it in leases}
    uses = [it.used for it in held.values()]
    holding: dict[str, datetime] = {}
    held_bytes: Counter[str] = Counter()
    for it in held.values():
        if it.held_bytes:
            held_bytes[it.key.fs] += it.held_bytes
            holding[it.key.fs] = min(it.used, holding.get(it.key.fs, it.used))
    return _Block(tuple(held), held, min(uses), max(uses), holding, held_bytes)


def _blocks(leases: dict[LeaseKey, Lease]) -> list[_Block]:
    keys = sorted(leases)
    size = len(keys) if len(keys) <= _FULL else _FULL // 2
    return [_block(leases[key] for key in keys[at : at + size]) for at in range(0, len(keys), size or 1)]


@dataclass(frozen=True, slots=True)
class Resting:
    """All leases at rest."""

    blocks: tuple[_Block, ...] = ()
    firsts: tuple[LeaseKey, ...] = ()
    count: int = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Lease]:
        for block in self.blocks:
            yield from block.leases.values()

    def get(self, key: LeaseKey) -> Lease | None:
        """Find a lease. Costs the same for few and for many."""
        return self.blocks[self._place(key)].leases.get(key) if self.blocks else None

    def changed(self, puts: Iterable[Lease] = (), drops: Iterable[LeaseKey] = ()) -> Resting:
        """Give these with some leases put in, or in the place of what they were, and others taken out."""
        edits: dict[int, dict[LeaseKey, Lease | None]] = {}
        for it in puts:
            edits.setdefault(self._place(it.key), {})[it.key] = it
        for key in drops:
            edits.setdefault(self._place(key), {})[key] = None
        if not edits:
            return self
        blocks = list(self.blocks)
        count = self.count
        for place in sorted(edits, reverse=True):
            before = blocks[place].leases if blocks else {}
            after = {key: it for key, it in {**before, **edits[place]}.items() if it is not None}
            blocks[place : place + 1] = _blocks(after)
            count += len(after) - len(before)
        return Resting(tuple(blocks), tuple(block.keys[0] for block in blocks), count)

    def apart(self, other: Resting) -> tuple[dict[LeaseKey, Lease], dict[LeaseKey, Lease]]:
        """Give what may be only in these or only in others; what they share for certain is left out of both."""
        mine, theirs = ({id(it): it for it in some.blocks} for some in (self, other))
        first: dict[LeaseKey, Lease] = {}
        second: dict[LeaseKey, Lease] = {}
        for some, others, found in ((mine, theirs, first), (theirs, mine, second)):
            for ident in some.keys() - others.keys():
                found.update(some[ident].leases)
        return first, second

    def of_prefix(self, fs: str, prefix: str) -> list[Lease]:
        """List those of exactly a prefix."""
        return list(self._beginning(fs, prefix, whole=True))

    def around(self, namespace: Namespace, fs: str, prefix: str) -> list[Lease]:
        """List those that take in a prefix, and more."""
        if not self.blocks:
            return []
        outer = (prefix[:end] for end in range(1, len(prefix)) if covers(namespace, prefix[:end], prefix))
        return [it for its in outer for it in self._beginning(fs, its, whole=True)]

    def overlapping(self, namespace: Namespace, fs: str, prefix: str) -> list[Lease]:
        """List those that have paths in common with a prefix: what it takes in, and what takes it in."""
        found = self.around(namespace, fs, prefix)
        found += [it for it in self._beginning(fs, prefix) if covers(namespace, prefix, it.key.prefix)]
        return found

    def unused(self, now: datetime, keep: timedelta) -> Iterator[Lease]:
        """Yield those that were last used longer ago than that; or so far ahead, by a clock that was put back."""
        for block in self.blocks:
            if max(abs(now - block.oldest), abs(now - block.newest)) > keep:
                yield from (it for it in block.leases.values() if abs(now - it.used) > keep)

    def oldest(self) -> datetime | None:
        """Say when the one was used that was used longest ago."""
        return min((block.oldest for block in self.blocks), default=None)

    def by_age(self) -> Iterator[Lease]:
        """Yield them in the order of their use, the longest ago first. The first costs a look at each block."""
        return _in_order([(block.oldest, block) for block in self.blocks], lambda _: True)

    def holding(self, fs: str) -> Iterator[Lease]:
        """Yield those that hold bytes on a file system in the order of their use, the longest ago first."""
        first = [(block.holding[fs], block) for block in self.blocks if fs in block.holding]
        return _in_order(first, lambda it: it.key.fs == fs and it.held_bytes > 0)

    def held_bytes(self, fs: str) -> int:
        """Sum what they hold on a file system; what overlaps counts more than once. Costs a look at each block."""
        return sum(block.held_bytes[fs] for block in self.blocks)

    def _place(self, key: LeaseKey | tuple[str, str]) -> int:
        return max(bisect_right(self.firsts, key) - 1, 0)

    def _beginning(self, fs: str, prefix: str, *, whole: bool = False) -> Iterator[Lease]:
        """Yield those whose prefix begins like this, or is just this."""
        low = (fs, prefix)
        for block in self.blocks[self._place(low) :]:
            for key in block.keys[bisect_left(block.keys, low) :]:
                if key.fs != fs or not (key.prefix == prefix if whole else key.prefix.startswith(prefix)):
                    return
                yield block.leases[key]


def _in_order(blocks: list[tuple[datetime, _Block]], wanted: Callable[[Lease], bool]) -> Iterator[Lease]:
    """Merge blocks by the use of their leases; a block is opened when its turn has come."""
    heap: list[tuple[datetime, int, LeaseKey | None]] = [(used, at, None) for at, (used, _) in enumerate(blocks)]
    heapq.heapify(heap)
    while heap:
        _, at, key = heapq.heappop(heap)
        leases = blocks[at][1].leases
        if key is not None:
            yield leases[key]
            continue
        for it in filter(wanted, leases.values()):
            heapq.heappush(heap, (it.used, at, it.key))
