"""What fits on a file system, and what gives way: no restore begins for whose bytes there is no room.

A lease takes room when its bytes are wanted. It is let in when what it still lacks fits into the free space, less what
those let in before it will still write, less a reserve. Else leases that nobody needs give their bytes back, the least
recently used first; else it waits, and says so.

Slurm can be told the same figures, as one of its own pools for each file system (docs/decisions/0010-pools.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from slurm_amlfs.domain import freeing, keeping, riding
from slurm_amlfs.domain.ask import Direction, Hydrate
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.prefix import Prefixes, covers, reduce
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.view import SpaceView
from slurm_amlfs.domain.world import FsRules

_GIB = 1 << 30

WAITING = "waiting for space"
"""How the message of a lease begins for whose bytes there is no room."""

GRANULE_BYTES = _GIB
"""What Slurm rounds capacity up to."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A file system's space as Slurm counts it, in granules, never negative; `free` is no more than `quantity`."""

    name: str
    quantity: int
    free: int


def let_in(draft: Draft, held: Lease) -> bool:
    """Say whether a lease's bytes may be restored now; if not, let it say why, and have room made.

    With it goes what else its job needs, or two jobs could each wait for room with half of what they need.
    """
    held = draft.leases[held.key]
    if held.let_in:
        return True
    groups = ((_lacks_bytes(draft, some), some) for some in _groups(draft, held))
    lacks_bytes, group = min(groups, key=lambda it: it[0])
    space = draft.seen.spaces.get(held.key.fs)
    if lacks_bytes and space is None:
        riding.say(draft, held, "waiting for a look at the free space")
        return False
    if lacks_bytes and space is not None:
        others = (it for it in draft.leases.values() if it.key != held.key)
        room_bytes = _room_bytes(space, draft.rules.reserve, held.key.fs, others)
        if lacks_bytes > room_bytes:
            _make_room(draft, held, lacks_bytes, room_bytes)
            return False
    # What an earlier proof found done may have been names only, or given back since.
    draft.change(replace(it, let_in=True, bytes_done=it.held_bytes) for it in group)
    return True


def _groups(draft: Draft, held: Lease) -> Iterator[tuple[Lease, ...]]:
    """Yield, for each job that waits for a lease's bytes, the leases on the same file system still to be let in."""
    known = set()
    whole = (it for it in riding.waiting(draft, held) if it.ask.hydrate is Hydrate.ALL)
    for job_id in {it.key.job_id for it in whole}:
        keys = {held.key}
        for stage in draft.of_job(job_id, Direction.IN):
            if stage.fs == held.key.fs and stage.phase in riding.WAITS and stage.ask.hydrate is Hydrate.ALL:
                keys.update(it.key for it in riding.serving(draft, stage))
        if (group := tuple(sorted(keys))) not in known:
            known.add(group)
            some = (draft.find_lease(key) for key in group)
            yield tuple(it for it in some if it is not None and it.counted is not None and not it.let_in)


def _lacks_bytes(draft: Draft, group: Iterable[Lease]) -> int:
    """Sum what leases still lack on Lustre; what several of them take in is wanted once."""
    by_prefix = {it.key.prefix: it for it in group}
    kept = [by_prefix[it] for it in reduce(draft.namespace(next(iter(by_prefix.values())).key.fs), by_prefix)]
    return sum(max(it.bytes_total - _there_bytes(draft, it), 0) for it in kept)


def _there_bytes(draft: Draft, held: Lease) -> int:
    """Say what of a lease's bytes is on Lustre, or was promised to another lease on the same files."""
    namespace = draft.namespace(held.key.fs)
    inner: dict[str, int] = {}
    for other in draft.overlapping(held.key.fs, held.key.prefix):
        if other.key == held.key or not other.let_in:
            continue
        if covers(namespace, other.key.prefix, held.key.prefix):
            return held.bytes_total
        inner[other.key.prefix] = other.bytes_total
    return max(held.held_bytes, sum(inner[it] for it in reduce(namespace, inner)))


def _room_bytes(space: SpaceView, reserve: float, fs: str, leases: Iterable[Lease]) -> int:
    """Take from what is free the reserve, and what leases that were let in will still write; may be negative."""
    promised_bytes = sum(
        max(it.bytes_total - max(it.bytes_done, it.held_bytes), 0)
        for it in leases
        if it.let_in and it.key.fs == fs and not it.whole
    )
    return space.free_bytes - promised_bytes - int(space.total_bytes * reserve)


def _make_room(draft: Draft, held: Lease, lacks_bytes: int, room_bytes: int) -> None:
    idle = keeping.to_evict(draft, held.key.fs)
    if idle is not None and not draft.evicting:
        draft.want(freeing.evict(draft, idle))
    short = f"{lacks_bytes / _GIB:.1f} GiB are wanted and {max(room_bytes, 0) / _GIB:.1f} GiB are free"
    riding.say(draft, held, f"{WAITING} on {held.key.fs}: {short}{', making room' if idle is not None else ''}")
    draft.wake_at(draft.now + draft.rules.look_at_space)


def wants_look(leases: Iterable[Lease], fs: str) -> bool:
    """Say whether the free space of a file system has to be known: somebody's bytes may have to be restored."""
    return any(it.key.fs == fs and it.landed and not it.whole for it in leases)


def pool(fs: FsRules, reserve: float, space: SpaceView, records: Records, ahead: Iterable[LeaseKey]) -> Pool:
    """Say what admission would let in now, by the latest look at a file system's space.

    What nobody needs counts as free, because admission makes room of it: were it not, a job with capacity would wait in
    Slurm for room that only its own wish for it makes. `ahead` are leases that pending jobs will need.
    """
    quantity = max(space.total_bytes - int(space.total_bytes * reserve), 0) // GRANULE_BYTES
    free_bytes = _room_bytes(space, reserve, fs.name, records.leases.values())
    free_bytes += _idle_bytes(fs, records, frozenset(ahead))
    return Pool(fs.name, quantity, min(max(free_bytes, 0) // GRANULE_BYTES, quantity))


def _idle_bytes(fs: FsRules, records: Records, ahead: Collection[LeaseKey]) -> int:
    """Sum what `freeing.is_idle` leases hold, each file once; of leases that overlap the outer one counts."""
    living = {
        prefix for it in records.stages.values() if it.fs == fs.name and not it.phase.over for prefix in it.ask.prefixes
    }
    needed = Prefixes.of(fs.namespace, living)
    held_bytes: dict[str, int] = {}
    for it in (*records.leases.values(), *records.resting.holding(fs.name)):
        if it.key.fs == fs.name and it.held_bytes and not it.pinned and it.key not in ahead:
            held_bytes[it.key.prefix] = max(held_bytes.get(it.key.prefix, 0), it.held_bytes)
    idle = [prefix for prefix in held_bytes if not needed.overlap(prefix)]
    return sum(held_bytes[prefix] for prefix in reduce(fs.namespace, idle))


def known_pools(before: Iterable[Pool], now: Iterable[Pool], names: Iterable[str]) -> tuple[Pool, ...]:
    """Keep the last figures of a file system that cannot be looked at: a pool that vanishes has size 0 for Slurm."""
    latest = {it.name: it for it in (*before, *now)}
    return tuple(latest[name] for name in names if name in latest)
