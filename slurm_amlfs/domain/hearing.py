"""What a request does to the records. A request can come twice, late, or for a job that is gone: never an error.

Slurm calls setup and data_in when it begins to stage a job, again after its own restart, and again when a job is
requeued. A restart finds the job as it was; a requeued job has run before, so it starts over with fresh stages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

from slurm_amlfs.domain import keeping, lingering, receipts, runs
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.declaring import stages_of
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Life, Stage
from slurm_amlfs.errors import UserError
from slurm_amlfs.wire import OF_LEASES, Request, RequestKind

_SPENT = frozenset({Phase.RUNNING, Phase.RELEASING, Phase.SETTLED, Phase.FAILED, Phase.CANCELLED})
"""A stage-in that is this far does not serve a new ask."""

_AGAIN = timedelta(seconds=1)

_MAKES_JOBS = frozenset({RequestKind.SETUP, RequestKind.DATA_IN, RequestKind.DATA_OUT})
"""Requests that carry directives; any other of a job that is not known changes nothing."""


_STAGES_IN = frozenset({RequestKind.SETUP, RequestKind.DATA_IN})


def hear(draft: Draft, request: Request) -> bool:
    """Take one request into the records; False if it has to be heard again once Slurm can say whose job it is."""
    if draft.rules.holds:
        request = runs.with_directives(draft, request)
        if not (stands := runs.stands(draft, request)):
            return stands is not None
    if (passed := _is_to_be_passed_over(draft, request)) is not False:
        draft.wake_at(draft.now + _AGAIN)
        return passed is not None
    known = draft.seen.jobs is not None and request.job_id in draft.seen.asked_jobs
    if request.kind in _MAKES_JOBS and not known and _lacks_owner(draft, request):
        return False
    if request.kind in _MAKES_JOBS and _id_is_taken(draft, request):
        draft.wake_at(draft.now + _AGAIN)
        return False
    if request.kind is RequestKind.DATA_IN and _failed_before(draft, request):
        return _hear_again(draft, request, known=known)
    _HEARERS[request.kind](draft, request)
    return True


def ask_in(draft: Draft, request: Request) -> None:
    """Take an ask for a stage-in that comes of Slurm's record, where no hook makes one (hold mode)."""
    _ask_in(draft, request)


def _is_to_be_passed_over(draft: Draft, request: Request) -> bool | None:
    """Say whether a request is of a run that is over; None if a later look at Slurm has to tell."""
    if request.kind in _STAGES_IN:
        return lingering.is_for_one_torn_down(draft, draft.jobs.get(request.job_id))
    return runs.is_of_an_earlier_run(draft, request)


def _lacks_owner(draft: Draft, request: Request) -> bool:
    """Say whether Slurm has to tell first whose job it is: its uid, or the name that a refusal says."""
    uid = _uid(draft, request)
    if uid is None:
        return True
    try:
        stages_of(draft, Job(request.job_id, uid, request.gid, request.directives, draft.now))
    except UserError:
        return True
    return False


def _id_is_taken(draft: Draft, request: Request) -> bool:
    """Say whether an earlier job of this id has still to be exported: a slurmctld that lost its state begins anew."""
    job = draft.jobs.get(request.job_id)
    if job is None or job.closed is not None or job.life is not Life.GONE:
        return False
    same = job.directives == tuple(_storable(line) for line in request.directives) and job.uid == _uid(draft, request)
    return not same and any(not stage.phase.over for stage in draft.of_job(job.job_id, Direction.OUT))


def _failed_before(draft: Draft, request: Request) -> bool:
    """Say whether a new ask comes for a job that waits with a failed stage-in."""
    job = draft.jobs.get(request.job_id)
    if job is None or job.closed is not None or job.life is not Life.PENDING or job.token_in == request.token:
        return False
    return any(stage.phase is Phase.FAILED for stage in draft.of_job(job.job_id, Direction.IN))


def _hear_again(draft: Draft, request: Request, *, known: bool) -> bool:
    """Tell a released job, which starts over, from a held one.

    Slurm stages held jobs again whenever another job waits for its stage-in: bb_p_job_try_stage_in does not look at
    the priority (burst_buffer_lua.c). Nobody has mended anything then, so the answer stays what it was, and costs no
    import. Only a look at Slurm that is younger than the ask can tell.
    """
    job = draft.jobs[request.job_id]
    if job.token_again != request.token:
        draft.jobs[job.job_id] = replace(job, token_again=request.token)
        return False
    if not known:
        return False
    view = (draft.seen.jobs or {}).get(job.job_id)
    if view is not None and view.held:
        draft.jobs[job.job_id] = replace(job, token_in=request.token)
    else:
        _ask_in(draft, request)
    return True


