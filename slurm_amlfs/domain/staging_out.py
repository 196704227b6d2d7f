"""One stage-out, from waiting to settled: what it wants done next, and what a report makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain.draft import Draft, names_some
from slurm_amlfs.domain.errand import Exported, Free, Freed, ProveOut
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Outcome, Stage, TransferPhase
from slurm_amlfs.domain.staging_in import needed_by_others

_LOOK_AGAIN = timedelta(seconds=1)
"""Pause between two looks at archives that the copytool has under way."""


def step(draft: Draft, stage: Stage) -> None:
    """Want what the stage's phase asks for; nothing while it waits."""
    if stage.phase is Phase.EXPORTING:
        _land(draft, stage)
    elif stage.phase is Phase.FAILED:
        _revive(draft, stage)
    elif stage.phase is Phase.WAITING and not stage.todo and draft.ready(stage):
        draft.want(ProveOut(stage.key, stage.generation, stage.fs, stage.ask.prefixes))
    elif stage.phase is Phase.RELEASING and draft.ready(stage):
        spare = needed_by_others(draft, stage)
        draft.want(Free(stage.key, stage.generation, stage.fs, stage.ask.prefixes, spare))


def _revive(draft: Draft, stage: Stage) -> None:
    """Try a failed export again after a while: its data is still on Lustre, and only there."""
    again = stage.since + draft.rules.retry_exports
    if draft.now < again:
        draft.wake_at(again)
    else:
        draft.move(replace(stage, turns=0, todo=()), Phase.WAITING, "trying again", stage.message)


def _land(draft: Draft, stage: Stage) -> None:
    """Look at the files when the archive is over, however it ended: only they tell what is in Blob."""
    transfer = draft.transfers.get(stage.transfer_id)
    if transfer is not None and transfer.phase is not TransferPhase.OVER:
        return
    said = "" if transfer is None or transfer.outcome is Outcome.COMPLETED else transfer.message
    correlation = "" if transfer is None else transfer.correlation_id
    stage = replace(
        stage,
        transfer_id="",
        todo=(),
        turns=stage.turns + 1,
        correlation_id=correlation or stage.correlation_id,
        progressed=draft.now,
    )
    draft.move(stage, Phase.WAITING, message=said)


def exported(draft: Draft, stage: Stage, result: Exported) -> None:
    """Take what the comparison found: archive what is left, wait for what is under way, or call it proved."""
    if stage.phase is not Phase.WAITING:
        return
    moved = result.files_done > stage.files_done
    stage = replace(
        stage,
        files_total=result.files,
        files_done=result.files_done,
        bytes_total=result.total_bytes,
        bytes_done=result.bytes_done,
        turns=0 if moved else stage.turns,
        progressed=draft.now if moved or stage.progressed is None else stage.progressed,
    )
    where = ", ".join(stage.ask.prefixes)
    if not result.files:
        draft.move(stage, Phase.SETTLED, "nothing to export", f"no files under {where}")
    elif result.files_done == result.files:
        release = stage.ask.release is not False
        detail = f"{result.files} files, {result.bytes_done} bytes under {where}"
        draft.move(stage, Phase.RELEASING if release else Phase.SETTLED, "exported", detail)
    elif result.under_way and not result.todo and draft.now - (stage.progressed or draft.now) < draft.rules.stall:
        draft.pause(replace(stage, message=f"waiting for the archive of {result.under_way} files"), _LOOK_AGAIN)
    elif stage.turns >= draft.rules.attempts:
        left = result.files - result.files_done
        said = f"; Azure said: {stage.message}" if stage.message else ""
        draft.fail(stage, f"{left} of {result.files} files under {where} are not proved to be in Blob after "
                          f"{stage.turns} exports, and stay on Lustre: {names_some(result.names)}{said}")  # fmt: skip
    else:
        draft.put(replace(stage, todo=result.todo or stage.ask.prefixes, message="waiting for the slot"))


def freed(draft: Draft, stage: Stage, result: Freed) -> None:
    """Settle a stage whose space was given back."""
    if stage.phase is Phase.RELEASING:
        kept = f", {result.kept} kept" if result.kept else ""
        draft.move(stage, Phase.SETTLED, "released", f"{result.files} files, {result.freed_bytes} bytes{kept}")
