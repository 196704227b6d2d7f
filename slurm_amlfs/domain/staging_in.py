"""One stage-in, from waiting to staged in. The work is done on its leases; here it follows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slurm_amlfs.domain import chaining, freeing, freshness, lease, overwriting, riding
from slurm_amlfs.domain.ask import Direction, Hydrate
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import reduce
from slurm_amlfs.domain.records import Stage, TransferPhase

_YOUNGER = "waiting for a look at Blob that is younger than the job"


def step(draft: Draft, stage: Stage) -> None:
    """Go where the stage's leases are."""
    if stage.phase is Phase.RELEASING:
        if draft.ready(stage):
            draft.want(freeing.free(draft, stage))
    elif stage.phase in riding.WAITS:
        if (out := chaining.awaits(draft, stage)) is not None:
            _hold_back(draft, stage, chaining.why(out))
            return
        held = riding.serving(draft, stage)
        stage = _show(draft, stage, held)
        if stage.ask.hydrate is not Hydrate.ALL or not _too_large(draft, stage, held):
            _follow(draft, stage, held)


def _hold_back(draft: Draft, stage: Stage, why: str) -> None:
    if stage.phase is not Phase.WAITING:
        draft.move(stage, Phase.WAITING, message=why)
    elif stage.message != why:
        draft.put(replace(stage, message=why))


def _follow(draft: Draft, stage: Stage, held: list[Lease]) -> None:
    known = len(held) == len(lease.keys(draft.namespace(stage.fs), stage.fs, stage.ask))
    if not all(freshness.is_listed(draft, it, stage) for it in held):
        if stage.phase is not Phase.WAITING:
            stage = draft.move(stage, Phase.WAITING)
        draft.put(replace(stage, message=stage.message or _YOUNGER))
    elif known and all(it.landed for it in held):
        _prove(draft, stage, held)
    elif _carried(draft, held):
        if stage.phase is Phase.WAITING:
            draft.move(stage, Phase.IMPORTING)
    elif stage.phase is not Phase.WAITING:
        draft.move(stage, Phase.WAITING, message=_message(held))


def _prove(draft: Draft, stage: Stage, held: list[Lease]) -> None:
    """Wait for the proofs of what was imported; all that this stage asks for is there when they hold."""
    if stage.phase is Phase.WAITING and (why := _overtakes(draft, stage, held)):
        draft.put(replace(stage, message=why))
        return
    if stage.phase is not Phase.RESTORING:
        stage = draft.move(stage, Phase.RESTORING, "imported" if stage.phase is Phase.IMPORTING else "")
    whole = stage.ask.hydrate is Hydrate.ALL
    if all(it.holds(whole=whole) and freshness.serves(draft, it, stage) for it in held):
        draft.move(stage, Phase.STAGED_IN, "restored")


def _overtakes(draft: Draft, stage: Stage, held: list[Lease]) -> str:
    """Say whether a stage that finds all there would overtake an overwrite that waits for those who use the files."""
    if not draft.overwrites:
        return ""
    age = overwriting.age_of(draft, stage)
    return next((why for it in held if (why := overwriting.overtakes(draft, it, age))), "")


def _too_large(draft: Draft, stage: Stage, held: list[Lease]) -> bool:
    """Give a stage up that the file system can never hold beside what its job's other lines ask for."""
    space = draft.seen.spaces.get(stage.fs)
    others = [it for it in draft.of_job(stage.key.job_id, Direction.IN) if it.fs == stage.fs and it.key != stage.key]
    whole = [it for it in others if it.ask.hydrate is Hydrate.ALL and not it.phase.over]
    all_held = {it.key.prefix: it for it in [*held, *(one for some in whole for one in riding.serving(draft, some))]}
    kept = reduce(draft.namespace(stage.fs), all_held)
    # Who counted for names only, or ahead of any job, did not ask for the room.
    most_bytes = max((it.room_bytes for it in held), default=0) or (0 if space is None else space.total_bytes)
    room_bytes = int(most_bytes * (1 - draft.rules.reserve))
    wanted_bytes = sum(all_held[it].bytes_total for it in kept)
    if not 0 < room_bytes < wanted_bytes:
        return False
    where = ", ".join(kept)
    draft.fail(stage, f"{wanted_bytes} bytes under {where} are more than the file system {stage.fs} can hold "
                      f"({room_bytes} bytes); ask for less, or for hydrate=none")  # fmt: skip
    return True


def _carried(draft: Draft, held: list[Lease]) -> bool:
    keys = {it.key for it in held}
    return any(it.holds_slot and not keys.isdisjoint(it.leases) for it in draft.transfers.values())


def _show(draft: Draft, stage: Stage, held: list[Lease]) -> Stage:
    """Let a stage say how far its leases are. Those of one pass that ride on the same leases say the same."""
    key = tuple(it.key for it in held)
    known = draft.shown.get(key)
    if known is None or known[0] != held:
        known = draft.shown[key] = (held, _progress(draft, held))
    progress = known[1]
    correlation_id = next((it.correlation_id for it in held if it.correlation_id), stage.correlation_id)
    if (
        all(getattr(stage, name) == value for name, value in progress.items())
        and correlation_id == stage.correlation_id
    ):
        return stage
    return draft.put(replace(stage, correlation_id=correlation_id, **progress))


def _progress(draft: Draft, held: list[Lease]) -> dict[str, Any]:
    return {
        "message": _message(held),
        "files_total": sum(it.files_total for it in held),
        "bytes_total": sum(it.bytes_total for it in held),
        "files_done": sum(_files_done(draft, it) for it in held),
        "bytes_done": sum(it.bytes_done for it in held),
        "missing_count": sum(it.missing_count for it in held),
        "kept_count": sum(it.kept_count for it in held),
        "beginnings": tuple(it.key.prefix for it in held if it.beginning),
    }


def _message(held: list[Lease]) -> str:
    return next((said for it in held if (said := riding.said(it))), "")


def _files_done(draft: Draft, held: Lease) -> int:
    """Count files: of a lease that is being imported, blobs whose names are there, or are about to be."""
    if held.landed:
        return held.files_done
    done = sum(part.blobs for part in held.parts if part.imported is not None)
    for transfer in draft.transfers.values():
        if transfer.phase is TransferPhase.ASKED and transfer.leases == (held.key,):
            done += transfer.imported
    return min(done, held.files_total)
