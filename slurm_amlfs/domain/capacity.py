"""What fits on a file system, and what gives way: no restore begins for whose bytes there is no room.

A lease takes room when its bytes are wanted. It is let in when what it still lacks fits into the free space, less what
those let in before it will still write, less a reserve. Else leases that nobody needs give their bytes back, the least
recently used first; else it waits, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from slurm_amlfs.domain import freeing, keeping, riding
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease

_GIB = 1 << 30

WAITING = "waiting for space"
"""How the message of a lease begins for whose bytes there is no room."""


def let_in(draft: Draft, held: Lease) -> bool:
    """Say whether a lease's bytes may be restored now; if not, let it say why, and have room made."""
    if held.let_in:
        return True
    lacks_bytes = max(held.bytes_total - held.held_bytes, 0)
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
    draft.put_lease(replace(held, let_in=True))
    return True


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
