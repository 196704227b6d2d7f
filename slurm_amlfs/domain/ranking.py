"""Whose wait makes an errand urgent."""

from __future__ import annotations

from collections.abc import Iterable

from slurm_amlfs.domain import riding
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.records import Stage
from slurm_amlfs.domain.urgency import Rank
from slurm_amlfs.domain.view import JobName, QueuedJob


def of_lease(draft: Draft, held: Lease) -> Rank:
    """Rank what is done for a lease by the first of those who wait for it; foreseen is what none waits for yet."""
    priorities = [_priority(draft, stage) for stage in riding.waiting(draft, held)]
    if priorities:
        return Rank(priority=max(priorities))
    foreseen = draft.foreseen.get(held.key)
    return Rank(foreseen=True, priority=0 if foreseen is None else foreseen.priority)


def of_stage(draft: Draft, stage: Stage) -> Rank:
    """Rank what is done for a stage by its job, or by those that cannot begin before that one is over."""
    priorities = [it.priority for it in dependents(draft, stage)]
    return Rank(priority=max(_priority(draft, stage), *priorities, 0))


def dependents(draft: Draft, stage: Stage) -> Iterable[QueuedJob]:
    """List who waits for the end of a stage's job, or of the task or the array that it is or is part of."""
    if not draft.seen.awaited:
        return ()
    view = (draft.seen.jobs or {}).get(stage.key.job_id)
    names = view.names if view else frozenset({JobName(stage.key.job_id)})
    return {job.job_id: job for name in names for job in draft.seen.awaited.get(name, ())}.values()


def _priority(draft: Draft, stage: Stage) -> int:
    view = (draft.seen.jobs or {}).get(stage.key.job_id)
    return 0 if view is None else view.priority
