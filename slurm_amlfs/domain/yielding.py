"""What gives its bytes back when somebody's do not fit (docs/decisions/0013-room.md).

First what nobody needs, the least recently used first. Then, if it is enough for a job of the line, what is only
foreseen, or needed by a held job; then what only jobs further back in the line need. None of these was promised
anything. What a job needs that was let in, that runs, or whose outputs go out, never gives way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from slurm_amlfs.domain import freeing, keeping, riding
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.claims import Claim
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Prefixes, overlaps
from slurm_amlfs.domain.records import Stage

_SOME = 1000
"""Prefixes of those who may have to give way for which leases at rest are looked up; a later pass finds others."""


class Short(NamedTuple):
    """That the `place`-th of the line lacks room on a file system, so many bytes of it."""

    place: int
    fs: str
    short_bytes: int


class _Yields(NamedTuple):
    """A lease that may give way to whoever stands before a place in the line."""

    place: int
    held: Lease


def make_room(draft: Draft, line: Sequence[Claim], short: Sequence[Short]) -> set[int]:
    """Have bytes given back, one lease at a time on each file system; return for which places of the line."""
    made: set[int] = set()
    if draft.seen.unadopted:
        return made
    for fs in sorted({it.fs for it in short}):
        mine = [it for it in short if it.fs == fs]
        if any(key.fs == fs for key in draft.evicting):
            made.add(mine[0].place)
        elif (idle := keeping.to_evict(draft, fs)) is not None:
            draft.want(freeing.evict(draft, idle))
            made.add(mine[0].place)
        else:
            made |= _make_way(draft, fs, line, mine)
    return made


def _make_way(draft: Draft, fs: str, line: Sequence[Claim], short: Sequence[Short]) -> set[int]:
    last = _last(draft, fs)
    kept = _kept(draft, fs, line, last)
    candidates = list(_candidates(draft, fs, line, kept, last))
    for place, _, short_bytes in short:
        yields = [it for it in candidates if it.place > place]
        if yields and short_bytes <= sum(it.held.held_bytes for it in yields):
            # The last in the line first, and of its leases the one that was needed longest ago.
            victim = min(yields, key=lambda it: (-it.place, it.held.used, it.held.key)).held
            draft.want(freeing.evict(draft, victim, kept.known))
            draft.remark("gives-way", f"{fs} {victim.key.prefix}: for job {line[place].jobs[0]}")
            _unstage(draft, line[place + 1 :], victim.key)
            return {place}
    return set()


def _last(draft: Draft, fs: str) -> list[Stage]:
    """List the stages of held jobs, which are staged anew when they are released."""
    ins = [it for it in draft.stages.values() if it.fs == fs and it.key.direction is Direction.IN and not it.phase.over]
    return [it for it in ins if riding.is_held(draft, it.key.job_id)]


def _kept(draft: Draft, fs: str, line: Sequence[Claim], last: Sequence[Stage]) -> Prefixes:
    """List what living stages need that do not stand in the line or behind it."""
    waiting = {stage.key for claim in line for stage in claim.stages} | {it.key for it in last}
    living = (it for it in draft.stages.values() if it.fs == fs and not it.phase.over and it.key not in waiting)
    return Prefixes.of(draft.namespace(fs), {prefix for stage in living for prefix in stage.ask.prefixes})


def _candidates(
    draft: Draft, fs: str, line: Sequence[Claim], kept: Prefixes, last: Sequence[Stage]
) -> Iterator[_Yields]:
    """Yield the leases that hold bytes which only those need who wait in the line, or stand behind it."""
    namespace = draft.namespace(fs)
    places = {key.prefix: len(line) for key in draft.foreseen if key.fs == fs}
    places |= {prefix: len(line) for it in last for prefix in it.ask.prefixes}
    for place in reversed(range(len(line))):
        places |= {prefix: place for it in line[place].stages if it.fs == fs for prefix in it.ask.prefixes}
    wishes = Prefixes.of(namespace, places)
    found = {it.key: it for it in draft.leases.values() if it.key.fs == fs}
    for prefix in islice(sorted(places, key=lambda it: -places[it]), _SOME):
        found |= {it.key: it for it in draft.resting.overlapping(namespace, fs, prefix)}
    for held in found.values():
        if held.held_bytes and not held.pinned and draft.ready(held) and not kept.overlap(held.key.prefix):
            first = min((places[it] for it in wishes.overlapping(held.key.prefix)), default=None)
            if first is not None:
                yield _Yields(first, held)


def _unstage(draft: Draft, line: Sequence[Claim], key: LeaseKey) -> None:
    """Have stages proved again that were staged in, for jobs that wait for other lines of theirs."""
    namespace = draft.namespace(key.fs)
    for stage in (it for claim in line for it in claim.stages):
        mine = stage.fs == key.fs and any(overlaps(namespace, it, key.prefix) for it in stage.ask.prefixes)
        if mine and draft.stages[stage.key].phase is Phase.STAGED_IN:
            draft.move(draft.stages[stage.key], Phase.RESTORING)
