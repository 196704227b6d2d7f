"""What the one slot of a file system does next.

A transfer is recorded as INTENDED before Azure is asked, becomes ASKED when Azure shows it or has taken it, and OVER
only when Azure shows that it ended. Import names are made from what they carry, so that an import asked for twice
meets itself. What another holds is waited for and named, never cancelled.
"""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain import batching, landing, lateness, overwriting, riding, sizing, wellness
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Clear, Start
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Records, Stage, Transfer, TransferKind, TransferPhase
from slurm_amlfs.domain.transfers import follow, may_be_taken
from slurm_amlfs.domain.world import FsSeen


def follow_slot(draft: Draft, fs: str) -> None:
    """Take what the latest look at the file system says of our transfers, and land the imports that ended."""
    seen = draft.seen.file_systems.get(fs)
    for transfer in [it for it in draft.transfers.values() if it.fs == fs]:
        follow(draft, transfer, seen)
    _give_way(draft, fs, seen)
    for transfer in [it for it in draft.transfers.values() if it.fs == fs]:
        if transfer.kind is TransferKind.IMPORT and not transfer.holds_slot and not transfer.landed:
            draft.transfers[transfer.transfer_id] = replace(transfer, landed=True)
            landing.land(draft, transfer)


def _give_way(draft: Draft, fs: str, seen: FsSeen | None) -> None:
    """Drop what was to be imported next while Azure did not show an import that it shows again; its turn comes anew."""
    ours = [it for it in draft.transfers.values() if it.fs == fs and it.kind is TransferKind.IMPORT]
    if seen is None or not any(it.phase is TransferPhase.ASKED for it in ours):
        return
    for it in ours:
        if it.phase is TransferPhase.INTENDED and not may_be_taken(draft, it, seen):
            del draft.transfers[it.transfer_id]


def take_turn(draft: Draft, fs: str) -> None:
    """Give the file system's slot to who is next, if it is free."""
    seen = draft.seen.file_systems.get(fs)
    _forget(draft, fs)
    holding = [it for it in draft.transfers.values() if it.fs == fs and it.holds_slot]
    # What Azure has goes before what it is to have: an import may be shown again after another was begun.
    active = min(holding, key=lambda it: it.phase is TransferPhase.INTENDED, default=None)
    hindrance = _hindrance(seen, {it.transfer_id for it in draft.transfers.values()}, active)
    if active is None and seen is not None and not hindrance:
        turn = batching.next_turn(draft, fs)
        active = None if turn is None else batching.begin(draft, fs, turn, seen)
    if active is not None and active.phase is TransferPhase.INTENDED and seen is not None:
        _start(draft, active, seen, hindrance)
    _explain(draft, fs, active, hindrance)


def wants_look(records: Records, fs: str) -> bool:
    """Say whether the slot has to be looked at: something is on it, or waits for it."""
    return (
        any(it.fs == fs for it in records.transfers.values())
        or any(it.key.fs == fs and it.counted is not None and not it.landed for it in records.leases.values())
        or any(it.fs == fs and batching.waits_for_slot(it) for it in records.stages.values())
    )


def _forget(draft: Draft, fs: str) -> None:
    """Drop transfers that are over and that nobody has still to land from; an import's record in ARM goes first."""
    landing_from = {it.transfer_id for it in draft.stages.values() if it.transfer_id and not it.phase.over}
    for transfer in list(draft.transfers.values()):
        if transfer.fs != fs or transfer.holds_slot or transfer.transfer_id in landing_from:
            continue
        if transfer.kind is TransferKind.ARCHIVE:
            del draft.transfers[transfer.transfer_id]
        elif not draft.sits_out(transfer.not_before):
            draft.want(Clear(fs, transfer.transfer_id))


