"""Which files may be given back to the file system, and which are needed: the one place that says so."""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Evict, Free
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import covers, overlaps, reduce
from slurm_amlfs.domain.records import Stage
from slurm_amlfs.domain.report import Fault, Freed, Result, Trouble


def free(draft: Draft, stage: Stage) -> Free:
    """Make the wish to give a stage's space back; leases on the same files have to be proved again afterwards."""
    namespace = draft.namespace(stage.fs)
    prefixes = reduce(namespace, stage.ask.prefixes)
    for held in list(draft.leases.values()):
        mine = held.key.fs == stage.fs and held.proved is not None and held.whole
        if mine and any(overlaps(namespace, it, held.key.prefix) for it in prefixes):
            draft.put_lease(replace(held.doubted(), held_bytes=0, let_in=False))
    return Free(stage.key, stage.generation, stage.fs, prefixes, spared(draft, stage))


def is_idle(draft: Draft, held: Lease) -> bool:
    """Say whether nobody needs a lease's files: no living stage of any job, no job to come, and no admin's pin."""
    if held.pinned or draft.riders.get(held.key):
        return False
    namespace = draft.namespace(held.key.fs)
    if any(it.fs == held.key.fs and overlaps(namespace, held.key.prefix, it.prefix) for it in draft.foreseen):
        return False
    return not any(
        stage.fs == held.key.fs
        and not stage.phase.over
        and any(overlaps(namespace, held.key.prefix, prefix) for prefix in stage.ask.prefixes)
        for stage in draft.stages.values()
    )


def evict(draft: Draft, held: Lease) -> Evict:
    """Make the wish to give an idle lease's bytes back; whoever needs them next finds them to be proved again."""
    namespace = draft.namespace(held.key.fs)
    for other in list(draft.leases.values()):
        shares = other.key.fs == held.key.fs and overlaps(namespace, other.key.prefix, held.key.prefix)
        if shares and (other.proving is not None or other.let_in):
            draft.put_lease(replace(other.doubted(), let_in=False))
    needed = (it for it in draft.stages.values() if it.fs == held.key.fs and not it.phase.over)
    spare = {prefix for stage in needed for prefix in stage.ask.prefixes}
    spare |= _pinned(draft, held.key.fs)
    return Evict(held.key, held.generation, tuple(sorted(spare)))


def evicted(draft: Draft, errand: Evict, result: Result) -> None:
    """Take that a lease's bytes were given back, all that could be; until then they are taken to be there still."""
    draft.wake_at(draft.now)
    held = draft.leases.get(errand.lease)
    if held is None or errand.lease.fs not in draft.rules.file_systems:
        return
    if isinstance(result, Trouble) and result.fault is Fault.TEMPORARY:
        draft.lease_waits(held, result)
        return
    namespace = draft.namespace(held.key.fs)
    freed_bytes = result.freed_bytes if isinstance(result, Freed) else 0
    for other in list(draft.leases.values()):
        if other.key.fs == held.key.fs and covers(namespace, held.key.prefix, other.key.prefix):
            draft.put_lease(replace(other, held_bytes=0))
        elif other.key.fs == held.key.fs and covers(namespace, other.key.prefix, held.key.prefix):
            draft.put_lease(replace(other, held_bytes=max(other.held_bytes - freed_bytes, 0)))


def spared(draft: Draft, stage: Stage) -> tuple[str, ...]:
    """List the prefixes on the same file system that living stages of other jobs need, or that are to stay."""
    others = (it for it in draft.stages.values() if it.fs == stage.fs and _spares(stage, it))
    kept = {prefix for other in others for prefix in other.ask.prefixes}
    return tuple(sorted(kept | _pinned(draft, stage.fs)))


def _pinned(draft: Draft, fs: str) -> set[str]:
    """List the prefixes that an admin wants kept on a file system."""
    return {it.key.prefix for it in draft.leases.values() if it.pinned and it.key.fs == fs}


def _spares(stage: Stage, other: Stage) -> bool:
    if other.key.job_id == stage.key.job_id:
        return other.key != stage.key and other.ask.release is False
    return not other.phase.over


def is_freed_now(draft: Draft, held: Lease) -> bool:
    """Say whether files of a lease may be released while it is proved: by a Free that began when nobody needed them."""
    namespace = draft.namespace(held.key.fs)
    if any(
        f"evict {other}" in draft.seen.running and overlaps(namespace, other.prefix, held.key.prefix)
        for other in draft.leases
        if other.fs == held.key.fs
    ):
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
