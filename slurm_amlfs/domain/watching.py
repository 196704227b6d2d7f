"""How jobs live and die as Slurm shows it, and what that means for their stages.

Slurm's records decide, not its hooks: slurmctld's restart tears down jobs that live (lua.c, _recover_job_bb), so a
teardown alone ends nothing. A job is gone when Slurm says so, or no longer knows it.
"""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain import lingering, receipts, riding, runs
from slurm_amlfs.domain.ask import Direction, ExportOn
from slurm_amlfs.domain.bulletin import missing_note
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Comment
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Life, Stage
from slurm_amlfs.domain.view import JobView

_RUNS = frozenset({"RUNNING", "SUSPENDED", "SIGNALING", "STOPPED", "RESIZING"})
_ENDS = frozenset({"STAGE_OUT"})
_WAITS_AGAIN = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
"""What Slurm shows of a job whose stage-out waits if it was requeued: the requeue drops STAGE_OUT."""
_ENDED_TO_RUN_AGAIN = "the job was requeued; on=each-run would export what a run leaves"
_BAD_ENDS = frozenset({"TimeLimit", "NodeDown", "NodeFail", "JobLaunchFailure", "OutOfMemory", "DeadLine"})
"""Reasons of a job in STAGE_OUT whose exit code alone would look well (job_reason_string)."""


def watch(draft: Draft, job: Job) -> None:
    """Follow one job, and let its stages follow it."""
    job = _follow(draft, job)
    draft.jobs[job.job_id] = job
    for stage in list(draft.of_job(job.job_id)):
        if stage.key.direction is Direction.IN:
            _follow_in(draft, job, stage)
        else:
            _follow_out(draft, job, stage)
    _close(draft, job)


def _follow(draft: Draft, job: Job) -> Job:
    if not _seen(draft, job) or job.closed is not None:
        return job
    view = (draft.seen.jobs or {}).get(job.job_id)
    if view is None or view.job_state in lingering.OVER:
        return _left(draft, job, view)
    if view.job_state in _RUNS and job.life is Life.PENDING:
        draft.note(job.job_id, "started")
        return replace(job, life=Life.RUNNING, run=runs.seen_to_run(job.run))
    if view.job_state in _ENDS:
        if job.life is not Life.ENDED:
            draft.note(job.job_id, "ended")
        return replace(job, life=Life.ENDED, succeeded=_well(view))
    if view.bb_state == "staged-in" and not job.announced and _staged_in(draft, job) and draft.job_ready(job):
        draft.want(Comment(job.job_id, summary(draft, job), announces=True))
    return job


def _left(draft: Draft, job: Job, view: JobView | None) -> Job:
    """Take that a job is over, or that Slurm no longer knows it: then whatever it has left of its duties is done."""
    ran = (job.life in {Life.RUNNING, Life.ENDED} or _ran_unheard(job, view)) and not job.token_out
    if view is not None and (lingering.is_being_mended(job, view) or lingering.may_be_hurried(draft, job, view)):
        return job
    begun = job.life is Life.PENDING and view is not None and runs.has_begun(draft, job, view)
    if begun is None:
        return draft.jobs[job.job_id]
    if job.life is not Life.GONE:
        draft.note(job.job_id, "left Slurm", "" if view is None else view.job_state)
    gone = replace(job, life=Life.GONE, succeeded=job.succeeded if view is None else _well(view))
    return replace(gone, orphaned=job.orphaned or ran) if job.run is None else _ask_for_exports(job, gone, ran=begun)


def _ran_unheard(job: Job, view: JobView | None) -> bool:
    """Say whether a record tells of a run that is not known: the memory is an older copy, and no hook tells again."""
    return job.life is Life.PENDING and view is not None and runs.tells_of_a_run(view)


def _ask_for_exports(before: Job, gone: Job, *, ran: bool) -> Job:
    """Where no hook asks, take the end of a job that has run for the ask; its note, by the same token, adds nothing."""
    if gone.run is None or gone.token_out or not (ran or before.life is not Life.PENDING):
        return gone
    return replace(gone, token_out=gone.run.token)


def _well(view: JobView) -> bool:
    return (
        view.job_state in {"COMPLETED", *_ENDS}
        and view.exit_code == 0
        and view.exit_signal == 0
        and view.reason not in _BAD_ENDS
    )


def _staged_in(draft: Draft, job: Job) -> bool:
    return all(stage.phase is Phase.STAGED_IN for stage in draft.of_job(job.job_id, Direction.IN))


def summary(draft: Draft, job: Job) -> str:
    """Say what was staged in, for the job's AdminComment."""
    stages = list(draft.of_job(job.job_id, Direction.IN))
    if not stages:
        return "amlfs: nothing to stage in; its exports are known"
    files = sum(stage.files_done for stage in stages)
    text = f"amlfs: staged in, {files:,} files, {sum(stage.bytes_done for stage in stages):,} bytes"
    return text + missing_note(stages)


