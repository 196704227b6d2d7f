"""Jobs whose pre_run failed or ran out of time: Slurm sends them back, and then passes them over.

They are not held, but keep the reason BurstBufferOperation, with which no scheduler takes a job; any update of the job
takes it away (job_mgr.c: job_independent, _update_job). So the daemon updates the job's comment.
"""

from __future__ import annotations

from datetime import timedelta

from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Comment
from slurm_amlfs.domain.records import Job

_REASON = "BurstBufferOperation"
_HOOK = "pre_run"
"""What Slurm writes in the reason's place: "Burst buffer pre_run error" until 24.11, then more (_kill_job)."""

_AGAIN = timedelta(seconds=10)
_TEXT = "amlfs: Slurm ended its pre_run hook and sent the job back; it starts when Slurm has staged it again"


def want(draft: Draft, job: Job) -> None:
    """Have Slurm take a job up again that it passes over."""
    view = (draft.seen.jobs or {}).get(job.job_id)
    if view is None or job.closed is not None or job.job_id not in draft.seen.asked_jobs - draft.spoken_for:
        return
    if view.job_state != "PENDING" or view.held or not (view.reason == _REASON or _HOOK in view.reason):
        return
    if job.commented is None or not draft.sits_out(job.commented + _AGAIN):
        draft.want(Comment(job.job_id, _TEXT, nudges=True))