def _hindrance(seen: FsSeen | None, ours: set[str], active: Transfer | None) -> str:
    """Say in words why nothing of ours may start now; empty if it may."""
    if seen is None:
        return "the file system has not been looked at yet"
    if seen.trouble or seen.view is None:
        return seen.trouble or "the file system did not answer"
    if unwell := wellness.hindrance(seen.view):
        return unwell
    for view in seen.imports:
        if not view.import_state.over and view.name not in ours and not view.name.startswith(batching.NAME_PREFIX):
            return f"the slot is held by the import {view.name!a}, which is not ours"
    for archive in seen.view.archives:
        mine = active is not None and active.kind is TransferKind.ARCHIVE and archive.path == active.prefixes[0]
        if not archive.archive_state.over and not mine:
            return f"the slot is held by an archive of {archive.path!a}, which is not ours"
    return f"the slot is held by {seen.auto_jobs[0]}, which has to be disabled first" if seen.auto_jobs else ""


def _start(draft: Draft, transfer: Transfer, seen: FsSeen, hindrance: str) -> None:
    if transfer.unwanted or hindrance:
        return
    if not draft.sits_out(transfer.not_before) and not _check_again(draft, transfer, seen):
        draft.want(Start(transfer))


def _check_again(draft: Draft, transfer: Transfer, seen: FsSeen) -> bool:
    """Give an overwriting import up that waited too long since it was looked at, unless Azure may have it by now."""
    held = [it for key in transfer.leases if (it := draft.leases.get(key)) is not None]
    if may_be_taken(draft, transfer, seen) or all(overwriting.is_checked(draft, it) for it in held):
        return False
    del draft.transfers[transfer.transfer_id]
    for it in held:
        sizing.check(draft, draft.put_lease(replace(it, checked=None)))
    draft.wake_at(draft.now)
    return True


def _explain(draft: Draft, fs: str, active: Transfer | None, hindrance: str) -> None:
    """Let those who wait for the slot say why."""
    carried = set(active.leases) if active is not None else set()
    intended = active is not None and active.phase is TransferPhase.INTENDED
    late = "" if active is None else lateness.told(draft, active)
    said = active.message if active is not None and intended else late
    why = hindrance or "; ".join(filter(None, (_name(draft, active), late)))
    for held in list(draft.leases.values()):
        if held.key.fs != fs or held.counted is None or held.landed or held.not_before is not None:
            continue
        if held.key in carried:
            riding.say(draft, held, _waiting(hindrance) if hindrance and intended else said)
        elif hindrance or not _says_more(held.message):
            riding.say(draft, held, _waiting(why))
    for stage in list(draft.stages.values()):
        if stage.fs == fs and batching.waits_for_slot(stage) and stage.message != _waiting(why):
            draft.put(replace(stage, message=_waiting(why)))
        elif hindrance and active is not None and stage.transfer_id == active.transfer_id:
            _say_stage(draft, stage, _waiting(why))


def _say_stage(draft: Draft, stage: Stage, message: str) -> None:
    if stage.message != message and stage.phase is Phase.EXPORTING and stage.key.direction is Direction.OUT:
        draft.put(replace(stage, message=message))


def _says_more(message: str) -> bool:
    """Say whether a message tells what the slot cannot."""
    return bool(message) and not message.startswith(_WAITING)


_WAITING = "waiting for the slot"


def _waiting(why: str) -> str:
    return f"{_WAITING}: {why}" if why else _WAITING


def _name(draft: Draft, active: Transfer | None) -> str:
    if active is None:
        return ""
    riders = [key for held in active.leases for key in draft.riders.get(held, ())]
    owners = sorted({key.job_id for key in (*riders, *active.stages)})
    if not owners and not active.unwanted:
        return f"the slot is taken by an {active.kind.value} of what is pinned or foreseen"
    if not owners:
        return f"the slot is taken by an {active.kind.value} that nobody needs any more"
    others = f" and {len(owners) - 1} others" if len(owners) > 1 else ""
    return f"the slot is taken by the {active.kind.value} for job {owners[0]}{others}"
