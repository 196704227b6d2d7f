"""Jobs that Slurm has left behind: it shows them staging in or out, or torn down, but no hook will run.

A slurmctld that is killed within 30 seconds of the beginning of a stage-in has saved the job as staging in, and not its
buffer; its restart passes over such a job, and calls its stage-in underway for ever (burst_buffer_lua.c:
_purge_vestigial_bufs, bb_p_job_test_stage_in). The same holds for a stage-out.

A cancel of a job that waits tells slurmscriptd to kill what runs for it, and begins the teardown; where the order is
heard late, it kills the teardown too (job_mgr.c: job_signal; _start_teardown), and what the job had in a pool stays
charged.

What tells is that Slurm waits for nothing of ours: the answer has been there for long and nobody fetched it, or nobody
ever asked. A job that waits for our answer, however long, is never left behind.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from slurm_amlfs.domain import bulletin
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Behind, Mend
from slurm_amlfs.domain.lingering import is_being_mended, is_torn_down
from slurm_amlfs.domain.records import Job, Life
from slurm_amlfs.domain.report import Fault, Result, Trouble
from slurm_amlfs.domain.view import JobView
from slurm_amlfs.wire import Answer

MOST_MENDS = 3
"""What three mends did not help is left to an admin."""

_GRACE = timedelta(seconds=30)
"""A hook fetches its answer within seconds; before that nothing is written down."""

_CLEANING = "Cleaning"
"""The reason of a requeued job whose last run is not over for Slurm, which takes seconds. Where the nodes of that run
never came, its pre_run waits for them on and counts as a prolog, for ever (_start_pre_run, _job_runnable_test1)."""

_MOST_ASKED = 100
"""Before 24.05 no more than 128 stage-outs run at a time (MAX_BURST_BUFFERS_PER_STAGE), and others wait to ask."""


def tend(draft: Draft, job: Job) -> None:
    """Notice that a job was left behind, say so when it has been for long, and have it mended if the site wants that.

    `draft.jobs` has the job as Slurm shows it by now.
    """
    if draft.seen.jobs is None or job.job_id not in draft.seen.asked_jobs - draft.spoken_for:
        return
    view = draft.seen.jobs.get(job.job_id)
    if view is None:
        if job.closed is not None and job.behind is not None:
            draft.jobs[job.job_id] = replace(job, behind=None, alarm="", mending=None)
        return
    if is_being_mended(job, view):
        draft.want(Mend(job.job_id, Behind.IN if job.life is Life.PENDING else Behind.TEARDOWN))
        return
    where = Behind.TEARDOWN if is_torn_down(view) else None if job.closed is not None else _left(draft, job, view)
    if where is None:
        if job.behind is not None or job.alarm:
            draft.jobs[job.job_id] = replace(job, behind=None, alarm="", mending=None)
            draft.note(job.job_id, "taken up again" if job.closed is None else "torn down") if job.alarm else None
        return
    _count(draft, job, view, where)


def mended(draft: Draft, job_id: int, result: Result) -> None:
    """Take that Slurm was told, or could not be: a temporary error is tried again, as all errands are."""
    job = draft.jobs.get(job_id)
    if job is None or job.mending is None:
        return
    # A look from amid the mending shows the job cancelled, and that would count as its end.
    draft.speak_for(job_id)
    if isinstance(result, Trouble):
        if result.fault is Fault.PERMANENT:
            draft.note(job_id, "not mended", result.message)
            draft.jobs[job_id] = replace(job, mending=None, behind=draft.now)
    else:
        draft.note(job_id, "mended")
        draft.jobs[job_id] = replace(job, mending=None, behind=draft.now)


def _left(draft: Draft, job: Job, view: JobView) -> Behind | None:
    """Say where Slurm has left a job, if it has."""
    if view.job_state == "PENDING" and view.reason == _CLEANING:
        return Behind.START
    if view.job_state == "PENDING" and view.bb_state == "staging-in" and job.life is Life.PENDING:
        answer = bulletin.answer_in(job, list(draft.of_job(job.job_id, Direction.IN)))
        # One that is held for its failure waits for whoever mends that.
        done = answer is Answer.DONE or (answer is Answer.ERROR and not view.held)
        return Behind.IN if done or not job.token_in else None
    if view.job_state not in {"PENDING", "STAGE_OUT"} or job.life is not Life.ENDED:
        return None
    if view.job_state == "PENDING" and view.bb_state not in {"post-run", "staging-out"}:
        return None
    outs = list(draft.of_job(job.job_id, Direction.OUT))
    if outs and not (job.token_out or job.orphaned):
        idle = _exports_asked(draft) < _MOST_ASKED
    else:
        # What failed is tried again, and may not be dropped by a teardown in a hurry meanwhile.
        idle = bulletin.answer_out(job, outs) is Answer.DONE
    if not idle:
        return None
    return Behind.IN if view.job_state == "PENDING" else Behind.OUT


def _exports_asked(draft: Draft) -> int:
    """Count the jobs for whose exports a hook of Slurm waits."""
    return sum(job.life is Life.ENDED and bool(job.token_out) and job.closed is None for job in draft.jobs.values())


def _count(draft: Draft, job: Job, view: JobView, where: Behind) -> None:
    """Let the time run for a job that is left behind, and act when it is up."""
    after = draft.rules.left_behind
    if job.behind is None and where is not Behind.TEARDOWN:
        quiet = _quiet_since(draft, job) + min(_GRACE, after)
        if draft.now < quiet:
            draft.wake_at(quiet)
            return
    if job.behind is None:
        job = replace(job, behind=draft.now)
        draft.jobs[job.job_id] = job
    if job.mending is not None:
        draft.want(Mend(job.job_id, where))
        return
    due = (job.behind or draft.now) + after
    if draft.now < due:
        draft.wake_at(due)
        return
    if where is Behind.OUT and not (job.token_out or job.orphaned) and any(draft.of_job(job.job_id, Direction.OUT)):
        draft.note(job.job_id, "left behind", "Slurm does not ask for its exports; they are made without that")
        draft.jobs[job.job_id] = replace(job, orphaned=True, behind=None)
        draft.wake_at(draft.now)
        return
    _act(draft, job, view, where)


def _quiet_since(draft: Draft, job: Job) -> datetime:
    return max([job.submitted, *(stage.since for stage in draft.of_job(job.job_id))])


def _act(draft: Draft, job: Job, view: JobView, where: Behind) -> None:
    """Tell once; mend, as often as that may help."""
    mends = draft.rules.mend and job.mends < MOST_MENDS and _can_be_mended(view, where)
    text = _text(job, view, where, job.behind or draft.now)
    if mends:
        text += "; the daemon does it"
    if job.alarm != text and not job.alarm:
        draft.note(job.job_id, "left behind", text)
        job = replace(job, alarm=text)
    if mends:
        job = replace(job, mending=draft.now, mends=job.mends + 1)
        draft.want(Mend(job.job_id, where))
    draft.jobs[job.job_id] = job


def _can_be_mended(view: JobView, where: Behind) -> bool:
    return where is Behind.OUT or (where is not Behind.START and not view.interactive)


def _text(job: Job, view: JobView, where: Behind, since: datetime) -> str:
    """Say what happened and what helps, in one line for an admin."""
    began = f"{since.astimezone():%F %T}"
    if where is Behind.START:
        return (
            f"amlfs: the nodes of this job did not come, and Slurm waits for them since {began}, although it has given "
            f"them up; its data stays; restart slurmctld, or scancel {view.called} and submit it again"
        )
    if where is Behind.TEARDOWN:
        mend = "a restart of slurmctld frees it"
        if not view.interactive:
            mend = f"run: scontrol requeuehold {view.called} && scancel {view.called}, or restart slurmctld"
        return (
            f"amlfs: this job is over, and Slurm has not torn down its burst buffer since {began}, "
            f"whose space counts as used; {mend}"
        )
    if where is Behind.OUT:
        return (
            f"amlfs: Slurm has left this job in STAGE_OUT since {began}, with nothing left to export; "
            f"it goes by itself after MinJobAge, or run: scancel --hurry {view.called}"
        )
    if view.interactive:
        return (
            f"amlfs: Slurm has left this job in its stage-in since {began}, which is done; "
            f"srun and salloc cannot be requeued: scancel {job.job_id}, and start it again"
        )
    return (
        f"amlfs: Slurm has left this job in its burst buffer stage since {began}, which is done; "
        f"run: scontrol update JobId={view.called} Requeue=1 && scancel {view.called} && scontrol requeue {view.called}"
    )
