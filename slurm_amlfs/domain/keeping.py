"""Which leases are remembered, how long, and what an admin may say about that.

A lease that nobody needs is laid to rest, where it costs a pass nothing. It is forgotten when it was not needed for
long, or when more rest than the site wants to remember; first its bytes are given back, because nobody would find them
again. What a living job needs, or an admin has pinned, is never forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from slurm_amlfs.domain import freeing, riding
from slurm_amlfs.domain.ask import OVERWRITES, Ask, Conflict, Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.prefix import Prefixes
from slurm_amlfs.domain.report import Freed, Result

_SOME = 1000
"""Leases at rest that a pass looks at, to forget them or to make room; the next pass goes on with others."""

_LEAVING = 4
"""So many leases give their bytes back at a time because they are to be forgotten."""

_NEEDED_AGAIN = timedelta(minutes=1)
"""How soon it is noted again that somebody needs the files of a lease at rest."""


def wanted(draft: Draft, held: Lease) -> bool:
    """Say whether a lease is to be brought in though no job has asked for it yet: for one to come, or for an admin.

    What may overwrite waits for its job: only then is it known who uses the files.
    """
    return held.key in draft.foreseen or (held.pinned and held.key.conflict not in OVERWRITES)


def rest(draft: Draft, held: Lease) -> Lease | None:
    """Take a lease that nobody waits for; give it back if it is to be laid to rest."""
    if draft.riders.get(held.key):
        if abs(draft.now - held.used) > draft.rules.keep_lease / 100:
            draft.put_lease(replace(held, used=draft.now))
        return None
    if held.leaving or any(it.holds_slot and held.key in it.leases for it in draft.transfers.values()):
        return None
    if held.pinned:
        if not held.landed and not held.ahead:
            draft.put_lease(replace(held.begun_anew(draft.now), parts=(), ahead=True))
        return None
    if held.landed:
        return held
    if not held.held_bytes:
        del draft.leases[held.key]
        return None
    # Nobody else may remember the bytes, so that room can be made of them.
    return draft.put_lease(replace(held.begun_anew(draft.now), parts=(), ahead=True))


def forget(draft: Draft) -> None:
    """Forget leases at rest that were not needed for long, and those needed longest ago when there are too many."""
    resting, rules = draft.resting, draft.rules
    if not resting:
        return
    old = {it.key: it for it in islice(resting.unused(draft.now, rules.keep_lease), _SOME)}
    for held in islice(resting.by_age(), min(max(len(resting) - rules.most_leases, 0), _SOME)):
        old[held.key] = held
    needed = {name: freeing.needs(draft, name) for name in rules.file_systems} if old else {}
    idle, used, full = [], [], []
    for held in old.values():
        if _is_needed(draft, held, needed.get(held.key.fs)):
            used.append(held)
        elif held.held_bytes and held.key.fs in needed and held.waits_in_a_row < rules.attempts:
            full.append(held)
        else:
            idle.append(held.key)
    _let_go(draft, full)
    touched = _use(draft, used)
    draft.resting = draft.resting.changed(drops=idle)
    if idle or touched:
        draft.wake_at(draft.now)
    elif (oldest := draft.resting.oldest()) is not None:
        draft.wake_at(max(oldest + rules.keep_lease, draft.now + _NEEDED_AGAIN))


def _let_go(draft: Draft, leases: list[Lease]) -> None:
    """Have the bytes given back of leases that are to be forgotten, a few at a time."""
    going = sum(it.leaving for it in draft.leases.values()) if leases else 0
    for held in [it for it in leases if draft.ready(it)][: max(_LEAVING - going, 0)]:
        draft.wake_lease(held.key)
        draft.put_lease(replace(held, leaving=True))
        draft.wake_at(draft.now)


def _is_needed(draft: Draft, held: Lease, needed: Prefixes | None) -> bool:
    return needed is not None and not freeing.is_idle(draft, held, needed)


def _use(draft: Draft, leases: list[Lease]) -> bool:
    """Note that somebody needs the files of leases at rest, so that others are looked at before them next time."""
    news = [replace(it, used=draft.now) for it in leases if abs(draft.now - it.used) > _NEEDED_AGAIN]
    draft.resting = draft.resting.changed(news)
    return bool(news)


def to_evict(draft: Draft, fs: str) -> Lease | None:
    """Find the lease whose bytes give way first: nobody needs it, it is to go anyway, or was needed longest ago."""
    needed = freeing.needs(draft, fs)
    used: list[Lease] = []
    found = [
        it
        for it in draft.leases.values()
        if it.key.fs == fs and it.held_bytes and freeing.is_idle(draft, it, needed) and draft.ready(it)
    ]
    for held in islice(draft.resting.holding(fs), _SOME):
        if not draft.ready(held):
            continue
        if freeing.is_idle(draft, held, needed):
            found.append(held)
            break
        used.append(held)
    _use(draft, used)
    return min(found, key=lambda it: (not it.leaving, it.used, it.key), default=None)


def leave(draft: Draft, held: Lease) -> Lease:
    """Give the bytes of a lease back because an admin asked, unless somebody needs them by now.

    On each file system one lease at a time gives its bytes back.
    """
    if not freeing.is_idle(draft, held, freeing.needs(draft, held.key.fs)):
        _refuse_to_evict(draft, held)
    elif draft.evicts.get(held.key.fs, held.key) == held.key:
        draft.want(freeing.evict(draft, held))
    return draft.leases[held.key]


def _refuse_to_evict(draft: Draft, held: Lease) -> None:
    draft.change([replace(held, leaving=False)])
    why = (
        "pinned" if held.pinned else "needed by " + (who_needs(draft, held.key.fs, held.key.prefix) or "a job to come")
    )
    draft.remark("not-evicted", f"{held.key.fs} {held.key.prefix}: {why}")


def who_needs(draft: Draft, fs: str, prefix: str) -> str:
    """Name the jobs whose living stages need files under a prefix; empty if there are none."""
    alone = Prefixes.of(draft.namespace(fs), (prefix,))
    jobs = sorted({
        stage.key.job_id
        for stage in draft.stages.values()
        if stage.fs == fs and not stage.phase.over and any(alone.overlap(its) for its in stage.ask.prefixes)
    })  # fmt: skip
    more = f" and {len(jobs) - _FEW} more" if len(jobs) > _FEW else ""
    return f"job {', '.join(map(str, jobs[:_FEW]))}{more}" if jobs else ""


_FEW = 5


def left(draft: Draft, key: LeaseKey, result: Result) -> None:
    """Take a slice of an eviction. Whatever came of it, the next look at the space tells how much there is now.

    It goes on if this pass wishes for it again.
    """
    draft.wake_at(draft.now)
    freeing.evicted(draft, key, result)
    held = draft.leases.get(key)
    if held is not None and held.leaving and isinstance(result, Freed) and result.settled:
        draft.put_lease(replace(held, leaving=False))


# What an admin says; `fs` is configured, and the prefix is one that we carry.


def pin(draft: Draft, fs: str, prefix: str) -> None:
    """Keep all that is leased under exactly this prefix; if nothing is, have its names brought in, and keep them."""
    for held in list(_under(draft, fs, prefix)) or [_unleased(draft, fs, prefix)]:
        draft.wake_lease(held.key)
        draft.put_lease(replace(held, pinned=True, leaving=False))
    draft.remark("pinned", f"{fs} {prefix}")
    draft.wake_at(draft.now)


def unpin(draft: Draft, fs: str, prefix: str) -> None:
    """Let go what was pinned, as if it had been needed until now."""
    for held in _under(draft, fs, prefix):
        if held.pinned:
            draft.put_lease(replace(held, pinned=False, used=draft.now))
    draft.remark("unpinned", f"{fs} {prefix}")
    draft.wake_at(draft.now)


def evict(draft: Draft, fs: str, prefix: str) -> None:
    """Have the bytes under exactly this prefix given back, if nobody needs them."""
    needed = freeing.needs(draft, fs)
    for held in list(_under(draft, fs, prefix)) or [_unleased(draft, fs, prefix)]:
        if freeing.is_idle(draft, held, needed):
            draft.wake_lease(held.key)
            draft.put_lease(replace(held, leaving=True))
        else:
            _refuse_to_evict(draft, held)
    draft.wake_at(draft.now)


def _unleased(draft: Draft, fs: str, prefix: str) -> Lease:
    """Make a lease of a prefix that has none, as a job with no wishes would."""
    return riding.new(draft, LeaseKey(fs, prefix, Conflict.SKIP, Ask(Direction.IN, (prefix,)).max_errors), ahead=True)


def _under(draft: Draft, fs: str, prefix: str) -> Iterator[Lease]:
    return (it for it in draft.overlapping(fs, prefix) if it.key.prefix == prefix)
