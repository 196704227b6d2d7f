"""Hold mode: what EpilogSlurmctld's notes are worth. It may know no more of a job than its id and its run.

It runs at the end of each run, also of one that is requeued, and counts that one as the next already (job_mgr.c:
_job_requeue_op adds to restart_cnt before deallocate_nodes). So only a record that is over, or gone, makes a note the
end of its job: it tells that the job has run, and how it ended once nobody else can.
"""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lingering import OVER
from slurm_amlfs.wire import Request, RequestKind

_COMPLETING = "COMPLETING"


def with_directives(draft: Draft, request: Request) -> Request:
    """Give a note the directives of its job: those known, else those of the record, else its own."""
    if request.kind is not RequestKind.DATA_OUT:
        return request
    job, record = draft.jobs.get(request.job_id), draft.seen.declared.get(request.job_id)
    if job is not None:
        return replace(request, directives=job.directives)
    return request if record is None else replace(request, directives=record.directives)


def stands(draft: Draft, request: Request) -> bool | None:
    """Say whether a request is to be taken; None if a later look at Slurm has to tell."""
    if request.kind is not RequestKind.DATA_OUT:
        return True
    if draft.seen.jobs is None or request.job_id not in draft.seen.asked_jobs:
        return None
    view = draft.seen.jobs.get(request.job_id)
    if view is not None and view.job_state == _COMPLETING:
        return None
    return bool(request.directives) and (view is None or view.job_state in OVER)