def _know(draft: Draft, request: Request) -> Job | None:
    """Find the job of a request, or make it; what comes with other directives, or after the end, is another job."""
    uid = _uid(draft, request)
    if uid is None:
        return None
    directives = tuple(_storable(line) for line in request.directives)
    job = draft.jobs.get(request.job_id)
    if job is not None and job.directives == directives and job.uid == uid and job.closed is None:
        return job
    generation = 0 if job is None else job.generation + 1
    return _declare(draft, Job(request.job_id, uid, max(request.gid, -1), directives, draft.now, generation))


def _storable(line: str) -> str:
    """Write bytes that are no UTF-8 as text that can be kept; the grammar refuses either."""
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


def _uid(draft: Draft, request: Request) -> int | None:
    """Slurm's word for who owns the job, else the hook's, which only SlurmUser can write."""
    view = (draft.seen.jobs or {}).get(request.job_id)
    if view is not None:
        return view.uid
    if request.uid >= 0:
        return request.uid
    known = draft.jobs.get(request.job_id)
    return None if known is None else known.uid


def _start_over(draft: Draft, job: Job) -> Job:
    """Make a job's stages anew, as its next generation."""
    return _declare(draft, Job(job.job_id, job.uid, job.gid, job.directives, draft.now, job.generation + 1))


def _declare(draft: Draft, job: Job) -> Job:
    """Write a job's directives down as fresh stages, or its refusal."""
    for stage in list(draft.of_job(job.job_id)):
        del draft.stages[stage.key]
    try:
        stages = stages_of(draft, job)
    except UserError as error:
        job = replace(job, refusal=error.message)
        draft.note(job.job_id, "refused", error.message)
    else:
        for stage in stages:
            draft.put(stage)
        job = replace(job, stale_receipt=any(receipts.leaves_receipt(draft, stage) for stage in stages))
        draft.note(job.job_id, "submitted", "; ".join(job.directives))
    draft.jobs[job.job_id] = job
    draft.speak_for(job.job_id)
    return job


def _set_up(draft: Draft, request: Request) -> None:
    """Know the job. One that has run, or was refused, starts over."""
    before = draft.jobs.get(request.job_id)
    job = _know(draft, request)
    if job is not None and job is before and (job.life is not Life.PENDING or job.refusal):
        _start_over(draft, job)


def _ask_in(draft: Draft, request: Request) -> None:
    before = draft.jobs.get(request.job_id)
    if _closed_with(before, request.token, Direction.IN):
        return
    job = _know(draft, request)
    if job is None:
        return
    if request.token != job.token_in:
        spent = any(stage.phase in _SPENT for stage in draft.of_job(job.job_id, Direction.IN))
        if job is before and (job.life is not Life.PENDING or job.refusal or spent):
            job = _start_over(draft, job)
        job = replace(job, announced=False, receipt=False, stale_receipt=job.stale_receipt or bool(job.token_in))
        draft.speak_for(job.job_id)
        for stage in draft.of_job(job.job_id, Direction.IN):
            if stage.phase is Phase.STAGED_IN:
                draft.move(stage, Phase.RESTORING, "proving again")
            else:
                # Between two asks nobody may have counted the job as one that needs its files.
                draft.put(replace(stage, asked=draft.now))
    draft.jobs[job.job_id] = replace(job, token_in=request.token, torn_down=False)
    for stage in draft.of_job(job.job_id, Direction.IN):
        if stage.phase is Phase.DECLARED:
            draft.move(stage, Phase.WAITING)


def _ask_out(draft: Draft, request: Request) -> None:
    """Take the ask for a job's exports. A new one finds what is over done anew: a proof that holds costs no export."""
    if _closed_with(draft.jobs.get(request.job_id), request.token, Direction.OUT):
        return
    job = _know(draft, request)
    if job is None:
        return
    if request.token != job.token_out:
        if job.token_out:
            # It may be the end of another run, whose setup was lost; Slurm's record tells how that one ended.
            job = replace(job, succeeded=None, exit_note=-1)
        job = replace(job, token_out=request.token, generation=job.generation + 1)
        draft.jobs[job.job_id] = job
        draft.speak_for(job.job_id)
        for stage in list(draft.of_job(job.job_id, Direction.OUT)):
            if stage.phase.over:
                draft.put(Stage(stage.key, stage.ask, stage.fs, Phase.DECLARED, draft.now, job.generation))
    if job.life is Life.GONE:
        draft.jobs[job.job_id] = replace(job, life=Life.ENDED)
    _stopped(draft, request)


