"""What a user hears at the terminal where srun or salloc waits: nothing else there says that a job does not start.

Said once for each failure, and not again if it does not arrive: it is a courtesy, and the job's record has it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Notify
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Life

_AT_ONCE = 2
"""Notices under way at a time, so that many failures do not hold back what announces a start in the same pool."""


def want(draft: Draft, job: Job) -> None:
    """Have whoever waits for the job told of the latest failure of its stage-in, once."""
    if job.life is not Life.PENDING or job.closed is not None:
        return
    view = (draft.seen.jobs or {}).get(job.job_id)
    failures = list(_failures(draft, job))
    if view is None or not view.interactive or not failures:
        return
    failed, why = max(failures, key=lambda it: it[0])
    if job.told is not None and failed <= job.told:
        return
    under_way = sum(key.startswith("notify ") for key in draft.seen.running)
    if under_way + sum(isinstance(it, Notify) for it in draft.errands) < _AT_ONCE:
        text = f"amlfs: job {job.job_id} is held: {why.removeprefix('amlfs: ')}"
        draft.want(Notify(job.job_id, text, failed))


def _failures(draft: Draft, job: Job) -> Iterator[tuple[datetime, str]]:
    if job.refusal:
        yield job.submitted, job.refusal
    for stage in draft.of_job(job.job_id, Direction.IN):
        if stage.phase is Phase.FAILED:
            yield stage.since, stage.message


def told(draft: Draft, notice: Notify) -> None:
    """Take that it was said, or could not be."""
    job = draft.jobs.get(notice.job_id)
    if job is not None and (job.told is None or job.told < notice.failed):
        draft.jobs[job.job_id] = replace(job, told=notice.failed)
