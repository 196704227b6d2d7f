"""Hold mode: what EpilogSlurmctld's notes are worth. It may know no more of a job than its id and its run.

It runs at the end of each run, also of one that is requeued, and counts that one as the next already (job_mgr.c:
_job_requeue_op adds to restart_cnt before deallocate_nodes). So only a record that is over, or gone, makes a note the
end of its job: it tells that the job has run, and how it ended once nobody else can.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.gate import Run
from slurm_amlfs.domain.lingering import OVER
from slurm_amlfs.domain.records import Job, Life
from slurm_amlfs.domain.view import JobView
from slurm_amlfs.wire import Request, RequestKind

_RUN = "run-"
_COMPLETING = "COMPLETING"
_NOTES_TAKE = timedelta(minutes=1)
"""EpilogSlurmctld asks Slurm for 20 s at most, and Slurm may begin it late."""
_ENDS_OF_RUNS = OVER - {"CANCELLED", "DEADLINE", "REVOKED"}
"""Ends that a job does not come to while it is pending."""
_MAY_NOT_HAVE_BEGUN = frozenset({"CANCELLED", "NODE_FAIL", "BOOT_FAIL"})
"""Ends of a job whose nodes do not come (job_mgr.c: job_signal, kill_running_job_by_node_name, _job_fail)."""


def with_directives(draft: Draft, request: Request) -> Request:
    """Give a note the directives of its job: those known, else those of the record, else its own."""
    if request.kind is not RequestKind.DATA_OUT:
        return request
    job, record = draft.jobs.get(request.job_id), draft.seen.declared.get(request.job_id)
    if job is not None:
        return replace(request, directives=job.directives)
    return request if record is None else replace(request, directives=record.directives)


def is_of_an_earlier_run(draft: Draft, request: Request) -> bool | None:
    """Say whether a note tells of the end of a run before the present one; None if a later look at Slurm has to tell.

    EpilogSlurmctld may be begun late, and its note be heard when the job is staged again. It names its run where a hook
    of burst buffers would name an ask; a requeue by hand counts that run as the next, and leaves no exit code to note.
    """
    number = request.token.removeprefix(_RUN)
    if request.kind is not RequestKind.ENDED or number == request.token or request.job_id not in draft.jobs:
        return False
    if draft.seen.jobs is None or request.job_id not in draft.seen.asked_jobs - draft.spoken_for:
        return None
    view = draft.seen.jobs.get(request.job_id)
    return view is not None and number.isdecimal() and int(number) < view.restarts


def stands(draft: Draft, request: Request) -> bool | None:
    """Say whether a request is to be taken; None if a later look at Slurm has to tell."""
    if request.kind is not RequestKind.DATA_OUT:
        return True
    if draft.seen.jobs is None or request.job_id not in draft.seen.asked_jobs:
        return None
    view = draft.seen.jobs.get(request.job_id)
    if view is not None and view.job_state == _COMPLETING:
        return None
    if view is not None and request.absent and _never_began(draft, view):
        _note_absent(draft, view)
        return False
    return bool(request.directives) and (view is None or view.job_state in OVER)


def _never_began(draft: Draft, view: JobView) -> bool:
    """Say whether the note that nodes of a run were not up is to be believed.

    All else has to say the same, since an export too many does less harm than one that is dropped: nobody saw the job
    run, and it ended as one that has not. Before srun and salloc have their nodes, somebody's shell may be at work.
    """
    job = draft.jobs.get(view.job_id)
    began = job is not None and (job.life is Life.RUNNING or (job.run is not None and job.run.began))
    return not began and _may_not_have_begun(view)


def _may_not_have_begun(view: JobView) -> bool:
    ended_so = view.job_state in _MAY_NOT_HAVE_BEGUN and (view.exit_code, view.exit_signal) == (0, 0)
    return ended_so and not view.interactive


def _note_absent(draft: Draft, view: JobView) -> None:
    job = draft.jobs.get(view.job_id)
    if job is not None and job.run is not None and not job.run.absent:
        draft.jobs[view.job_id] = replace(job, run=replace(job.run, absent=True))
        draft.note(view.job_id, "never began", "its nodes did not come")


def seen_to_run(run: Run | None) -> Run | None:
    """Know of a run, if there is one, that it has begun."""
    return None if run is None else replace(run, began=True)


def tells_of_a_run(view: JobView) -> bool:
    """Say whether a record is one that only a job has which has begun."""
    return view.job_state in _ENDS_OF_RUNS - _MAY_NOT_HAVE_BEGUN


def has_begun(draft: Draft, job: Job, view: JobView) -> bool | None:
    """Say whether a run that nobody saw, and of whose end no note was heard, has begun, as far as its record tells.

    None for a while where that is for the note to tell; if there is none it has, for all that is known.
    """
    run = job.run
    if run is None or run.absent or view.job_state not in _ENDS_OF_RUNS:
        return False
    if not _may_not_have_begun(view):
        return True
    doubted = run.doubted or draft.now
    draft.jobs[job.job_id] = replace(job, run=replace(run, doubted=doubted))
    if draft.now >= doubted + _NOTES_TAKE:
        return True
    draft.wake_at(doubted + _NOTES_TAKE)
    return None
