"""Which files may be given back to the file system, and which are needed: the one place that says so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from slurm_amlfs.domain import ranking
from slurm_amlfs.domain.ask import Ask, Conflict, Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Evict, Free
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Prefixes, covers, overlaps, reduce
from slurm_amlfs.domain.records import Stage
from slurm_amlfs.domain.report import Fault, Freed, Result, Trouble
from slurm_amlfs.domain.urgency import FIRST, Rank


def free(draft: Draft, stage: Stage) -> Free:
    """Make the wish to give a stage's space back; leases on the same files have to be proved again afterwards."""
    prefixes = reduce(draft.namespace(stage.fs), stage.ask.prefixes)
    for prefix in prefixes:
        _lose(draft, stage.fs, prefix)
    rank = ranking.of_stage(draft, stage)
    return Free(stage.key, stage.generation, stage.fs, prefixes, spared(draft, stage), rank=rank)


def needs(draft: Draft, fs: str) -> Prefixes:
    """List what living stages of any job, in or out, and jobs to come need on a file system."""
    living = (it for it in draft.stages.values() if it.fs == fs and not it.phase.over)
    needed = {prefix for stage in living for prefix in stage.ask.prefixes}
    return Prefixes.of(draft.namespace(fs), needed | {it.prefix for it in draft.foreseen if it.fs == fs})


def is_idle(draft: Draft, held: Lease, needed: Prefixes) -> bool:
    """Say whether nobody needs a lease's files: no living stage, no job to come (`needs`), and no admin's pin."""
    if held.pinned or draft.riders.get(held.key):
        return False
    return not needed.overlap(held.key.prefix)


def evict(draft: Draft, held: Lease, needed: Collection[str] | None = None) -> Evict:
    """Make the wish to give a lease's bytes back; whoever needs them next finds them to be proved again.

    Files under prefixes that are `needed` stay: what anybody needs, unless some of them are to give way.
    """
    fs = held.key.fs
    touched = [it for it in draft.overlapping(fs, held.key.prefix) if not it.pinned]
    draft.change(replace(it.doubted(), let_in=False) for it in touched if it.proving is not None or it.let_in)
    spare = {*(needs(draft, fs).known if needed is None else needed), *pinned(draft, fs)}
    # Somebody waits for the room, unless it is only to be given back.
    rank = Rank() if held.leaving else FIRST
    draft.evicts[fs] = held.key
    return Evict(held.key, held.generation, tuple(sorted(spare)), rank=rank)


def evicted(draft: Draft, key: LeaseKey, result: Result) -> None:
    """Take that some of a lease's bytes were given back, or all that could be; the rest is taken to be there still."""
    held = draft.find_lease(key)
    if held is None or key.fs not in draft.rules.file_systems:
        return
    if isinstance(result, Trouble):
        # Nothing is known to be given back; what can never be is tried after others, and an admin's wish ends.
        draft.wake_lease(key)
        held = draft.lease_waits(held, result)
        if result.fault is Fault.PERMANENT and held.leaving:
            draft.put_lease(replace(held, leaving=False))
            draft.remark("not-evicted", f"{key.fs} {key.prefix}: {result.message}")
        return
    freed_bytes = result.freed_bytes if isinstance(result, Freed) else 0
    over = not isinstance(result, Freed) or result.settled
    for other in draft.overlapping(key.fs, key.prefix):
        inside = over and covers(draft.namespace(key.fs), key.prefix, other.key.prefix)
        # While it goes on, something may be left whatever was known.
        least_bytes = min(other.held_bytes, 1) if other.key == key else 0
        left_bytes = 0 if inside else max(other.held_bytes - freed_bytes, least_bytes)
        if other.held_bytes != left_bytes and not other.pinned:
            draft.change([replace(other, held_bytes=left_bytes)])


def _lose(draft: Draft, fs: str, prefix: str) -> None:
    """Have leases proved again whose files may be released; a pinned one's never are. What takes in more holds more."""
    namespace = draft.namespace(fs)
    for it in draft.overlapping(fs, prefix):
        if it.proved is not None and it.whole and not it.pinned:
            held_bytes = 0 if covers(namespace, prefix, it.key.prefix) else it.held_bytes
            draft.change([replace(it.doubted(), held_bytes=held_bytes)])


def freed(draft: Draft, stage: Stage, freed_bytes: int) -> None:
    """Take that so much of a stage's files was given back: leases that take in more hold so much less."""
    around = {it.key: it for prefix in stage.ask.prefixes for it in draft.around(stage.fs, prefix)}
    draft.change(replace(it, held_bytes=max(it.held_bytes - freed_bytes, 0)) for it in around.values() if not it.pinned)


def leave_behind(draft: Draft, stage: Stage, freed_bytes: int) -> None:
    """Remember what of an export stays whole for others, who may never come for it: room is made from leases only."""
    left_bytes = max(stage.bytes_done - freed_bytes, 0)
    prefixes = reduce(draft.namespace(stage.fs), stage.ask.prefixes)
    for prefix in prefixes if left_bytes else ():
        key = LeaseKey(stage.fs, prefix, Conflict.SKIP, Ask(Direction.IN, (prefix,)).max_errors)
        held = draft.find_lease(key) or Lease(key, draft.now, draft.now, generation=int(draft.now.timestamp() * 1e6))
        most_bytes = left_bytes if len(prefixes) == 1 else 1
        draft.change([replace(held, used=draft.now, held_bytes=max(held.held_bytes, most_bytes))])


def pinned(draft: Draft, fs: str) -> set[str]:
    """List the prefixes that an admin wants kept on a file system."""
    return {it.key.prefix for it in draft.leases.values() if it.pinned and it.key.fs == fs}


def spared(draft: Draft, stage: Stage) -> tuple[str, ...]:
    """List the prefixes on the same file system that other jobs need or will need, or that are to stay."""
    others = (it for it in draft.stages.values() if it.fs == stage.fs and _spares(stage, it))
    kept = {prefix for other in others for prefix in other.ask.prefixes}
    kept |= {key.prefix for key in draft.foreseen if key.fs == stage.fs}
    return tuple(sorted(kept | pinned(draft, stage.fs)))


def _spares(stage: Stage, other: Stage) -> bool:
    if other.key.job_id == stage.key.job_id:
        return other.key != stage.key and other.ask.release is False
    # Two that give back the same files at once must not leave them whole for each other.
    return not other.phase.over and other.phase is not Phase.RELEASING


def is_freed_now(draft: Draft, held: Lease) -> bool:
    """Say whether files of a lease may be released while it is proved: by a Free that began when nobody needed them."""
    namespace = draft.namespace(held.key.fs)
    if any(it.fs == held.key.fs and overlaps(namespace, it.prefix, held.key.prefix) for it in draft.evicting):
        return True
    freeing = {key for key in draft.seen.running if key.startswith("free ")}
    if not freeing:
        return False
    for other in draft.stages.values():
        if other.phase is Phase.RELEASING and f"free {other.key}" in freeing:
            freeing.remove(f"free {other.key}")
            shared = any(overlaps(namespace, held.key.prefix, its) for its in other.ask.prefixes)
            if other.fs == held.key.fs and shared:
                return True
    # What is left frees for a stage that has started over since; nobody remembers which files.
    return bool(freeing)
