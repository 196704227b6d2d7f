"""One stage-out, from waiting to settled: what it wants done next, and what a report makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain import by_hsm, chaining, freeing, lateness, ranking
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.draft import Draft, names_some
from slurm_amlfs.domain.errand import ProveOut
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import reduce
from slurm_amlfs.domain.records import Outcome, Stage, Transfer, TransferPhase
from slurm_amlfs.domain.report import Exported, Freed

_LOOK_AGAIN = timedelta(seconds=1)
"""Pause between two looks at archives that the copytool has under way."""

_GRACE = timedelta(seconds=10)
_GRACE_GROWS = 6
"""An archive can show Completed before its files are archived (known-issues-amlfs-preview.md), so they are waited for:
10 s after the first, then 1 minute, 6 minutes; from the copytool's last sign of life on, and no longer than `stall`."""

_RETRIES = (1, 4, 24, 96)
"""Pauses before a failed export is tried again, in `retry_exports`: with 15 min also 1 h, 6 h, and then daily. Some
files can never be proved (a second hard link, a name that is no UTF-8), and each try walks everything."""


def step(draft: Draft, stage: Stage) -> None:
    """Want what the stage's phase asks for; nothing while it waits."""
    if by_hsm.is_next(draft, stage):
        by_hsm.step(draft, stage)
    elif stage.phase is Phase.EXPORTING:
        _land(draft, stage)
    elif stage.phase is Phase.FAILED:
        _revive(draft, stage)
    elif stage.phase is Phase.WAITING and not stage.todo and draft.ready(stage):
        draft.want(_proof(draft, stage))
    elif stage.phase is Phase.RELEASING and draft.ready(stage):
        draft.want(freeing.free(draft, stage))


def _proof(draft: Draft, stage: Stage) -> ProveOut:
    overhead = draft.tempo(stage.fs).overhead_seconds
    longest = max(draft.rules.turn.total_seconds() - overhead, overhead)
    rank = ranking.of_stage(draft, stage)
    return ProveOut(stage.key, stage.generation, stage.fs, whole_prefixes(draft, stage), longest, rank=rank)


def goes_on(stage: Stage) -> bool:
    """Say whether a proof, a round of archives or a release may be under way for a stage, from slice to slice."""
    exporting = stage.key.direction is Direction.OUT and stage.phase in {Phase.WAITING, Phase.EXPORTING}
    return exporting or stage.phase is Phase.RELEASING


def _revive(draft: Draft, stage: Stage) -> None:
    """Try a failed export again after a while: its data is still on Lustre, and only there."""
    again = stage.since + draft.rules.retry_exports * _RETRIES[min(stage.revivals, len(_RETRIES) - 1)]
    if draft.now < again:
        draft.wake_at(again)
    else:
        draft.move(
            replace(stage, turns=0, todo=(), revivals=stage.revivals + 1), Phase.WAITING, "trying again", stage.message
        )


def _land(draft: Draft, stage: Stage) -> None:
    """Look at the files when the archive is over, however it ended: only they tell what is in Blob."""
    transfer = draft.transfers.get(stage.transfer_id)
    if transfer is not None and transfer.phase is not TransferPhase.OVER:
        _show(draft, stage, transfer)
        return
    completed = transfer is not None and transfer.outcome is Outcome.COMPLETED
    left = tuple(part for part in stage.todo if transfer is not None and part.prefix not in transfer.prefixes)
    if completed and left:
        draft.move(replace(stage, transfer_id="", todo=left), Phase.WAITING, message="waiting for the slot")
        return
    said = "" if transfer is None or completed else transfer.message or transfer.outcome.value
    correlation = "" if transfer is None else transfer.correlation_id
    stage = replace(
        stage,
        transfer_id="",
        todo=(),
        turns=stage.turns + 1,
        correlation_id=correlation or stage.correlation_id,
        progressed=draft.now if completed else None,
        said=said,
    )
    draft.move(stage, Phase.WAITING, message=said)


def _show(draft: Draft, stage: Stage, transfer: Transfer) -> None:
    """Let a stage say how its archive goes."""
    asked = transfer.phase is TransferPhase.ASKED
    message = lateness.told(draft, transfer) if asked else transfer.message or stage.message
    if stage.message != message:
        draft.put(replace(stage, message=message))


