"""One stage-in, from waiting to staged in: what it wants done next, and what a report makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain.ask import Conflict, Hydrate
from slurm_amlfs.domain.draft import Draft, names_some
from slurm_amlfs.domain.errand import Count, Counted, Examined, Fault, Free, ProveIn, Trouble
from slurm_amlfs.domain.overwriting import being_overwritten, count, user
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import overlaps, reduce
from slurm_amlfs.domain.records import Outcome, Stage, Transfer, TransferPhase

_LOOK_AGAIN = timedelta(milliseconds=300)
"""Pause between two looks at restores that are under way: short against the 3 s in which a job has to start."""


def step(draft: Draft, stage: Stage) -> None:
    """Want what the stage's phase asks for; nothing while it waits."""
    if stage.phase is Phase.IMPORTING:
        _land(draft, stage)
        return
    if stage.phase.over or not draft.ready(stage):
        return
    key, generation, prefixes = stage.key, stage.generation, whole_prefixes(draft, stage)
    if stage.phase is Phase.WAITING and not stage.files_total:
        draft.want(count(draft, stage))
    elif stage.phase is Phase.RESTORING:
        _prove(draft, stage, prefixes)
    elif stage.phase is Phase.RELEASING:
        draft.want(Free(key, generation, stage.fs, prefixes, spared(draft, stage)))


def whole_prefixes(draft: Draft, stage: Stage) -> tuple[str, ...]:
    """Give a stage's prefixes without those that another of them takes in, so that nothing counts twice."""
    return reduce(draft.rules.file_systems[stage.fs].namespace, stage.ask.prefixes)


def _prove(draft: Draft, stage: Stage, prefixes: tuple[str, ...]) -> None:
    if _being_freed(draft, stage):
        message = "waiting until the space of an earlier job is given back"
        if stage.message != message:
            draft.put(replace(stage, message=message))
        return
    other = being_overwritten(draft, stage)
    if other is not None:
        message = f"waiting until the import for job {other.key.job_id} has overwritten the same files"
        if stage.message != message:
            draft.put(replace(stage, message=message))
        return
    ask = stage.ask
    began = stage.import_started
    draft.want(ProveIn(stage.key, stage.generation, stage.fs, prefixes, ask.conflict, ask.hydrate, began, stage.proof))


def _being_freed(draft: Draft, stage: Stage) -> bool:
    """Say whether files of this stage may be released while it looks: by a Free that began when nobody needed them."""
    freeing = {key for key in draft.seen.running if key.startswith("free ")}
    if not freeing:
        return False
    namespace = draft.rules.file_systems[stage.fs].namespace
    for other in draft.stages.values():
        if other.phase is Phase.RELEASING and f"free {other.key}" in freeing:
            freeing.remove(f"free {other.key}")
            shared = any(overlaps(namespace, one, its) for one in stage.ask.prefixes for its in other.ask.prefixes)
            if other.fs == stage.fs and shared:
                return True
    # What is left frees for a stage that has started over since; nobody remembers which files.
    return bool(freeing)


def spared(draft: Draft, stage: Stage) -> tuple[str, ...]:
    """List the prefixes on the same file system that living stages of other jobs need, or that are to stay."""
    return tuple(
        sorted(
            {
                prefix
                for other in draft.stages.values()
                if other.fs == stage.fs and _spares(stage, other)
                for prefix in other.ask.prefixes
            }
        )
    )


def _spares(stage: Stage, other: Stage) -> bool:
    if other.key.job_id == stage.key.job_id:
        return other.key != stage.key and other.ask.release is False
    return not other.phase.over


def _land(draft: Draft, stage: Stage) -> None:
    """Take the end of the transfer that carries the stage."""
    transfer = draft.transfers.get(stage.transfer_id)
    if transfer is None:
        draft.move(
            replace(stage, transfer_id=""), Phase.WAITING, message="the import's record is gone; importing again"
        )
        return
    if transfer.phase is not TransferPhase.OVER:
        show_transfer(draft, stage, transfer, files_done=min(transfer.imported, stage.files_total))
        return
    stage = replace(
        stage,
        import_errors=transfer.errors,
        import_started=transfer.started,
        correlation_id=transfer.correlation_id or stage.correlation_id,
        transfer_id="",
    )
    if transfer.outcome in {Outcome.COMPLETED, Outcome.PARTIAL}:
        draft.move(replace(stage, files_done=0, bytes_done=0, progressed=None), Phase.RESTORING, "imported")
    elif len(transfer.stages) > 1:
        draft.move(replace(stage, alone=True), Phase.WAITING, message="the batch failed; importing by itself")
    else:
        _landed_badly(draft, stage, transfer)


def show_transfer(draft: Draft, stage: Stage, transfer: Transfer, files_done: int) -> None:
    """Let a stage say how far the transfer is that carries it."""
    asked = transfer.phase is TransferPhase.ASKED
    shown = replace(stage, files_done=files_done, message="" if asked else transfer.message or stage.message)
    if shown != stage:
        draft.put(shown)


