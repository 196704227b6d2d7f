"""Which files may be given back to the file system, and which are needed: the one place that says so."""

from __future__ import annotations

from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Free
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import overlaps, reduce
from slurm_amlfs.domain.records import Stage


def free(draft: Draft, stage: Stage) -> Free:
    """Make the wish to give a stage's space back; leases on the same files have to be proved again afterwards."""
    namespace = draft.namespace(stage.fs)
    prefixes = reduce(namespace, stage.ask.prefixes)
    for held in list(draft.leases.values()):
        mine = held.key.fs == stage.fs and held.proved is not None and held.whole
        if mine and any(overlaps(namespace, it, held.key.prefix) for it in prefixes):
            draft.put_lease(held.doubted())
    return Free(stage.key, stage.generation, stage.fs, prefixes, spared(draft, stage))


def spared(draft: Draft, stage: Stage) -> tuple[str, ...]:
    """List the prefixes on the same file system that living stages of other jobs need, or that are to stay."""
    return tuple(
        sorted(
            {
                prefix
                for other in draft.stages.values()
                if other.fs == stage.fs and _spares(stage, other)
                for prefix in other.ask.prefixes
            }
        )
    )


def _spares(stage: Stage, other: Stage) -> bool:
    if other.key.job_id == stage.key.job_id:
        return other.key != stage.key and other.ask.release is False
    return not other.phase.over


def is_freed_now(draft: Draft, held: Lease) -> bool:
    """Say whether files of a lease may be released while it is proved: by a Free that began when nobody needed them."""
    freeing = {key for key in draft.seen.running if key.startswith("free ")}
    if not freeing:
        return False
    namespace = draft.namespace(held.key.fs)
    for other in draft.stages.values():
        if other.phase is Phase.RELEASING and f"free {other.key}" in freeing:
            freeing.remove(f"free {other.key}")
            shared = any(overlaps(namespace, held.key.prefix, its) for its in other.ask.prefixes)
            if other.fs == held.key.fs and shared:
                return True
    # What is left frees for a stage that has started over since; nobody remembers which files.
    return bool(freeing)
