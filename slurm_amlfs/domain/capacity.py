"""What fits on a file system, and what gives way: no restore begins for whose bytes there is no room.

A lease takes room when its bytes are wanted. It is let in when what it still lacks fits into the free space, less what
those let in before it will still write, less a reserve. Else leases that nobody needs give their bytes back, the least
recently used first; else it waits, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from slurm_amlfs.domain import freeing, keeping, riding
from slurm_amlfs.domain.ask import Direction, Hydrate
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.prefix import covers, reduce

_GIB = 1 << 30

WAITING = "waiting for space"
"""How the message of a lease begins for whose bytes there is no room."""


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
        reserve_bytes = int(space.total_bytes * draft.rules.reserve)
        room_bytes = space.free_bytes - _promised_bytes(draft, held) - reserve_bytes
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


def _promised_bytes(draft: Draft, held: Lease) -> int:
    """Sum what others that were let in will still write."""
    return sum(
        max(other.bytes_total - max(other.bytes_done, other.held_bytes), 0)
        for other in draft.leases.values()
        if other.let_in and other.key != held.key and other.key.fs == held.key.fs and not other.whole
    )


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
