"""Whose wait makes an errand urgent."""

from __future__ import annotations

from slurm_amlfs.domain import riding
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.records import Stage
from slurm_amlfs.domain.urgency import Rank


def of_lease(draft: Draft, held: Lease) -> Rank:
    """Rank what is done for a lease by the first of those who wait for it; foreseen is what none waits for yet."""
    priorities = [_priority(draft, stage) for stage in riding.waiting(draft, held)]
    if priorities:
        return Rank(priority=max(priorities))
    foreseen = draft.foreseen.get(held.key)
    return Rank(foreseen=True, priority=0 if foreseen is None else foreseen.priority)


def of_stage(draft: Draft, stage: Stage) -> Rank:
    """Rank what is done for a stage by its job, or by those that cannot begin before that one is over."""
    awaited = (it.priority for it in draft.seen.awaited.get(stage.key.job_id, ()))
    return Rank(priority=max(_priority(draft, stage), *awaited, 0))


def _priority(draft: Draft, stage: Stage) -> int:
    view = (draft.seen.jobs or {}).get(stage.key.job_id)
    return 0 if view is None else view.priority
