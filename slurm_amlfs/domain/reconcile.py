"""One pass: what was heard, reported and seen goes in; new records, events and wishes come out. Pure.

The order of a pass: reports change the stages they speak of, requests add and alter jobs, Slurm's view ages jobs,
Azure's view ages transfers, each stage takes its step, and last the slots are given away, so that a slot given up in a
pass is used again in the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from slurm_amlfs.domain import (
    adopting,
    by_hsm,
    gating,
    holding,
    importing,
    keeping,
    measuring,
    nudging,
    receipts,
    renewing,
    riding,
    staging_in,
    staging_out,
    telling,
    transfers,
    watchdog,
)
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import (
    Clear,
    Comment,
    Count,
    DropReceipt,
    Errand,
    Evict,
    Mend,
    Notify,
    Probe,
    ProveIn,
    Start,
    TurnGate,
    WriteReceipt,
)
from slurm_amlfs.domain.hearing import hear
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Event, Records, Stage
from slurm_amlfs.domain.report import (
    Archived,
    Counted,
    Examined,
    Exported,
    Fault,
    Freed,
    Probed,
    Report,
    Result,
    Started,
    Trouble,
)
from slurm_amlfs.domain.slot import follow_slot, take_turn
from slurm_amlfs.domain.watching import watch
from slurm_amlfs.domain.world import Rules, Seen
from slurm_amlfs.wire import Request


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pass came to.

    `remarks` are for the log only, and of no job. `unheard` are requests that have to be heard again, `closed` the jobs
    to forget after their records are stored, `wake` when to look again at the latest (None: when something happens).
    """

    records: Records
    events: tuple[Event, ...]
    remarks: tuple[Event, ...]
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
    riding.take_stock(draft)
    for report in reports:
        _take(draft, report)
    unheard = _hear_all(draft, requests)
    holding.follow(draft)
    adopting.adopt(draft)
    for job in list(draft.jobs.values()):
        watch(draft, job)
        watchdog.tend(draft, draft.jobs[job.job_id])
    riding.take_stock(draft)
    renewing.renew(draft)
    for fs in rules.file_systems:
        follow_slot(draft, fs)
    importing.step_all(draft)
    for stage in list(draft.stages.values()):
        _step(draft, stage)
    for fs in rules.file_systems:
        take_turn(draft, fs)
    for job in list(draft.jobs.values()):
        receipts.want(draft, job)
        telling.want(draft, job)
        nudging.want(draft, job)
    gating.turn_gates(draft)
    for job_id in draft.closed:
        _forget(draft, job_id)
    if draft.leases != records.leases:
        # Stages follow leases, and leases each other, so what changed late in a pass tells in the next.
        draft.wake_at(draft.now)
    return Decision(
        draft.records(),
        tuple(draft.events),
        tuple(draft.remarks),
        tuple(draft.errands),
        unheard,
        tuple(draft.closed),
        draft.wake,
    )


def _hear_all(draft: Draft, requests: Sequence[Request]) -> tuple[Request, ...]:
    """Hear what came, in order; behind a request that has to wait, all others of its job wait too."""
    unheard: list[Request] = []
    waiting: set[int] = set()
    for request in requests:
        if request.job_id in waiting or not hear(draft, request):
            unheard.append(request)
            waiting.add(request.job_id)
    return tuple(unheard)


def _step(draft: Draft, stage: Stage) -> None:
    if stage.fs not in draft.rules.file_systems:
        message = f"the file system {stage.fs} is no longer configured; put it back, or cancel the job"
        if stage.message != message:
            draft.put(replace(stage, message=message))
        return
    if stage.key.direction is Direction.IN:
        staging_in.step(draft, stage)
    else:
        staging_out.step(draft, stage)


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
            _take_clear(draft, transfer_id, result)
        case WriteReceipt(job_id, generation):
            receipts.written(draft, job_id, generation, result)
        case DropReceipt(job_id):
            receipts.dropped(draft, job_id, result)
        case Comment():
            _take_comment(draft, errand, result)
        case Notify() | TurnGate() | Mend():
            _take_told(draft, errand, result)
        case Count() | Probe() | ProveIn():
            _take_lease(draft, errand, result)
        case Evict(lease):
            keeping.left(draft, lease, result)
        case _:
            _take_stage(draft, report)


def _take_told(draft: Draft, errand: Notify | TurnGate | Mend, result: Result) -> None:
    """Take what Slurm made of what it was told of a job."""
    match errand:
        case Notify():
            telling.told(draft, errand)
        case TurnGate():
            gating.turned(draft, errand, result)
        case Mend(job_id):
            watchdog.mended(draft, job_id, result)


def _take_lease(draft: Draft, errand: Count | Probe | ProveIn, result: Result) -> None:
    held = draft.leases.get(errand.lease)
    if held is None or held.generation != errand.generation:
        return
    match errand, result:
        case Probe(), Trouble():
            importing.probed(draft, held, Probed(there=False))
        case _, Trouble():
            importing.troubled(draft, held, result)
        case Count(), Counted():
            measuring.counted(draft, held, errand, result)
        case Probe(), Probed():
            importing.probed(draft, held, result)
        case ProveIn(), Examined():
            importing.examined(draft, held, errand, result)


def _take_clear(draft: Draft, transfer_id: str, result: Result) -> None:
    transfer = draft.transfers.get(transfer_id)
    if transfer is None or transfer.holds_slot:
        return
    if isinstance(result, Trouble):
        transfers.not_cleared(draft, transfer, result)
    else:
        del draft.transfers[transfer_id]


def _take_comment(draft: Draft, comment: Comment, result: Result) -> None:
    job = draft.jobs.get(comment.job_id)
    if job is None:
        return
    job = replace(job, commented=draft.now)
    if isinstance(result, Trouble):
        draft.jobs[job.job_id] = job
        if comment.announces:
            draft.job_waits(job, result)
    else:
        draft.jobs[job.job_id] = replace(job, announced=job.announced or comment.announces, comment=comment.text)


def _take_start(draft: Draft, transfer_id: str, result: Result) -> None:
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
        case Exported():
            staging_out.exported(draft, stage, report.result)
        case Archived():
            by_hsm.archived(draft, stage, report.result)
        case Freed():
            staging_out.freed(draft, stage, report.result)
