"""Jobs that are over, and that Slurm has still something to do for: it tears their burst buffers down, or should."""

from __future__ import annotations

from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.records import Job, Life
from slurm_amlfs.domain.view import JobView

OVER = frozenset({
    "CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY",
    "REVOKED",
})  # fmt: skip
"""What Slurm calls a job that is over, whatever has still to be done for it."""


def is_torn_down(view: JobView) -> bool:
    """Say whether Slurm shows the teardown of a job that is over: so long the job keeps its burst buffer."""
    return view.bb_state == "teardown" and view.job_state in OVER


def may_be_hurried(draft: Draft, job: Job, view: JobView) -> bool:
    """Say whether the teardown of a job that has run may still tell that it is one in a hurry. It may also be lost."""
    if job.life not in {Life.RUNNING, Life.ENDED} or job.token_out or not is_torn_down(view):
        return False
    return job.behind is None or draft.now < job.behind + draft.rules.left_behind


def is_being_mended(job: Job, view: JobView) -> bool:
    """Say whether a job is cancelled because we did it, to requeue it at once; or requeued, to cancel it again."""
    if job.mending is None:
        return False
    if job.life is Life.PENDING:
        return view.job_state == "CANCELLED"
    return job.life is Life.GONE and view.job_state == "PENDING" and view.held


def is_for_one_torn_down(draft: Draft, job: Job | None) -> bool | None:
    """Say whether an ask for a stage-in is for a job that is over, and only requeued to be torn down again.

    Slurm stages held jobs too, whenever another job waits (bb_p_job_try_stage_in). None while it has to be seen yet
    whether the job is cancelled again, or let go by its owner: then it is another run.
    """
    if job is None or job.life is not Life.GONE or job.behind is None:
        return False
    if draft.seen.jobs is None or job.job_id not in draft.seen.asked_jobs - draft.spoken_for:
        return None
    view = draft.seen.jobs.get(job.job_id)
    if view is None or (view.job_state not in OVER and not is_being_mended(job, view)):
        return False
    return True if job.mending is None else None


def is_held_up(draft: Draft, job: Job) -> bool:
    """Say whether a closed job is still to be looked at, because Slurm does not tear it down."""
    if draft.seen.jobs is None or job.job_id not in draft.seen.asked_jobs - draft.spoken_for:
        return job.behind is not None and job.life is Life.GONE
    view = draft.seen.jobs.get(job.job_id)
    return view is not None and (is_torn_down(view) or is_being_mended(job, view))
