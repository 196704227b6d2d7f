"""What the next turn of a slot carries: the choice that every wait depends on. Pure, and the same for the simulation.

Three ideas. Weighted shortest remaining work first: a load goes before another when it serves more weight for each
second that it still needs (Smith 1956). Turns as long as pays: ending a turn costs its overhead once more to all who
still wait, and going on delays who comes meanwhile, so the best length is that of the economic order quantity, which
grows with the root of overhead * weight that still waits / weight that comes a second. And nobody starves: a load that
would wait some multiple of what it takes by itself goes first, with at most a part of the turn, until it is through.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Piece:
    """A prefix that one turn can carry whole, and how many seconds of the slot it needs by the measured rates."""

    prefix: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """What somebody still needs of the slot.

    `kind` is what can share a turn: loads of different kinds never do. `weight` is how much its end is worth (more than
    zero), `since` when it began to wait, in seconds of any clock, `alone_seconds` what all of it takes, with what is
    done already. `left_seconds` may give the sum of its pieces, where the caller keeps it; `single` says that a turn
    takes one piece only, as an archive does. `backlog_seconds` is what its owner had waiting when it came, alone: who
    asks for much at once waits for his own, and is not late by that.
    """

    key: Hashable
    kind: Hashable
    weight: float
    since: float
    alone_seconds: float
    pieces: tuple[Piece, ...]
    left_seconds: float = -1.0
    single: bool = False
    backlog_seconds: float = 0.0

    @property
    def needs_seconds(self) -> float:
        """Give the seconds of the slot that its pieces need."""
        return self.left_seconds if self.left_seconds >= 0 else sum(piece.seconds for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Pace:
    """What a turn costs beside its pieces, and how much weight comes a second; both measured, never zero."""

    overhead_seconds: float
    weight_per_second: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """The longest turn, and the most prefixes in one."""

    turn_seconds: float = 60.0
    prefixes: int = 100


@dataclass(frozen=True, slots=True)
class Turn:
    """What to carry, in this order: what comes first is there first. `loads` are for whom, wholly or in part."""

    kind: Hashable
    pieces: tuple[Piece, ...]
    loads: tuple[Hashable, ...]


_STRETCH = math.sqrt(2.0)
"""Turns are this much longer than the balance of the two costs: many who come meanwhile would have had to wait anyway.

Found by simulation (bench/simulate.py, seeds 100 to 119): from 1.2 to 1.6 the mean wait is the same within a hundredth.
"""

_PATIENCE = 8.0
"""A load is overdue when its end is in sight only after this many times its own import and as many turns.

Nobody is to wait more than ten of them; what is between leaves room for those who are overdue at the same time.
"""

_HOPELESS = 2 * _PATIENCE
"""Overdue loads this late go by age alone, so that none can be passed over for ever."""

_OVERDUE_SHARE = 0.5
"""The part of a turn that an overdue load may take while others wait."""


def choose(loads: Iterable[Load], pace: Pace, bounds: Bounds, now: float) -> Turn | None:
    """Choose the next turn; None if nothing waits. Costs a sort of the loads."""
    waiting = sorted((it for it in loads if it.pieces), key=_order)
    if not waiting:
        return None
    late = {it.key: _lateness(it, bounds, now) for it in waiting}
    latest = max(waiting, key=lambda it: (min(late[it.key], _HOPELESS), -it.since, str(it.key)))
    if late[latest.key] > _PATIENCE:
        same = [it for it in waiting if it.kind == latest.kind and it is not latest]
        return _fill([latest, *same], pace, bounds, _OVERDUE_SHARE).turn
    kinds: dict[Hashable, list[Load]] = {}
    for load in waiting:
        kinds.setdefault(load.kind, []).append(load)
    return max((_fill(some, pace, bounds) for some in kinds.values()), key=lambda it: it.worth).turn


def _order(load: Load) -> tuple[float, float, str]:
    return load.needs_seconds / load.weight, load.since, str(load.key)


def _lateness(load: Load, bounds: Bounds, now: float) -> float:
    """Say how many times its fair wait a load waits if it goes first from now on."""
    end = now + load.needs_seconds / _OVERDUE_SHARE
    return (end - load.since) / (load.alone_seconds + load.backlog_seconds + bounds.turn_seconds)


def _length(behind: float, pace: Pace, bounds: Bounds) -> float:
    """Say how much work a turn should have, beside its overhead, when this much weight would still wait after it.

    Never less than the overhead, else more than half of the slot is wasted.
    """
    best = _STRETCH * math.sqrt(2 * pace.overhead_seconds * max(behind, 0.0) / pace.weight_per_second)
    return min(max(best, pace.overhead_seconds), _longest(pace, bounds))


def _longest(pace: Pace, bounds: Bounds) -> float:
    return max(bounds.turn_seconds - pace.overhead_seconds, pace.overhead_seconds)


@dataclass(frozen=True, slots=True)
class _Filled:
    """A turn that could be, and the weight that it brings nearer to its end for each second that it takes."""

    turn: Turn
    worth: float


def _fill(waiting: Sequence[Load], pace: Pace, bounds: Bounds, first_share: float = 1.0) -> _Filled:
    """Take pieces in the given order, the first load's within its share, until the turn is as long as it should."""
    first = waiting[0]
    filling = _Filling(1 if first.single else bounds.prefixes, _longest(pace, bounds))
    behind = sum(it.weight for it in waiting)
    served: list[Hashable] = []
    carried = 0.0
    for load in waiting:
        share = first_share if load is first else 1.0
        part = filling.take(load, share * _length(behind, pace, bounds))
        carried += load.weight * part
        if part > 0:
            served.append(load.key)
        if part >= 1:
            behind -= load.weight
        elif share >= 1:
            break
    turn = Turn(first.kind, tuple(filling.pieces.values()), tuple(served))
    return _Filled(turn, carried / (pace.overhead_seconds + filling.used))


@dataclass(slots=True)
class _Filling:
    """The pieces that a turn has so far, by prefix, how many it may have, and its work in seconds."""

    most: int
    longest: float
    pieces: dict[str, Piece] = field(default_factory=dict)
    used: float = 0.0

    def take(self, load: Load, room: float) -> float:
        """Take a load's pieces while they fit, and say which part of them goes along, from 0 to 1."""
        for number, piece in enumerate(load.pieces):
            if piece.prefix in self.pieces:
                continue
            # Half over is as good as half short. The first piece always goes: nothing can be cut smaller.
            fits = self.used + piece.seconds / 2 <= room and self.used + piece.seconds <= self.longest
            if self.pieces and (len(self.pieces) >= self.most or not fits):
                return number / len(load.pieces)
            self.pieces[piece.prefix] = piece
            self.used += piece.seconds
        return 1.0
