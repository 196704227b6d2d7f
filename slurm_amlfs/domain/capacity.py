"""The room on a file system: what of it stage-ins may have, and how Slurm is told, as a pool (decision 10).

Who gets the room, and what gives way for whom, is decided in `admission` and `yielding`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.prefix import Prefixes, reduce
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.view import SpaceView
from slurm_amlfs.domain.world import FsRules

GIB = 1 << 30

WAITING = "waiting for space"
"""How the message of a lease begins for whose bytes there is no room."""

UNSEEN = "waiting for a look at the free space"
"""How it begins where it is not known whether there is room."""

GRANULE_BYTES = GIB
"""What Slurm rounds capacity up to."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A file system's space as Slurm counts it, in granules, never negative; `free` is no more than `quantity`."""

    name: str
    quantity: int
    free: int


def room_bytes(space: SpaceView, reserve: float, fs: str, leases: Iterable[Lease]) -> int:
    """Take from what is free the reserve, and what leases that were let in will still write; may be negative."""
    promised_bytes = sum(
        max(it.bytes_total - max(it.bytes_done, it.held_bytes), 0)
        for it in leases
        if it.let_in and it.key.fs == fs and not it.whole
    )
    return space.free_bytes - promised_bytes - reserved_bytes(space, reserve)


def reserved_bytes(space: SpaceView, reserve: float) -> int:
    """Say how much of a file system no stage-in may fill."""
    return int(space.total_bytes * reserve)


def wants_look(leases: Iterable[Lease], fs: str) -> bool:
    """Say whether the free space of a file system has to be known: somebody's bytes may have to be restored."""
    return any(it.key.fs == fs and it.landed and not it.whole for it in leases)


def pool(fs: FsRules, reserve: float, space: SpaceView, records: Records, ahead: Iterable[LeaseKey]) -> Pool:
    """Say what admission would let in now, by the latest look at a file system's space.

    What nobody needs counts as free, because admission makes room of it: were it not, a job with capacity would wait in
    Slurm for room that only its own wish for it makes. `ahead` are leases that pending jobs will need.
    """
    quantity = max(space.total_bytes - reserved_bytes(space, reserve), 0) // GRANULE_BYTES
    free_bytes = room_bytes(space, reserve, fs.name, records.leases.values())
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
