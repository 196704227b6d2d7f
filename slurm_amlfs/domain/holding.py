"""Hold mode: duties are found in Slurm's own records, and jobs wait for their data in Slurm's hold.

Where there is no burst buffer plugin, nothing asks for a stage-in and nothing waits for the answer. So each run of a
pending job asks by being seen, once it waits for nothing but its data; its gate is opened when that is proved, and
whoever is seen outside before is held again. Slurm splits tasks off an array whose jobs have a burst_buffer, held ones
too (job_scheduler.c: build_job_queue), so each task is a job here; what is left in the array's record stays shut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.gate import Gate, Run
from slurm_amlfs.domain.hearing import ask_in, hear
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Life
from slurm_amlfs.domain.view import Hold, JobName, JobRecord, JobView
from slurm_amlfs.wire import Request, RequestKind

EARLY = timedelta(minutes=10)
"""So long before its begin time a job is staged in; a requeued one waits for two minutes by itself."""

_LEAVING = frozenset({Phase.DECLARED, Phase.WAITING, Phase.EXPORTING, Phase.COPYING})
_RUNS = frozenset({"RUNNING", "SUSPENDED"})
_PENDING: Final = "PENDING"
_ONCE_HELD: Final = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT"})
"""What Slurm calls a job that it has requeued and held for failing; the first word stays when it is released."""
_FAILED: Final = frozenset({"JobHoldMaxRequeue", "job requeued in special exit state"})
"""Why it holds it then, as long as nobody has released it."""


def follow(draft: Draft) -> None:
    """Take up what Slurm's records say of jobs with directives."""
    for record in looked_at(draft):
        view, job = record.job, draft.jobs.get(record.job.job_id)
        if record.tasks > 1:
            continue
        if waits(view):
            _wait(draft, record)
        elif view.job_state in _RUNS and (job is None or job.run is None or _runs_again(draft, job)):
            # The daemon has lost its memory, or the site has changed to hold mode, or slurmctld has forgotten a run.
            _ask(draft, record, _begin(draft, record))


def waits(view: JobView) -> bool:
    """Say whether a job is pending, and not held for what it did itself: such a hold is none of ours to end."""
    return view.job_state == _PENDING or (view.job_state in _ONCE_HELD and view.reason not in _FAILED)


def looked_at(draft: Draft) -> Iterator[JobRecord]:
    """Yield the records that are younger than all that is known of their jobs."""
    for job_id, record in draft.seen.declared.items():
        if job_id in draft.seen.asked_jobs and job_id not in draft.spoken_for:
            yield record


def _wait(draft: Draft, record: JobRecord) -> None:
    job = draft.jobs.get(record.job.job_id)
    if job is None or job.closed is not None or job.life is not Life.PENDING or not _is_same(job.run, record):
        if job is not None and not _is_over(draft, job):
            return
        job = _begin(draft, record)
    run = job.run
    if run is not None and not record.after <= run.after:
        job = keep(draft, job, replace(run, after=run.after | record.after))
    if run is None or job.token_in == run.token:
        return
    why = _waits_for(draft, record, job)
    if why:
        _say(draft, job, why)
    else:
        _ask(draft, record, job)


def has_ended(job: Job) -> bool:
    """Say whether the run that is known is over, so that a record which waits or runs is of another.

    It may bear the same number: a slurmctld that is killed forgets the starts and ends that it has not saved.
    """
    return job.life in {Life.ENDED, Life.GONE}


def _runs_again(draft: Draft, job: Job) -> bool:
    """Say whether a job runs whose end was heard of, and the exports of that end are over: this end needs others."""
    outs = draft.of_job(job.job_id, Direction.OUT)
    return has_ended(job) and all(stage.phase.over or stage.phase is Phase.DECLARED for stage in outs)


def _is_same(run: Run | None, record: JobRecord) -> bool:
    return run is not None and (run.number, run.submitted) == (record.job.restarts, record.job.submitted)


