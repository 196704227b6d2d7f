"""What the one slot of a file system does next.

A transfer is recorded as INTENDED before Azure is asked, becomes ASKED when Azure shows it or has taken it, and OVER
only when Azure shows that it ended. Import names are made from what they carry, so that an import asked for twice
meets itself. What another holds is waited for and named, never cancelled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Clear, Start, key_of
from slurm_amlfs.domain.overwriting import check, disturb, held, is_checked
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import reduce
from slurm_amlfs.domain.records import Stage, Transfer, TransferKind, TransferPhase
from slurm_amlfs.domain.transfers import follow
from slurm_amlfs.domain.world import FsSeen


def follow_slot(draft: Draft, fs: str) -> None:
    """Take what the latest look at the file system says of our transfers."""
    seen = draft.seen.file_systems.get(fs)
    for transfer in [it for it in draft.transfers.values() if it.fs == fs]:
        follow(draft, transfer, seen)


def take_turn(draft: Draft, fs: str) -> None:
    """Give the file system's slot to who is next, if it is free."""
    seen = draft.seen.file_systems.get(fs)
    _forget(draft, fs)
    waiting = _candidates(draft, fs)
    active = next((it for it in draft.transfers.values() if it.fs == fs and it.holds_slot), None)
    hindrance = _hindrance(seen, {it.transfer_id for it in draft.transfers.values()}, active)
    unchecked = [it for it in waiting if not is_checked(draft, it)]
    if active is None and waiting and seen is not None and not hindrance:
        if waiting[0] in unchecked:
            check(draft, unchecked)
            return
        active = _choose(draft, fs, waiting, seen)
        waiting = _candidates(draft, fs)
    if active is not None and active.phase is TransferPhase.INTENDED and seen is not None:
        _start(draft, active, seen, hindrance)
        if hindrance:
            waiting += [it for it in draft.stages.values() if it.transfer_id == active.transfer_id]
    _explain(draft, waiting, hindrance or _name(active))


def wants_look(transfers: Iterable[Transfer], stages: Iterable[Stage], fs: str) -> bool:
    """Say whether the slot has to be looked at: something is on it, or waits for it."""
    return any(it.fs == fs for it in transfers) or any(_waits_for_slot(it) and it.fs == fs for it in stages)


def _waits_for_slot(stage: Stage) -> bool:
    if stage.phase is not Phase.WAITING:
        return False
    return bool(stage.files_total if stage.key.direction is Direction.IN else stage.todo)


def _candidates(draft: Draft, fs: str) -> list[Stage]:
    found = [it for it in draft.stages.values() if it.fs == fs and _waits_for_slot(it) and draft.ready(it)]
    found = [it for it in found if not held(draft, it)]
    return sorted(found, key=lambda it: (it.since, it.key))


def _forget(draft: Draft, fs: str) -> None:
    """Drop transfers that are over and that no stage has still to land from; an import's record in ARM goes first."""
    landing = {it.transfer_id for it in draft.stages.values() if not it.phase.over}
    for transfer in list(draft.transfers.values()):
        if transfer.fs != fs or transfer.holds_slot or transfer.transfer_id in landing:
            continue
        if transfer.kind is TransferKind.ARCHIVE:
            del draft.transfers[transfer.transfer_id]
        elif transfer.not_before is not None and draft.now < transfer.not_before:
            draft.wake_at(transfer.not_before)
        else:
            draft.want(Clear(fs, transfer.transfer_id))


def _hindrance(seen: FsSeen | None, ours: set[str], active: Transfer | None) -> str:
    """Say in words why nothing of ours may start now; empty if it may."""
    if seen is None:
        return "the file system has not been looked at yet"
    if seen.trouble or seen.view is None:
        return seen.trouble or "the file system did not answer"
    if seen.view.health.lower() != "available":
        return f"the file system is in {seen.view.health}: {seen.view.health_text}"
    for view in seen.imports:
        if not view.import_state.over and view.name not in ours and not view.name.startswith(NAME_PREFIX):
            return f"the slot is held by the import {view.name!a}, which is not ours"
    for archive in seen.view.archives:
        mine = active is not None and active.kind is TransferKind.ARCHIVE and archive.path == active.prefixes[0]
        if not archive.archive_state.over and not mine:
            return f"the slot is held by an archive of {archive.path!a}, which is not ours"
    return f"the slot is held by {seen.auto_jobs[0]}, which has to be disabled first" if seen.auto_jobs else ""