def whole_prefixes(draft: Draft, stage: Stage) -> tuple[str, ...]:
    """Give a stage's prefixes without those that another of them takes in, so that nothing counts twice."""
    return reduce(draft.namespace(stage.fs), stage.ask.prefixes)


def exported(draft: Draft, stage: Stage, result: Exported) -> None:
    """Take what the comparison found: archive what is left, wait for what is under way, or call it proved."""
    if stage.phase is not Phase.WAITING or not result.settled:
        return
    moved = result.files_done > stage.most_done
    # After an archive that failed nothing is under way any more, whatever flags it left behind.
    coming = bool(result.under_way and not result.todo and not stage.said)
    alive = (moved and stage.progressed is not None) or (coming and stage.progressed is None)
    stage = replace(
        stage,
        files_total=result.files,
        files_done=result.files_done,
        bytes_total=result.total_bytes,
        bytes_done=result.bytes_done,
        most_done=max(result.files_done, stage.most_done),
        turns=0 if moved else stage.turns,
        revivals=0 if moved else stage.revivals,
        waits_in_a_row=0,
        progressed=draft.now if alive else stage.progressed,
    )
    where = ", ".join(stage.ask.prefixes)
    left = result.files - result.files_done
    if not result.files:
        draft.move(stage, Phase.SETTLED, "nothing to export", f"no files under {where}{_symlinks(result)}")
    elif not left:
        chaining.doubt(draft, stage)
        release = stage.ask.release is not False
        detail = f"{result.files} files, {result.bytes_done} bytes under {where}{_symlinks(result)}"
        draft.move(stage, Phase.RELEASING if release else Phase.SETTLED, "exported", detail)
    elif stage.progressed is not None and draft.now - stage.progressed < _patience(draft, stage, coming=coming):
        draft.pause(replace(stage, message=f"waiting for the archive of {left} files"), _LOOK_AGAIN)
    elif stage.turns >= draft.rules.attempts:
        said = _linked(result) + _told(draft, stage)
        draft.fail(stage, f"{left} of {result.files} files under {where} are not proved to be in Blob after "
                          f"{stage.turns} exports, and stay on Lustre: {names_some(result.names)}{said}")  # fmt: skip
    else:
        todo = result.todo or tuple(Cut(prefix, left, 0) for prefix in whole_prefixes(draft, stage))
        draft.put(replace(stage, todo=todo, message="" if by_hsm.is_used(draft, stage) else "waiting for the slot"))


def _told(draft: Draft, stage: Stage) -> str:
    """Say what is known of the last archive."""
    if not stage.said:
        return ""
    return f"; {stage.said}" if by_hsm.is_used(draft, stage) else f"; Azure said: {stage.said}"


def _symlinks(result: Exported) -> str:
    """Say how many symbolic links are left out: no blob is looked for that would prove one."""
    if not result.symlinks:
        return ""
    return f" ({result.symlinks} symbolic link{' is' if result.symlinks == 1 else 's are'} not proved)"


def _linked(result: Exported) -> str:
    """Name hard links as what can never be proved: the copytool archives a file by its id, under one of its names."""
    if not result.linked:
        return ""
    return (
        f"; {result.linked} of them have other hard links, and may have a blob under one name only: make copies of them"
    )


def _patience(draft: Draft, stage: Stage, *, coming: bool) -> timedelta:
    """Say how long files may show nothing new before they are archived again."""
    grace = _GRACE * _GRACE_GROWS ** max(stage.turns - 1, 0)
    return draft.rules.stall if coming else min(grace, draft.rules.stall)


def freed(draft: Draft, stage: Stage, result: Freed) -> None:
    """Settle a stage whose space was given back."""
    if stage.phase is Phase.RELEASING and result.settled:
        freeing.freed(draft, stage, result.freed_bytes)
        if result.needed:
            freeing.leave_behind(draft, stage, result.freed_bytes)
        draft.move(stage, Phase.SETTLED, "released", f"{result.files} files, {result.freed_bytes} bytes{_kept(result)}")


def _kept(result: Freed) -> str:
    """Say how many files stay whole on Lustre, and why."""
    reasons = (
        (result.needed, "needed by another job or kept by release=no"),
        (result.dirty, "written since their archive"),
        (result.unproved, "not proved to be in Blob"),
        (result.refused, "not released by Lustre"),
    )
    kept = sum(number for number, _ in reasons)
    return f"; {kept} kept: " + ", ".join(f"{number} {why}" for number, why in reasons if number) if kept else ""
