"""What a user hears at the terminal where srun or salloc waits: nothing else there says that a job does not start.

Said once for each wait and each failure, and not again if it does not arrive: it is a courtesy, and the job's record
has it too. That its data is there Slurm says itself, by starting the job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from slurm_amlfs.domain import freshness, riding
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Notify
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Life

_AT_ONCE = 2
"""Notices under way at a time, so that many failures do not hold back what announces a start in the same pool."""

_SILENT = timedelta(seconds=3)
"""A wait that is over by then needs no word."""


def want(draft: Draft, job: Job) -> None:
    """Have whoever waits for the job told why: of its stage-in, and of the latest failure of that, once each."""
    if job.life is not Life.PENDING or job.closed is not None:
        return
    view = (draft.seen.jobs or {}).get(job.job_id)
    if view is None or not view.interactive:
        return
    failures = list(_failures(draft, job))
    since, why = max(failures, key=lambda it: it[0]) if failures else _wait(draft, job)
    if not why or (job.told is not None and since <= job.told):
        return
    under_way = sum(key.startswith("notify ") for key in draft.seen.running)
    if under_way + sum(isinstance(it, Notify) for it in draft.errands) < _AT_ONCE:
        is_what = "is held" if failures else "waits for its data"
        draft.want(Notify(job.job_id, f"amlfs: job {job.job_id} {is_what}: {why.removeprefix('amlfs: ')}", since))


def _wait(draft: Draft, job: Job) -> tuple[datetime, str]:
    """Say since when a job waits for its stage-in, and how far that is; nothing in the first moments."""
    stages = list(draft.of_job(job.job_id, Direction.IN))
    waiting = [it for it in stages if it.phase in riding.WAITS]
    if not waiting:
        return draft.now, ""
    since = max(freshness.heard_at(it) for it in waiting)
    if draft.now < since + _SILENT:
        draft.wake_at(since + _SILENT)
        return since, ""
    said = next((it.message for it in waiting if it.message), waiting[0].phase.value)
    files = sum(it.files_total for it in stages)
    how_much = f", {files:,} files" if files else ""
    return since, f"{said}{how_much}; slurm-amlfs status {job.job_id} says how far it is"


def _failures(draft: Draft, job: Job) -> Iterator[tuple[datetime, str]]:
    if job.refusal:
        yield job.submitted, job.refusal
    for stage in draft.of_job(job.job_id, Direction.IN):
        if stage.phase is Phase.FAILED:
            yield stage.since, stage.message


def told(draft: Draft, notice: Notify) -> None:
    """Take that it was said, or could not be."""
    job = draft.jobs.get(notice.job_id)
    if job is not None and (job.told is None or job.told < notice.since):
        draft.jobs[job.job_id] = replace(job, told=notice.since)