def _closed_with(job: Job | None, token: str, direction: Direction) -> bool:
    """Say whether an ask is one that the job was closed with, heard again."""
    if job is None or job.closed is None or not token:
        return False
    return token == (job.token_in if direction is Direction.IN else job.token_out)


def _started(draft: Draft, request: Request) -> None:
    _alter(draft, request.job_id, Life.RUNNING)


def _stopped(draft: Draft, request: Request) -> None:
    """Take the end of a job.

    An exit code that is not 0 says that it failed. A 0 may be a job's that ran into its time limit, so it only counts
    when Slurm can no longer be asked.
    """
    job = draft.jobs.get(request.job_id)
    if request.kind is RequestKind.ENDED and job is not None and job.life is Life.PENDING:
        # EpilogSlurmctld also runs for a job that had nodes and never began: they did not come, or it was cancelled.
        # Whether it is over is for Slurm to say; the code is kept for when Slurm has forgotten the job.
        draft.jobs[job.job_id] = replace(job, exit_note=request.exit_code)
        return
    _alter(draft, request.job_id, Life.ENDED)
    job = draft.jobs.get(request.job_id)
    if job is not None and job.succeeded is None and request.exit_code >= 0:
        failed = request.exit_code > 0
        draft.jobs[job.job_id] = replace(job, exit_note=request.exit_code, succeeded=False if failed else None)


def _alter(draft: Draft, job_id: int, life: Life) -> None:
    job = draft.jobs.get(job_id)
    order = list(Life)
    if job is None or order.index(job.life) >= order.index(life):
        return
    draft.jobs[job_id] = replace(job, life=life, run=runs.seen_to_run(job.run) if life is Life.RUNNING else job.run)
    draft.note(job_id, "started" if life is Life.RUNNING else "ended")


def _tear_down(draft: Draft, request: Request) -> None:
    """Remember the teardown; whether the job lives is for Slurm to say, since a restart of slurmctld tears down too."""
    job = draft.jobs.get(request.job_id)
    if job is None or job.closed is not None:
        return
    draft.jobs[job.job_id] = replace(job, torn_down=True)
    if request.hurry and job.life in {Life.RUNNING, Life.ENDED}:
        for stage in draft.of_job(job.job_id, Direction.OUT):
            if not stage.phase.over:
                draft.move(stage, Phase.CANCELLED, "export dropped", "the job was cancelled with --hurry")


def _may(draft: Draft, request: Request) -> Job | None:
    job = draft.jobs.get(request.job_id)
    return job if job is not None and request.sender_uid in {0, job.uid} else None


def _retry(draft: Draft, request: Request) -> None:
    job = _may(draft, request)
    if job is None:
        return
    for stage in draft.of_job(job.job_id):
        if stage.phase is Phase.FAILED:
            fresh = replace(stage, turns=0, todo=(), revivals=0)
            draft.move(fresh, Phase.WAITING, "trying again", "asked for")


def _cancel(draft: Draft, request: Request) -> None:
    job = _may(draft, request)
    if job is None:
        return
    for stage in draft.of_job(job.job_id, Direction.OUT):
        if not stage.phase.over or stage.phase is Phase.FAILED:
            draft.move(stage, Phase.CANCELLED, "export dropped", "asked for")


def _about_leases(draft: Draft, request: Request) -> None:
    """Do what an operator says of leases; anybody else, or for a strange file system, is passed over."""
    if request.sender_uid in draft.rules.operators and request.fs in draft.rules.file_systems:
        say = {RequestKind.PIN: keeping.pin, RequestKind.UNPIN: keeping.unpin, RequestKind.EVICT: keeping.evict}
        say[request.kind](draft, request.fs, request.prefix)
    else:
        draft.remark("passed-over", f"{request.kind.value} {request.fs} {request.prefix} of uid {request.sender_uid}")


_HEARERS: Mapping[RequestKind, Callable[[Draft, Request], object]] = MappingProxyType(
    {
        RequestKind.SETUP: _set_up,
        RequestKind.DATA_IN: _ask_in,
        RequestKind.PRE_RUN: _started,
        RequestKind.POST_RUN: _stopped,
        RequestKind.ENDED: _stopped,
        RequestKind.DATA_OUT: _ask_out,
        RequestKind.TEARDOWN: _tear_down,
        RequestKind.RETRY: _retry,
        RequestKind.CANCEL: _cancel,
        **dict.fromkeys(OF_LEASES, _about_leases),
    }
)
