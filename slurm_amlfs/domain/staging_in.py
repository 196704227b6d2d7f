"""One stage-in, from waiting to staged in: what it wants done next, and what a report makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain.ask import Conflict, Direction
from slurm_amlfs.domain.draft import Draft, names_some
from slurm_amlfs.domain.errand import Count, Counted, Examined, Fault, Free, ProveIn, Trouble, WriteReceipt
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Outcome, Stage, Transfer, TransferPhase
from slurm_amlfs.wire import escape

_LOOK_AGAIN = timedelta(milliseconds=300)
"""Pause between two looks at restores that are under way: short against the 3 s in which a job has to start."""


def step(draft: Draft, stage: Stage) -> None:
    """Want what the stage's phase asks for; nothing while it waits."""
    if stage.phase is Phase.IMPORTING:
        _land(draft, stage)
        return
    if stage.phase.over or not draft.ready(stage):
        return
    key, generation, prefixes = stage.key, stage.generation, stage.ask.prefixes
    if stage.phase is Phase.WAITING and not stage.files_total:
        draft.want(Count(key, generation, stage.fs, prefixes))
    elif stage.phase is Phase.RESTORING:
        ask = stage.ask
        draft.want(ProveIn(key, generation, stage.fs, prefixes, ask.conflict, ask.hydrate, stage.import_started))
    elif stage.phase is Phase.RELEASING:
        draft.want(Free(key, generation, stage.fs, prefixes, needed_by_others(draft, stage)))


def needed_by_others(draft: Draft, stage: Stage) -> tuple[str, ...]:
    """List the prefixes on the same file system that living stages of other jobs need."""
    return tuple(
        sorted(
            {
                prefix
                for other in draft.stages.values()
                if other.fs == stage.fs and other.key.job_id != stage.key.job_id and not other.phase.over
                for prefix in other.ask.prefixes
            }
        )
    )


def _land(draft: Draft, stage: Stage) -> None:
    """Take the end of the transfer that carries the stage."""
    transfer = draft.transfers.get(stage.transfer_id)
    if transfer is None:
        draft.move(stage, Phase.WAITING, message="the import's record is gone; importing again")
        return
    if transfer.phase is not TransferPhase.OVER:
        draft.put(replace(stage, files_done=min(transfer.imported, stage.files_total)))
        return
    stage = replace(
        stage,
        import_errors=transfer.errors,
        import_started=transfer.started,
        correlation_id=transfer.correlation_id or stage.correlation_id,
        transfer_id="",
    )
    if transfer.outcome in {Outcome.COMPLETED, Outcome.PARTIAL}:
        draft.move(replace(stage, files_done=0, bytes_done=0), Phase.RESTORING, "imported")
    elif len(transfer.stages) > 1:
        draft.move(replace(stage, alone=True), Phase.WAITING, message="the batch failed; importing by itself")
    else:
        _landed_badly(draft, stage, transfer)


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


def counted(draft: Draft, stage: Stage, result: Counted) -> None:
    """Take the size of what is wanted; nothing at all is the user's mistake and costs no import."""
    if stage.phase is not Phase.WAITING:
        return
    if not result.files:
        draft.fail(stage, f"no blobs under {', '.join(stage.ask.prefixes)}; check the prefix and its spelling")
        return
    draft.put(replace(stage, files_total=result.files, bytes_total=result.total_bytes, message="waiting for the slot"))


def examined(draft: Draft, stage: Stage, result: Examined) -> None:
    """Take what the comparison found: go on looking, call it proved, or import again."""
    if stage.phase is not Phase.RESTORING:
        return
    moved = result.files_done > stage.files_done
    stage = replace(
        stage,
        files_total=result.files,
        files_done=result.files_done,
        bytes_total=result.total_bytes,
        bytes_done=result.bytes_done,
        missing=result.missing,
        kept=result.kept,
        message="",
    )
    if not result.settled:
        draft.pause(stage, timedelta(0) if moved else _LOOK_AGAIN)
    elif result.newer or len(result.missing) > min(stage.import_errors, _limit(stage)):
        names = result.missing + result.newer
        where = ", ".join(stage.ask.prefixes)
        spend_turn(
            draft, stage, f"{len(names)} blobs under {where} are not on Lustre as they are in Blob: {names_some(names)}"
        )
    else:
        draft.move(stage, Phase.STAGED_IN, "restored")


def _limit(stage: Stage) -> int:
    return stage.ask.max_errors if stage.ask.max_errors >= 0 else stage.import_errors


def want_receipt(draft: Draft, job: Job, env: tuple[str, ...]) -> None:
    """Have the receipt of a job written when its stage-ins are all proved."""
    stages = list(draft.of_job(job.job_id, Direction.IN))
    if job.receipt or not stages or any(stage.phase is not Phase.STAGED_IN for stage in stages):
        return
    lines = [*env]
    lines += [f"missing {escape(name)}" for stage in stages for name in stage.missing]
    lines += [f"kept {escape(name)}" for stage in stages for name in stage.kept]
    systems = tuple(sorted({stage.fs for stage in stages}))
    text = "".join(f"{line}\n" for line in lines)
    draft.want(WriteReceipt(job.job_id, job.generation, job.uid, job.gid, systems, text))