NAME_PREFIX = "amlfs-"
"""Beginning of our imports' names in ARM. One that we no longer know is met again by its name, not waited for."""


def _choose(draft: Draft, fs: str, waiting: list[Stage], seen: FsSeen) -> Transfer | None:
    """Record what takes the slot next; None while the record of an earlier import of the same name is being deleted."""
    first = waiting[0]
    if first.key.direction is Direction.OUT:
        path = first.todo[0]
        archives = seen.view.archives if seen.view is not None else ()
        baseline = next((it.started for it in archives if it.path == path), None)
        ident = f"archive-{_digest(fs, path, str(first.key), first.generation, first.turns, draft.now.isoformat())}"
        made = Transfer(ident, fs, TransferKind.ARCHIVE, (path,), (first.key,), draft.now, baseline=baseline)
        draft.move(replace(first, transfer_id=ident), Phase.EXPORTING)
    else:
        batch, prefixes = _batch(draft, fs, waiting)
        ident = _import_name(fs, prefixes, batch)
        if ident in draft.transfers:
            return None
        keys = tuple(it.key for it in batch)
        ask = first.ask
        made = Transfer(
            ident, fs, TransferKind.IMPORT, prefixes, keys, draft.now, conflict=ask.conflict, max_errors=ask.max_errors
        )
        for stage in batch:
            disturb(draft, stage)
        for stage in batch:
            draft.move(replace(stage, transfer_id=ident), Phase.IMPORTING)
    draft.transfers[ident] = made
    return made


def _batch(draft: Draft, fs: str, waiting: list[Stage]) -> tuple[list[Stage], tuple[str, ...]]:
    """Take the first, and every other that may share its import, as many as ARM accepts."""
    first = waiting[0]
    namespace = draft.rules.file_systems[fs].namespace
    batch = [first]
    prefixes = reduce(namespace, first.ask.prefixes)
    if first.alone:
        return batch, prefixes
    for stage in waiting[1:]:
        if stage.alone or stage.key.direction is Direction.OUT or not is_checked(draft, stage):
            continue
        if (stage.ask.conflict, stage.ask.max_errors) != (first.ask.conflict, first.ask.max_errors):
            continue
        together = reduce(namespace, (*prefixes, *stage.ask.prefixes))
        if len(together) <= draft.rules.prefixes_per_import:
            batch.append(stage)
            prefixes = together
    return batch, prefixes


def _import_name(fs: str, prefixes: tuple[str, ...], batch: list[Stage]) -> str:
    """Make a name that is the same for the same turn of the same stages, and legal in ARM (2..80 of [-0-9a-zA-Z_])."""
    carried = [f"{it.key} {it.generation} {it.turns} {it.alone}" for it in batch]
    return f"{NAME_PREFIX}{batch[0].key.job_id}-{_digest(fs, *prefixes, *carried)}"


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(str(part) for part in parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _start(draft: Draft, transfer: Transfer, seen: FsSeen, hindrance: str) -> None:
    if transfer.unwanted or hindrance:
        return
    if transfer.not_before is not None and draft.now < transfer.not_before:
        draft.wake_at(transfer.not_before)
    elif not _check_again(draft, transfer, seen):
        draft.want(Start(transfer))


def _check_again(draft: Draft, transfer: Transfer, seen: FsSeen) -> bool:
    """Send back the stages of an overwriting import that waited too long, unless Azure may have it by now."""
    stages = [it for it in draft.stages.values() if it.transfer_id == transfer.transfer_id and not it.phase.over]
    looked_since = transfer.asked is None or seen.seen > transfer.asked
    asking = key_of(Start(transfer)) in draft.seen.running
    if asking or not looked_since or all(is_checked(draft, it) for it in stages):
        return False
    for stage in stages:
        draft.move(replace(stage, transfer_id="", checked=None), Phase.WAITING)
    return True


def _name(active: Transfer | None) -> str:
    if active is None:
        return ""
    owners = sorted({key.job_id for key in active.stages})
    others = f" and {len(owners) - 1} others" if len(owners) > 1 else ""
    return f"the slot is taken by the {active.kind.value} for job {owners[0]}{others}"


def _explain(draft: Draft, waiting: list[Stage], why: str) -> None:
    """Let the stages that wait say why."""
    message = f"waiting for the slot: {why}" if why else "waiting for the slot"
    for stage in waiting:
        if stage.message != message:
            draft.put(replace(stage, message=message))
