"""Hold mode: wish for turns of gates. What a gate needs is decided in `gate`, whose job it is found in `holding`."""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain import watching
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Comment, TurnGate
from slurm_amlfs.domain.gate import SAVED_AFTER, Gate, Run, turn
from slurm_amlfs.domain.hearing import hear
from slurm_amlfs.domain.holding import has_ended, keep, looked_at, request_of, waits
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job
from slurm_amlfs.domain.report import Result, Trouble
from slurm_amlfs.domain.view import Hold, JobRecord
from slurm_amlfs.wire import RequestKind

_TURNS = "gate "
"""How the keys of turns begin."""
_HERE = frozenset({Phase.STAGED_IN, Phase.RUNNING, Phase.RELEASING, Phase.SETTLED})


def turn_gates(draft: Draft) -> None:
    """Open the gates of jobs whose data is proved, and shut those of all others."""
    parts: dict[int, list[int]] = {}
    for record in draft.seen.declared.values():
        if record.leader:
            parts.setdefault(record.leader, []).append(record.job.job_id)
    for record in looked_at(draft):
        if not waits(record.job) or f"{_TURNS}{record.job.job_id}" in draft.seen.running:
            continue
        if record.tasks > 1:
            # An owner's own hold is left to him: once he has taken it back, no later task is his to release either.
            wanted = record.job.hold is Hold.OWNER and record.owner_holds
            if record.job.hold is not Hold.ADMIN and not wanted:
                draft.want(TurnGate(record.job.job_id, Hold.ADMIN, record.name))
        elif (job := draft.jobs.get(record.job.job_id)) is not None:
            # To release one part of a heterogeneous job is to release all (job_mgr.c: _release_job).
            whole = parts.get(record.leader, [job.job_id])
            proved = all(_is_proved(draft, draft.jobs.get(part)) for part in whole)
            _turn(draft, record, job, proved=proved and _is_of_run(job, record))
    _announce(draft)


def _announce(draft: Draft) -> None:
    """Have the records of jobs that were let go say so, when no gate waits to be turned: both ask slurmctld."""
    turning = any(isinstance(it, TurnGate) for it in draft.errands)
    if turning or any(it.startswith(_TURNS) for it in draft.seen.running):
        return
    for record in looked_at(draft):
        job = draft.jobs.get(record.job.job_id)
        if job is not None and _is_open(job, record) and not job.announced and draft.job_ready(job):
            draft.want(Comment(job.job_id, watching.summary(draft, job), announces=True))


def _is_open(job: Job, record: JobRecord) -> bool:
    opened = job.run is not None and job.run.gate in {Gate.OPENED, Gate.LEFT}
    return opened and _is_of_run(job, record) and waits(record.job)


def _is_of_run(job: Job, record: JobRecord) -> bool:
    return job.run is not None and job.run.number == record.job.restarts and not has_ended(job)


def _is_proved(draft: Draft, job: Job | None) -> bool:
    """Say whether a job may start: what its board answers by then."""
    if job is None or job.run is None or job.refusal or job.token_in != job.run.token:
        return False
    stages = list(draft.of_job(job.job_id, Direction.IN))
    ran = bool(stages) and all(stage.phase in _HERE - {Phase.STAGED_IN} for stage in stages)
    return (job.receipt or ran) and all(stage.phase in _HERE for stage in stages)


def _turn(draft: Draft, record: JobRecord, job: Job, *, proved: bool) -> None:
    run, hold = job.run or Run(-1), record.job.hold
    if run.gate is Gate.SHUT and hold is Hold.NONE and not proved and _has_failed(draft, job):
        _start_over(draft, record, job)
        return
    if hold is Hold.NONE or (hold is Hold.OWNER and run.gate in {Gate.OPENED, Gate.LEFT}):
        # Whoever released it, too early or not, wants it to start; whoever holds it after the opening does not.
        run = replace(run, owner_holds=hold is Hold.OWNER)
    long_open = run.turned is not None and draft.now - run.turned >= SAVED_AFTER
    if run.gate is Gate.OPENED and run.turned is not None and not long_open:
        draft.wake_at(run.turned + SAVED_AFTER)
    decided = turn(run.gate, hold, proved=proved, owner_holds=run.owner_holds, long_open=long_open)
    if job.run is not None:
        job = _now_known(draft, job, run, decided.gate)
    if decided.hold is Hold.ADMIN or (decided.hold is not None and draft.job_ready(job)):
        draft.want(TurnGate(job.job_id, decided.hold, record.name))


def _now_known(draft: Draft, job: Job, run: Run, gate: Gate) -> Job:
    if gate is Gate.LOOSE and run.gate is not Gate.LOOSE:
        draft.note(job.job_id, "held again", "it had been released, and its data is not there")
    turned = (run.turned or draft.now) if gate is Gate.OPENED else run.turned
    run = replace(run, gate=gate, turned=turned)
    return job if run == job.run else keep(draft, job, run)


def _has_failed(draft: Draft, job: Job) -> bool:
    return bool(job.refusal) or any(it.phase is Phase.FAILED for it in draft.of_job(job.job_id, Direction.IN))


def _start_over(draft: Draft, record: JobRecord, job: Job) -> None:
    """Try again what has failed and an operator has released, as Slurm's burst buffer does, behind a shut gate."""
    if job.refusal:
        hear(draft, request_of(RequestKind.SETUP, record))
    for stage in list(draft.of_job(job.job_id, Direction.IN)):
        if stage.phase is Phase.FAILED:
            draft.move(replace(stage, turns=0, revivals=0), Phase.WAITING, "trying again", "the job was released")
    if job.run is not None:
        keep(draft, draft.jobs[job.job_id], replace(job.run, gate=Gate.LOOSE))
    draft.want(TurnGate(job.job_id, Hold.ADMIN, record.name))


def turned(draft: Draft, errand: TurnGate, result: Result) -> None:
    """Take what became of a turn; only a look that begins after it shows what it did."""
    draft.speak_for(errand.job_id)
    job = draft.jobs.get(errand.job_id)
    if job is None or job.run is None:
        return
    if isinstance(result, Trouble):
        draft.job_waits(job, result)
        return
    job = draft.job_goes_on(job)
    if errand.hold is not Hold.ADMIN:
        keep(draft, job, replace(job.run or Run(-1), gate=Gate.OPENED, turned=draft.now))
        draft.note(job.job_id, "let go" if errand.hold is Hold.NONE else "left to its owner's hold")