def _follow_in(draft: Draft, job: Job, stage: Stage) -> None:
    if stage.phase is Phase.STAGED_IN and job.life in {Life.RUNNING, Life.ENDED}:
        stage = draft.move(stage, Phase.RUNNING)
    if stage.phase is Phase.RUNNING and (job.life is Life.GONE or (job.life is Life.ENDED and job.torn_down)):
        riding.leave(draft, stage)
        draft.move(stage, Phase.RELEASING if stage.ask.release else Phase.SETTLED)
    elif _pointless(job, stage):
        riding.leave(draft, stage)
        draft.move(stage, Phase.CANCELLED, "import dropped", "the job is gone")


def _pointless(job: Job, stage: Stage) -> bool:
    """Say whether a stage-in serves nobody: its job is over and never used it."""
    if stage.phase is Phase.FAILED:
        return job.life is Life.GONE
    used = stage.phase in {Phase.RUNNING, Phase.RELEASING}
    return job.life in {Life.GONE, Life.ENDED} and not used and not stage.phase.over


def _follow_out(draft: Draft, job: Job, stage: Stage) -> None:
    waits = stage.phase in {Phase.DECLARED, Phase.WAITING} and stage.ask.on is not ExportOn.EACH_RUN
    if waits and _requeued(draft, job):
        draft.move(stage, Phase.SETTLED, "not exported", _ENDED_TO_RUN_AGAIN)
        return
    if stage.phase is not Phase.DECLARED:
        return
    # In hold mode a job that has ended may still be completing: its processes write until it has left Slurm.
    ended = job.life is Life.ENDED and job.run is None and _seen(draft, job) and not _is_completing(draft, job)
    if (job.token_out or job.orphaned) and (job.life is Life.GONE or ended):
        _begin_out(draft, job, stage)
    elif job.life is Life.GONE:
        draft.move(stage, Phase.CANCELLED, "export dropped", "the job is gone and Slurm did not ask for its export")


def _seen(draft: Draft, job: Job) -> bool:
    """Say whether Slurm was looked at after the job was last heard of."""
    return draft.seen.jobs is not None and job.job_id in draft.seen.asked_jobs and job.job_id not in draft.spoken_for


def _requeued(draft: Draft, job: Job) -> bool:
    """Say whether an ended job is to run again, so that what it left is not its result."""
    if not job.token_out or job.life is not Life.ENDED or not _seen(draft, job):
        return False
    view = (draft.seen.jobs or {}).get(job.job_id)
    return view is not None and view.job_state in _WAITS_AGAIN


def _is_completing(draft: Draft, job: Job) -> bool:
    """Say whether a job's nodes clean up: its processes may write yet, and whether it was requeued does not show."""
    view = (draft.seen.jobs or {}).get(job.job_id)
    return view is not None and view.job_state == "COMPLETING"


def _begin_out(draft: Draft, job: Job, stage: Stage) -> None:
    any_end = stage.ask.on in {ExportOn.ALWAYS, ExportOn.EACH_RUN}
    if job.succeeded is None and not any_end and job.life is Life.ENDED:
        return
    well = job.exit_note == 0 if job.succeeded is None else job.succeeded
    if any_end or well is (stage.ask.on is ExportOn.SUCCESS):
        draft.move(stage, Phase.WAITING)
    else:
        draft.move(stage, Phase.SETTLED, "not exported", f"on={stage.ask.on.value} and the job ended otherwise")


def _close(draft: Draft, job: Job) -> None:
    """Close a job whose every stage is over and that Slurm has done with; forget it when its board has been kept."""
    if job.closed is None:
        if not (job.life is Life.GONE or (job.life is Life.ENDED and job.torn_down)):
            return
        stages = list(draft.of_job(job.job_id))
        failed_out = any(stage.phase is Phase.FAILED and stage.key.direction is Direction.OUT for stage in stages)
        if failed_out or not all(stage.phase.over for stage in stages):
            return
        littered = any(receipts.leaves_receipt(draft, stage) for stage in stages)
        job = replace(job, closed=draft.now, receipt=False, stale_receipt=littered)
        if not lingering.is_held_up(draft, job):
            job = replace(job, behind=None, alarm="", mending=None)
        draft.jobs[job.job_id] = job
        draft.note(job.job_id, "closed")
    worth = any(stage.phase is Phase.SETTLED for stage in draft.of_job(job.job_id))
    until = (job.closed or draft.now) + draft.rules.keep_board
    if worth and draft.now < until:
        draft.wake_at(until)
    elif not job.stale_receipt and not lingering.is_held_up(draft, job):
        draft.closed.append(job.job_id)