def _landed_badly(draft: Draft, stage: Stage, transfer: Transfer) -> None:
    """Decide what a failed import of one stage's own means; its counters tell, not its words."""
    where = ", ".join(stage.ask.prefixes)
    if transfer.outcome is Outcome.FAILED and stage.ask.conflict is Conflict.FAIL and transfer.conflicts:
        draft.fail(stage, f"{transfer.conflicts} paths under {where} are on Lustre already and differ (conflict=fail); "
                          f"use conflict=skip or an overwrite mode: {transfer.message}")  # fmt: skip
    elif transfer.outcome is Outcome.FAILED and 0 <= stage.ask.max_errors < transfer.errors:
        draft.fail(stage, f"the import of {where} met {transfer.errors} errors, more than max_errors="
                          f"{stage.ask.max_errors}; see the logging container: {transfer.message}")  # fmt: skip
    else:
        said = transfer.message or "Azure gave no reason"
        spend_turn(draft, stage, f"the import of {where} {transfer.outcome.value}: {said}")


def spend_turn(draft: Draft, stage: Stage, message: str) -> None:
    """Count a turn that did not help; go back to waiting, or give up after the configured number."""
    stage = replace(stage, turns=stage.turns + 1)
    if stage.turns >= draft.rules.attempts:
        draft.fail(stage, f"{message} ({stage.turns} tries)")
    else:
        draft.wait(draft.move(stage, Phase.WAITING), Trouble(Fault.TEMPORARY, message))


def counted(draft: Draft, stage: Stage, errand: Count, result: Counted) -> None:
    """Take the size of what is wanted; what can never be brought in is the user's mistake, and costs no import."""
    if stage.phase is not Phase.WAITING:
        return
    where = ", ".join(stage.ask.prefixes)
    if result.empty or not result.files:
        empty = ", ".join(result.empty) or where
        draft.fail(stage, f"no blobs under {empty}; check its spelling, scancel this job and submit again")
    elif stage.ask.hydrate is Hydrate.ALL and 0 < result.room_bytes < result.total_bytes:
        draft.fail(stage, f"{result.total_bytes} bytes under {where} are more than the whole file system {stage.fs} "
                          f"holds ({result.room_bytes} bytes); ask for less, or for hydrate=none")  # fmt: skip
    elif errand.overwrites and result.unsaved_files and user(draft, stage) is None:
        draft.fail(stage, f"{result.unsaved_files} files under {where} are on Lustre only or changed since their "
                          f"archive, first {names_some(result.unsaved)}; export or remove them, or use "
                          "conflict=skip")  # fmt: skip
    else:
        total, size = result.files, result.total_bytes
        checked = draft.now if errand.overwrites and not result.unsaved_files else None
        stage = replace(stage, files_total=total, bytes_total=size, checked=checked, beginnings=result.beginnings)
        draft.put(replace(stage, waits_in_a_row=0, message="waiting for the slot"))


def examined(draft: Draft, stage: Stage, result: Examined) -> None:
    """Take what the comparison found: go on looking, call it proved, or import again."""
    if stage.phase is not Phase.RESTORING:
        return
    moved = result.files_done != stage.files_done
    stage = replace(
        stage,
        files_total=result.files,
        files_done=result.files_done,
        bytes_total=result.total_bytes,
        bytes_done=result.bytes_done,
        missing=result.missing,
        kept=result.kept,
        waits_in_a_row=0,
        progressed=draft.now if moved or stage.progressed is None else stage.progressed,
        message="" if moved else stage.message,
    )
    if not result.settled:
        draft.pause(_unstick(draft, stage), timedelta(0) if moved else _LOOK_AGAIN)
    elif result.newer or result.missing_count > min(stage.import_errors, _limit(stage)):
        names = result.missing + result.newer
        number = result.missing_count + result.newer_count
        where = ", ".join(stage.ask.prefixes)
        spend_turn(
            draft, stage, f"{number} blobs under {where} are not on Lustre as they are in Blob: {names_some(names)}"
        )
    else:
        draft.move(replace(stage, progressed=None), Phase.STAGED_IN, "restored")


def _unstick(draft: Draft, stage: Stage) -> Stage:
    """Begin a proof anew that has not come forward for long: what it waits for may be gone from Blob by now."""
    if stage.progressed is None or draft.now - stage.progressed < draft.rules.stall:
        return stage
    minutes = round(draft.rules.stall.total_seconds() / 60)
    left = stage.files_total - stage.files_done
    message = f"no restore of the last {left} files has ended for {minutes} minutes; see the HSM of {stage.fs}"
    return replace(stage, proof=stage.proof + 1, progressed=draft.now, message=message)


def _limit(stage: Stage) -> int:
    return stage.ask.max_errors if stage.ask.max_errors >= 0 else stage.import_errors
