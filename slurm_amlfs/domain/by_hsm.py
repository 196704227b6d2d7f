"""Exports by Lustre's own HSM requests, file by file: they take no turn of the slot, and tell of each file.

A round asks for the archive of whatever is not clean and waits until Lustre has nothing of it left to do; then the same
proof follows as after an archive of Azure's, and decides. A round half done is begun again: it asks for what is left.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain import ranking
from slurm_amlfs.domain.draft import Draft, names_some
from slurm_amlfs.domain.errand import ArchiveFiles
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Stage
from slurm_amlfs.domain.report import Archived
from slurm_amlfs.domain.world import ExportBy

_LOOK_AGAIN = timedelta(milliseconds=300)
"""Pause between two looks at requests of which none has ended."""


def is_used(draft: Draft, stage: Stage) -> bool:
    """Say whether the site exports from the stage's file system this way."""
    return draft.rules.file_systems[stage.fs].export_by is ExportBy.HSM


def is_next(draft: Draft, stage: Stage) -> bool:
    """Say whether a round is under way or has to begin. An archive of Azure's that still runs is waited for first."""
    begins = stage.phase is Phase.WAITING and bool(stage.todo)
    goes_on = stage.phase is Phase.EXPORTING and not stage.transfer_id
    return (begins or goes_on) and is_used(draft, stage)


def step(draft: Draft, stage: Stage) -> None:
    """Begin a round, or go on with it."""
    if stage.phase is Phase.WAITING:
        stage = draft.move(stage, Phase.EXPORTING, "export started")
    if draft.ready(stage):
        urgency = (stage.asked or stage.since).timestamp()
        prefixes = tuple(part.prefix for part in stage.todo)
        rank = ranking.of_stage(draft, stage)
        draft.want(ArchiveFiles(stage.key, stage.generation, stage.fs, prefixes, urgency, rank=rank))


def archived(draft: Draft, stage: Stage, result: Archived) -> None:
    """Take how far a round is; when it is over, let the proof tell what is in Blob."""
    if stage.phase is not Phase.EXPORTING or stage.transfer_id:
        return
    if not result.settled:
        stage = draft.put(replace(stage, message=_progress(draft, stage, result), waits_in_a_row=0, not_before=None))
        if result.idle:
            draft.pause(stage, _LOOK_AGAIN)
        return
    said = _said(result)
    stage = replace(stage, todo=(), turns=stage.turns + 1, progressed=None, said=said)
    draft.move(stage, Phase.WAITING, message=said)


def _progress(draft: Draft, stage: Stage, result: Archived) -> str:
    if result.under_way and result.quiet >= draft.rules.stall:
        minutes = int(result.quiet.total_seconds() / 60)
        return (
            f"no archive has ended for {minutes} minutes, and {result.under_way} are under way; "
            f"see the HSM of {stage.fs}"
        )
    failed = f", {result.failed} failed" if result.failed else ""
    return f"Lustre has archived {result.files_done} of {result.files} files{failed}"


def _said(result: Archived) -> str:
    """Say what did not come of a round."""
    told = []
    if result.failed:
        named = "; ".join(f"{names_some([path])} {why}" for path, why in result.reasons)
        more = "; ..." if result.failed > len(result.reasons) else ""
        told.append(f"not archived, {result.failed} in all: {named}{more}" if more else f"not archived: {named}")
    if result.changed:
        told.append(f"written while it was archived: {result.changed} of {result.files} files")
    return "; ".join(told)
