"""What the next turn of a slot carries: the choice that every wait depends on. Pure, and the same for the simulation.

Three ideas. Weighted shortest remaining work first: a load goes before another when it serves more weight for each
second that it still needs (Smith 1956). Turns as long as pays: a turn costs its overhead, which all who wait pay, and
it delays who comes meanwhile by half its length, so the best length is that of the economic order quantity,
sqrt(2 * overhead * weight that waits / weight that comes a second). And nobody starves: a load that has waited some
multiple of what it would take by itself goes first, with at most a part of the turn, until it is through.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass


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
    takes one piece only, as an archive does. `backlog_seconds` is what else its owner has waiting: who asks for much at
    once waits for his own, and is not late by that.
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
    """What to carry, in this order: what comes first is there first. `loads` are whom it serves, wholly or in part."""

    kind: Hashable
    pieces: tuple[Piece, ...]
    loads: tuple[Hashable, ...]


_SHORTEST_IN_OVERHEADS = 1.0
"""A turn aims at no less work than its overhead: shorter ones waste more than half of the slot."""

_STRETCH = 2.0
"""A piece goes along whole if it needs at most this much of the room that is left."""

_PATIENCE = 4.0
"""A load is overdue after this many times its own import and as many turns: half of what nobody is to exceed."""

_OVERDUE_SHARE = 0.7
"""The part of a turn that overdue loads may take while others wait."""


def choose(loads: Iterable[Load], pace: Pace, bounds: Bounds, now: float) -> Turn | None:
    """Choose the next turn; None if nothing waits. Costs a sort of the loads."""
    waiting = sorted(loads, key=_order)
    if not waiting:
        return None
    overdue = [it for it in waiting if _lateness(it, bounds, now) > _PATIENCE]
    if overdue:
        first = max(overdue, key=lambda it: (_lateness(it, bounds, now), str(it.key)))
        room = _OVERDUE_SHARE * bounds.turn_seconds
        same = [it for it in waiting if it.kind == first.kind and it is not first]
        return _fill([first, *same], room, bounds.turn_seconds, bounds).turn
    length = _length(sum(it.weight for it in waiting), pace, bounds)
    kinds: dict[Hashable, list[Load]] = {}
    for load in waiting:
        kinds.setdefault(load.kind, []).append(load)
    return max((_fill(some, length, length, bounds) for some in kinds.values()), key=lambda it: it.worth(pace)).turn


def _order(load: Load) -> tuple[float, float, str]:
    return load.needs_seconds / load.weight, load.since, str(load.key)


def _lateness(load: Load, bounds: Bounds, now: float) -> float:
    return (now - load.since - load.backlog_seconds) / (load.alone_seconds + bounds.turn_seconds)


def _length(weight: float, pace: Pace, bounds: Bounds) -> float:
    """Say how many seconds of work, beside its overhead, a turn should have."""
    shortest = _SHORTEST_IN_OVERHEADS * pace.overhead_seconds
    longest = max(bounds.turn_seconds - pace.overhead_seconds, shortest)
    return min(max(math.sqrt(2 * pace.overhead_seconds * weight / pace.weight_per_second), shortest), longest)


@dataclass(frozen=True, slots=True)
class _Filled:
    """A turn that could be, the weight that it brings nearer to its end, and its work in seconds."""

    turn: Turn
    weight: float
    seconds: float

    def worth(self, pace: Pace) -> float:
        return self.weight / (pace.overhead_seconds + self.seconds)


def _fill(waiting: Sequence[Load], first_room: float, length: float, bounds: Bounds) -> _Filled:
    """Take pieces in the given order, the first load's within its own room, until the turn is as long as it should."""
    first = waiting[0]
    most = 1 if first.single else bounds.prefixes
    pieces: dict[str, Piece] = {}
    served: list[Hashable] = []
    used = weight = 0.0
    for load in waiting:
        room = first_room if load is first else length - used
        took = 0.0
        whole = True
        for piece in load.pieces:
            if piece.prefix not in pieces:
                if len(pieces) >= most or (pieces and piece.seconds > max(room, 0.0) * _STRETCH):
                    whole = False
                    break
                pieces[piece.prefix] = piece
                room -= piece.seconds
                used += piece.seconds
            took += piece.seconds
            if not served or served[-1] != load.key:
                served.append(load.key)
        weight += load.weight if whole else load.weight * took / load.needs_seconds
        if used >= length or len(pieces) >= most:
            break
    return _Filled(Turn(first.kind, tuple(pieces.values()), tuple(served)), weight, used)
