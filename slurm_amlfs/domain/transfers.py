"""One transfer from intention to its end, on nothing but what Azure shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain import keeping, lateness
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Start, Stop, key_of
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.records import Outcome, Transfer, TransferKind, TransferPhase
from slurm_amlfs.domain.report import Fault, Started, Trouble
from slurm_amlfs.domain.view import ArchiveState, ArchiveView, ImportState, ImportView
from slurm_amlfs.domain.world import FsSeen, backoff

_STOP_AGAIN = timedelta(seconds=10)
_ASK_AGAIN = timedelta(minutes=10)

_IMPORT_OUTCOMES = {
    ImportState.COMPLETED: Outcome.COMPLETED,
    ImportState.COMPLETED_PARTIAL: Outcome.PARTIAL,
    ImportState.FAILED: Outcome.FAILED,
    ImportState.CANCELED: Outcome.CANCELLED,
}

_ARCHIVE_OUTCOMES = {
    ArchiveState.COMPLETED: Outcome.COMPLETED,
    ArchiveState.IDLE: Outcome.COMPLETED,
    ArchiveState.FAILED: Outcome.FAILED,
    ArchiveState.CANCELED: Outcome.CANCELLED,
    ArchiveState.NOT_CONFIGURED: Outcome.FAILED,
}


def follow(draft: Draft, transfer: Transfer, seen: FsSeen | None) -> None:
    """Take what the latest look at the file system says of a transfer that holds the slot, or does so after all."""
    transfer = _found_again(draft, transfer, seen)
    if not transfer.holds_slot:
        return
    wanted = any(draft.riders.get(key) or _is_awaited(draft, key) for key in transfer.leases) or any(
        (stage := draft.stages.get(key)) is not None
        and stage.transfer_id == transfer.transfer_id
        and not stage.phase.over
        for key in transfer.stages
    )
    transfer = replace(transfer, unwanted=not wanted)
    draft.transfers[transfer.transfer_id] = transfer
    if seen is None or seen.view is None:
        return
    if transfer.kind is TransferKind.IMPORT:
        _follow_import(draft, transfer, seen)
    else:
        _follow_archive(draft, transfer, seen)


def may_be_taken(draft: Draft, transfer: Transfer, seen: FsSeen) -> bool:
    """Say whether Azure may have taken a transfer that the latest look does not show: it is, or was since, asked."""
    asking = key_of(Start(transfer)) in draft.seen.running
    return asking or (transfer.asked is not None and seen.seen <= transfer.asked)


def _found_again(draft: Draft, transfer: Transfer, seen: FsSeen | None) -> Transfer:
    """Follow an import again that was given up and is shown after all: it has the slot, whatever was begun since."""
    if transfer.outcome is not Outcome.VANISHED or transfer.kind is not TransferKind.IMPORT or seen is None:
        return transfer
    if not any(it.name == transfer.transfer_id and not it.import_state.over for it in seen.imports):
        return transfer
    draft.remark("transfer found again", f"{transfer.fs} {transfer.transfer_id}")
    for held in [it for key in transfer.leases if (it := draft.leases.get(key)) is not None and it.wants]:
        draft.put_lease(replace(held, not_before=None, waits_in_a_row=0, message=""))
    found = replace(
        lateness.found(transfer),
        phase=TransferPhase.ASKED,
        outcome=Outcome.NONE,
        ended=None,
        landed=False,
        not_before=None,
        message="",
    )
    draft.transfers[transfer.transfer_id] = found
    return found


def _is_awaited(draft: Draft, key: LeaseKey) -> bool:
    held = draft.leases.get(key)
    return key in draft.foreseen or (held is not None and keeping.wanted(draft, held))


def _follow_import(draft: Draft, transfer: Transfer, seen: FsSeen) -> None:
    view = next((it for it in seen.imports if it.name == transfer.transfer_id), None)
    if view is None:
        _unseen(draft, transfer, seen)
        return
    transfer = lateness.found(_asked(draft, transfer))
    transfer = replace(
        transfer,
        started=view.started or transfer.started,
        completed=view.completed or transfer.completed,
        errors=view.errors,
        conflicts=view.conflicts,
        imported=view.blobs_imported,
        message=view.message,
    )
    if view.import_state.over:
        _end(draft, transfer, _IMPORT_OUTCOMES[view.import_state])
    else:
        _go_on(draft, transfer)


def _follow_archive(draft: Draft, transfer: Transfer, seen: FsSeen) -> None:
    view = next((it for it in seen.view.archives if _is_ours(it, transfer)), None) if seen.view else None
    if view is None:
        _unseen(draft, transfer, seen)
        return
    transfer = lateness.found(_asked(draft, transfer))
    transfer = replace(transfer, started=view.started, imported=view.percent, message=view.error)
    if view.archive_state.over:
        _end(draft, transfer, _ARCHIVE_OUTCOMES[view.archive_state])
    else:
        _go_on(draft, transfer)


def _is_ours(view: ArchiveView, transfer: Transfer) -> bool:
    return view.path == transfer.prefixes[0] and view.started is not None and view.started != transfer.baseline


def _asked(draft: Draft, transfer: Transfer) -> Transfer:
    if transfer.phase is not TransferPhase.INTENDED:
        return transfer
    word = "import started" if transfer.kind is TransferKind.IMPORT else "export started"
    riders = [key for held in transfer.leases for key in draft.riders.get(held, ())]
    for job_id in sorted({key.job_id for key in (*riders, *transfer.stages)}):
        draft.note(job_id, word, f"{transfer.transfer_id} {', '.join(transfer.prefixes)}")
    return replace(transfer, phase=TransferPhase.ASKED, asked=draft.now, not_before=None, waits_in_a_row=0)


def _go_on(draft: Draft, transfer: Transfer) -> None:
    transfer = lateness.watch(draft, transfer)
    if transfer.unwanted:
        if not draft.sits_out(transfer.not_before):
            draft.want(Stop(transfer))
            transfer = replace(transfer, not_before=draft.now + _STOP_AGAIN)
        draft.wake_at(transfer.not_before or draft.now)
    draft.transfers[transfer.transfer_id] = transfer


def _end(draft: Draft, transfer: Transfer, outcome: Outcome) -> None:
    ended = replace(transfer, phase=TransferPhase.OVER, outcome=outcome, ended=draft.now, not_before=None)
    draft.transfers[transfer.transfer_id] = ended


def _unseen(draft: Draft, transfer: Transfer, seen: FsSeen) -> None:
    """Decide about a transfer that Azure does not show: not asked yet, not shown yet, or gone."""
    if transfer.phase is TransferPhase.INTENDED:
        if transfer.unwanted and not may_be_taken(draft, transfer, seen):
            _end(draft, transfer, Outcome.CANCELLED)
        return
    transfer = draft.transfers[transfer.transfer_id] = lateness.missed(transfer, seen)
    if lateness.is_gone(transfer):
        draft.remark("transfer vanished", f"{transfer.fs} {transfer.transfer_id}")
        _end(draft, replace(transfer, message="Azure took it, and does not show it"), Outcome.VANISHED)
        # Until then it may be asked for again by its name, which one that still runs meets; nothing deletes it before.
        gone = draft.transfers[transfer.transfer_id]
        draft.transfers[transfer.transfer_id] = replace(gone, not_before=draft.now + _ASK_AGAIN)


def started(draft: Draft, transfer: Transfer, result: Started) -> None:
    """Take Azure's word that it has begun."""
    transfer = _asked(draft, transfer)
    view: ImportView | None = result.view
    began = view.started if view is not None else None
    draft.transfers[transfer.transfer_id] = replace(
        transfer, correlation_id=result.correlation_id, started=began or transfer.started
    )


def not_cleared(draft: Draft, transfer: Transfer, trouble: Trouble) -> None:
    """Ask again later for the record of an import to be deleted."""
    pause = backoff(transfer.waits_in_a_row, trouble.retry_after, draft.rules.longest_wait)
    draft.transfers[transfer.transfer_id] = replace(
        transfer, not_before=draft.now + pause, waits_in_a_row=transfer.waits_in_a_row + 1
    )


def refused(draft: Draft, transfer: Transfer, trouble: Trouble) -> None:
    """Take a refusal: wait and look again at what Azure lists, or give the transfer up."""
    correlation = trouble.correlation_id or transfer.correlation_id
    if trouble.fault is Fault.PERMANENT:
        _end(draft, replace(transfer, message=trouble.message, correlation_id=correlation), Outcome.FAILED)
        return
    pause = backoff(transfer.waits_in_a_row, trouble.retry_after, draft.rules.longest_wait)
    draft.transfers[transfer.transfer_id] = replace(
        transfer,
        asked=draft.now,
        not_before=draft.now + pause,
        waits_in_a_row=transfer.waits_in_a_row + 1,
        message=trouble.message,
        correlation_id=correlation,
    )
