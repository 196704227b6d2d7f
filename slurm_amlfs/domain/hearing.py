"""What a request does to the records. A request can come twice, late, or for a job that is gone: never an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from slurm_amlfs.domain import directive, policy
from slurm_amlfs.domain.ask import Ask, Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Life, Stage, StageKey
from slurm_amlfs.errors import UserError
from slurm_amlfs.wire import Request, RequestKind

_UNASKED = frozenset({Phase.RUNNING, Phase.RELEASING, Phase.SETTLED, Phase.FAILED, Phase.CANCELLED})
"""A stage-in that is this far does not serve a new ask: the job starts over."""


def hear(draft: Draft, request: Request) -> bool:
    """Take one request into the records; False if it has to be heard again once Slurm can say whose job it is."""
    known = draft.seen.jobs is not None and request.job_id in draft.seen.asked_jobs
    if not known and _uid(draft, request) is None:
        return False
    _HEARERS[request.kind](draft, request)
    return True


def _know(draft: Draft, request: Request) -> Job | None:
    """Find the job of a request, or make it; a job that starts over gets fresh stages."""
    uid = _uid(draft, request)
    if uid is None:
        return None
    job = draft.jobs.get(request.job_id)
    if job is not None and job.directives == request.directives and job.uid == uid and job.closed is None:
        return job
    generation = 0 if job is None else job.generation + 1
    job = Job(request.job_id, uid, max(request.gid, -1), request.directives, draft.now, generation)
    return _declare(draft, job)


def _uid(draft: Draft, request: Request) -> int | None:
    """Slurm's word for who owns the job, else the hook's, which only SlurmUser can write."""
    view = (draft.seen.jobs or {}).get(request.job_id)
    if view is not None:
        return view.uid
    if request.uid >= 0:
        return request.uid
    known = draft.jobs.get(request.job_id)
    return None if known is None else known.uid


def _declare(draft: Draft, job: Job) -> Job:
    """Write a job's directives down as fresh stages, or its refusal."""
    for stage in list(draft.of_job(job.job_id)):
        del draft.stages[stage.key]
    try:
        for stage in _stages(draft, job):
            draft.put(stage)
    except UserError as error:
        job = replace(job, refusal=error.message)
        for stage in list(draft.of_job(job.job_id)):
            del draft.stages[stage.key]
        draft.note(job.job_id, "refused", error.message)
    else:
        draft.note(job.job_id, "submitted", "; ".join(job.directives))
    draft.jobs[job.job_id] = job
    return job


def _stages(draft: Draft, job: Job) -> list[Stage]:
    asks = [directive.parse(line) for line in job.directives]
    stages = []
    for direction in Direction:
        for line, ask in enumerate(ask for ask in asks if ask.direction is direction):
            stages.append(_stage(draft, job, StageKey(job.job_id, direction, line), ask))
    return stages


def _stage(draft: Draft, job: Job, key: StageKey, ask: Ask) -> Stage:
    fs = policy.choose_file_system(ask.fs, tuple(draft.rules.file_systems))
    policy.check(ask, fs, job.uid, draft.rules.grants)
    return Stage(key, ask, fs, Phase.DECLARED, draft.now, job.generation)


def _ask_in(draft: Draft, request: Request) -> None:
    job = _know(draft, request)
    if job is None:
        return
    again = request.token != job.token_in
    stages = list(draft.of_job(job.job_id, Direction.IN))
    if again and any(stage.phase in _UNASKED for stage in draft.of_job(job.job_id)):
        job = _declare(draft, Job(job.job_id, job.uid, job.gid, job.directives, draft.now, job.generation + 1))
        stages = list(draft.of_job(job.job_id, Direction.IN))
    draft.jobs[job.job_id] = replace(
        job, token_in=request.token, announced=job.announced and not again, torn_down=job.torn_down and not again
    )
    for stage in stages:
        if stage.phase is Phase.DECLARED:
            draft.move(stage, Phase.WAITING)
        elif again and stage.phase is Phase.STAGED_IN:
            draft.move(stage, Phase.RESTORING, "proving again")
            draft.jobs[job.job_id] = replace(draft.jobs[job.job_id], receipt=False)


def _ask_out(draft: Draft, request: Request) -> None:
    job = _know(draft, request)
    if job is None:
        return
    draft.jobs[job.job_id] = replace(job, token_out=request.token)
    _stopped(draft, request)


def _started(draft: Draft, request: Request) -> None:
    _alter(draft, request.job_id, Life.RUNNING)


def _stopped(draft: Draft, request: Request) -> None:
    """Take the end of a job; the exit code counts as soon as a hook knows it, Slurm's own record corrects it later."""
    _alter(draft, request.job_id, Life.ENDED)
    job = draft.jobs.get(request.job_id)
    if job is not None and job.succeeded is None and request.exit_code >= 0:
        draft.jobs[job.job_id] = replace(job, succeeded=request.exit_code == 0)


def _alter(draft: Draft, job_id: int, life: Life) -> None:
    job = draft.jobs.get(job_id)
    order = list(Life)
    if job is None or order.index(job.life) >= order.index(life):
        return
    draft.jobs[job_id] = replace(job, life=life)
    draft.note(job_id, "started" if life is Life.RUNNING else "ended")


def _tear_down(draft: Draft, request: Request) -> None:
    """Remember the teardown; whether the job lives is for Slurm to say, since a restart of slurmctld tears down too."""
    job = draft.jobs.get(request.job_id)
    if job is None:
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
            draft.move(replace(stage, turns=0), Phase.WAITING, "trying again", "asked for")


def _cancel(draft: Draft, request: Request) -> None:
    job = _may(draft, request)
    if job is None:
        return
    for stage in draft.of_job(job.job_id, Direction.OUT):
        if not stage.phase.over or stage.phase is Phase.FAILED:
            draft.move(stage, Phase.CANCELLED, "export dropped", "asked for")


_HEARERS: Mapping[RequestKind, Callable[[Draft, Request], object]] = MappingProxyType(
    {
        RequestKind.SETUP: _know,
        RequestKind.DATA_IN: _ask_in,
        RequestKind.PRE_RUN: _started,
        RequestKind.POST_RUN: _stopped,
        RequestKind.ENDED: _stopped,
        RequestKind.DATA_OUT: _ask_out,
        RequestKind.TEARDOWN: _tear_down,
        RequestKind.RETRY: _retry,
        RequestKind.CANCEL: _cancel,
    }
)
