"""One pass: what was heard, reported and seen goes in; new records, events and wishes come out. Pure.

The order of a pass: reports change the stages they speak of, requests add and alter jobs, Slurm's view ages jobs, each
stage takes its step, and last the slots move, so that a slot given up in a pass is used again in the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from slurm_amlfs.domain import staging_in, staging_out, transfers
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.bulletin import environment
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import (
    Clear,
    Comment,
    Counted,
    Done,
    Errand,
    Examined,
    Exported,
    Fault,
    Freed,
    Report,
    Start,
    Started,
    Trouble,
    WriteReceipt,
)
from slurm_amlfs.domain.hearing import hear
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Event, Records, Stage
from slurm_amlfs.domain.slot import take_turn
from slurm_amlfs.domain.watching import watch
from slurm_amlfs.domain.world import Rules, Seen
from slurm_amlfs.wire import Request


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pass came to.

    `unheard` are requests that have to be heard again, `closed` the jobs to forget after their records are stored,
    `wake` when to look again at the latest (None: when something happens).
    """

    records: Records
    events: tuple[Event, ...]
    errands: tuple[Errand, ...]
    unheard: tuple[Request, ...]
    closed: tuple[int, ...]
    wake: datetime | None


def decide(
    records: Records, rules: Rules, seen: Seen, requests: Sequence[Request] = (), reports: Sequence[Report] = ()
) -> Decision:
    """Decide one pass.

    Raises:
        InvariantError: a phase was to move against the table; the records given are untouched.
    """
    draft = Draft.of(records, rules, seen)
    for report in reports:
        _take(draft, report)
    unheard = tuple(request for request in requests if not hear(draft, request))
    for job in list(draft.jobs.values()):
        watch(draft, job)
    for stage in list(draft.stages.values()):
        _step(draft, stage)
    for fs in rules.file_systems:
        take_turn(draft, fs)
    _want_receipts(draft)
    for job_id in draft.closed:
        _forget(draft, job_id)
    return Decision(
        draft.records(), tuple(draft.events), tuple(draft.errands), unheard, tuple(draft.closed), draft.wake
    )


def _step(draft: Draft, stage: Stage) -> None:
    if stage.key.direction is Direction.IN:
        staging_in.step(draft, stage)
    else:
        staging_out.step(draft, stage)


def _want_receipts(draft: Draft) -> None:
    for job in draft.jobs.values():
        ins = list(draft.of_job(job.job_id, Direction.IN))
        outs = list(draft.of_job(job.job_id, Direction.OUT))
        staging_in.want_receipt(draft, job, environment(draft.rules, ins, outs))


def _forget(draft: Draft, job_id: int) -> None:
    for stage in list(draft.of_job(job_id)):
        del draft.stages[stage.key]
    del draft.jobs[job_id]


def _take(draft: Draft, report: Report) -> None:
    """Let a report change what it speaks of, if that is still there."""
    errand, result = report.errand, report.result
    match errand:
        case Start(transfer):
            _take_start(draft, transfer.transfer_id, result)
        case Clear(_, transfer_id):
            if isinstance(result, Done):
                draft.transfers.pop(transfer_id, None)
        case WriteReceipt(job_id, generation):
            job = draft.jobs.get(job_id)
            if job is not None and job.generation == generation and isinstance(result, Done):
                proved = all(it.phase is Phase.STAGED_IN for it in draft.of_job(job_id, Direction.IN))
                draft.jobs[job_id] = replace(job, receipt=proved)
                draft.note(job_id, "staged in")
            elif isinstance(result, Trouble):
                for stage in list(draft.of_job(job_id, Direction.IN)):
                    draft.put(replace(stage, message=result.message))
        case Comment(job_id, text, announces):
            job = draft.jobs.get(job_id)
            if job is not None:
                announced = job.announced or (announces and isinstance(result, Done))
                draft.jobs[job_id] = replace(job, announced=announced, comment=text, commented=draft.now)
        case _:
            _take_stage(draft, report)


def _take_start(draft: Draft, transfer_id: str, result: object) -> None:
    transfer = draft.transfers.get(transfer_id)
    if transfer is None or not transfer.holds_slot:
        return
    if isinstance(result, Started):
        transfers.started(draft, transfer, result)
    elif isinstance(result, Trouble):
        transfers.refused(draft, transfer, result)


def _take_stage(draft: Draft, report: Report) -> None:
    key = getattr(report.errand, "stage", None)
    stage = draft.stages.get(key) if key is not None else None
    if stage is None or stage.generation != getattr(report.errand, "generation", -1) or stage.phase.over:
        return
    match report.result:
        case Trouble(fault=Fault.PERMANENT) if stage.phase is Phase.RELEASING:
            draft.move(stage, Phase.SETTLED, "not released", report.result.message)
        case Trouble():
            draft.troubled(stage, report.result)
        case Counted():
            staging_in.counted(draft, stage, report.result)
        case Examined():
            staging_in.examined(draft, stage, report.result)
        case Exported():
            staging_out.exported(draft, stage, report.result)
        case Freed():
            staging_out.freed(draft, stage, report.result)