def _is_over(draft: Draft, job: Job) -> bool:
    """See to it that the exports of an earlier run are over: those begun go on, the others would take another's."""
    if job.closed is not None:
        return True
    outs = list(draft.of_job(job.job_id, Direction.OUT))
    for stage in outs:
        if stage.phase is Phase.WAITING or (stage.phase is Phase.DECLARED and job.life is not Life.PENDING):
            draft.move(stage, Phase.SETTLED, "not exported", "the job was requeued")
    outs = list(draft.of_job(job.job_id, Direction.OUT))
    return all(stage.phase.over or stage.phase is Phase.DECLARED for stage in outs)


def _begin(draft: Draft, record: JobRecord) -> Job:
    """Know a job's run; its stages are fresh if it has run before."""
    view, before = record.job, draft.jobs.get(record.job.job_id)
    hear(draft, request_of(RequestKind.SETUP, record))
    owner_holds = record.owner_holds and (view.task is None or view.hold is Hold.OWNER)
    if view.restarts or _ran(before, view):
        # Who wanted it held at its submission has let it go since.
        owner_holds = view.hold is Hold.OWNER or (view.hold is Hold.ADMIN and _was_held_meanwhile(before))
    gate = Gate.LOOSE if waits(view) else Gate.LEFT
    run = Run(view.restarts, gate, owner_holds=owner_holds, after=record.after, submitted=view.submitted)
    return keep(draft, replace(draft.jobs[view.job_id], announced=False), run)


def _ran(job: Job | None, view: JobView) -> bool:
    """Say whether this very job is known to have started, also where slurmctld has forgotten that."""
    known = job is not None and job.run is not None and job.run.submitted == view.submitted
    return known and job is not None and job.life is not Life.PENDING


def _was_held_meanwhile(job: Job | None) -> bool:
    """Say whether a run was held by its owner, and its gate shut for operators, while exports of the last one ended."""
    run = job.run if job is not None and has_ended(job) else None
    return run is not None and run.owner_holds and run.gate in {Gate.LOOSE, Gate.SHUT}


def keep(draft: Draft, job: Job, run: Run) -> Job:
    """Keep what is known of a job's run."""
    kept = draft.jobs[job.job_id] = replace(job, run=run)
    return kept


def _ask(draft: Draft, record: JobRecord, job: Job) -> None:
    """Ask for the stage-in of a run, as a hook does."""
    run = job.run
    if run is not None and job.refusal:
        # Its directives were refused just now; to ask in its name would have them read, and refused, once more.
        draft.jobs[job.job_id] = replace(job, token_in=run.token)
    elif run is not None:
        ask_in(draft, request_of(RequestKind.DATA_IN, record, run.token))
        keep(draft, draft.jobs[job.job_id], run)


def request_of(kind: RequestKind, record: JobRecord, token: str = "") -> Request:
    """Make the request that a hook would."""
    view = record.job
    return Request(kind, view.job_id, token, uid=view.uid, directives=record.directives, sender_uid=0)


def _waits_for(draft: Draft, record: JobRecord, job: Job) -> str:
    """Say what a job waits for before its stage-in may begin, "" if for nothing."""
    if record.after:
        return f"waiting for {_names(record.after)}, which it depends on"
    after = frozenset() if job.run is None else job.run.after
    for other in draft.jobs.values() if after else ():
        leaving = any(stage.phase in _LEAVING for stage in draft.of_job(other.job_id, Direction.OUT))
        if leaving and other.job_id != job.job_id and not after.isdisjoint(_names_of(draft, other)):
            return f"waiting for the exports of job {other.job_id}, which it depends on"
    if record.begins is not None and draft.now + EARLY < record.begins:
        draft.wake_at(record.begins - EARLY)
        return "waiting for its begin time"
    return ""


def _names(jobs: frozenset[JobName]) -> str:
    ids = sorted({it.job_id for it in jobs})
    return f"job {ids[0]}" if len(ids) == 1 else f"job {ids[0]} and {len(ids) - 1} more"


def _names_of(draft: Draft, job: Job) -> frozenset[JobName]:
    record = draft.seen.declared.get(job.job_id)
    return frozenset({JobName(job.job_id)}) if record is None else record.job.names


def _say(draft: Draft, job: Job, why: str) -> None:
    stage = next(draft.of_job(job.job_id), None)
    if stage is not None and stage.message != why:
        draft.put(replace(stage, message=why))
