"""What an overwriting import must not touch: what living jobs use, and what is nowhere but on Lustre.

Jobs have one order, by age. An overwrite waits for jobs that run or have outputs to save, for older jobs, and for
younger ones that can start without anybody; a younger job that waits for something itself gives way, and proves again
afterwards. A stage-in waits for overwrites of older jobs. So the oldest of the jobs that wait always goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from slurm_amlfs.domain.ask import OVERWRITES, Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Count
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import overlaps, reduce
from slurm_amlfs.domain.records import Life, Stage

_USES = frozenset({Phase.IMPORTING, Phase.RESTORING, Phase.STAGED_IN, Phase.RUNNING})
"""A stage-in that is this far relies on its files: they are, or are about to be, proved."""

_YIELDING = frozenset({Phase.IMPORTING, Phase.RESTORING, Phase.STAGED_IN})
"""A stage-in that is this far can be proved again before its job starts."""

_FRESH = timedelta(minutes=1)
"""How long a look at Lustre may be believed before an import overwrites."""


def overwrites(stage: Stage) -> bool:
    """Say whether the stage's import may replace what is on Lustre."""
    return stage.key.direction is Direction.IN and stage.ask.conflict in OVERWRITES


def count(draft: Draft, stage: Stage) -> Count:
    """Make the wish to count. While others use the files, what is unsaved may be theirs, and is not looked at."""
    namespace = draft.rules.file_systems[stage.fs].namespace
    looks = overwrites(stage) and user(draft, stage) is None
    prefixes = reduce(namespace, stage.ask.prefixes)
    return Count(stage.key, stage.generation, stage.fs, prefixes, stage.ask.hydrate, looks)


def is_checked(draft: Draft, stage: Stage) -> bool:
    """Say whether the stage's import destroys nothing, as seen a short while ago."""
    return not overwrites(stage) or (stage.checked is not None and draft.now - stage.checked <= _FRESH)


def check(draft: Draft, stages: Iterable[Stage]) -> None:
    """Have Lustre looked at; the slot is kept for the first of the stages meanwhile, so that it is not overtaken."""
    message = "looking at what the import would overwrite"
    for stage in stages:
        draft.want(count(draft, stage))
        if stage.message != message:
            draft.put(replace(stage, message=message))


def held(draft: Draft, stage: Stage) -> bool:
    """Say whether an import has to wait for others, and let it say for whom."""
    other, why = user(draft, stage), f"uses what conflict={stage.ask.conflict.value} may overwrite"
    if other is None:
        other, why = _ahead(draft, stage), "came first and may overwrite the same files"
    if other is None:
        return False
    waiting = replace(stage, message=f"waiting for job {other.key.job_id}, which {why}", checked=None)
    if stage != waiting:
        draft.put(waiting)
    return True


def _ahead(draft: Draft, stage: Stage) -> Stage | None:
    """Find an overwrite of an older job that waits for the same files, and does not go along in the same import."""
    if stage.key.direction is Direction.OUT:
        return None
    for other in draft.stages.values():
        if other.phase is not Phase.WAITING or not overwrites(other) or not shared(draft, stage, other):
            continue
        together = (stage.ask.conflict, stage.ask.max_errors) == (other.ask.conflict, other.ask.max_errors)
        if _older(draft, other, stage) and not (together and user(draft, other) is None):
            return other
    return None


def _older(draft: Draft, one: Stage, other: Stage) -> bool:
    return _age(draft, one) < _age(draft, other)


def _age(draft: Draft, stage: Stage) -> tuple[datetime, int]:
    """Order jobs, so that none waits for one that waits for it."""
    return draft.jobs[stage.key.job_id].submitted, stage.key.job_id


def _yields(draft: Draft, other: Stage, stage: Stage) -> bool:
    """Say whether a stage that is in use gives way to an overwrite: its job is younger, and cannot start yet itself."""
    if other.phase not in _YIELDING or other.key.direction is Direction.OUT or not _older(draft, stage, other):
        return False
    return any(it.phase is Phase.WAITING for it in draft.of_job(other.key.job_id, Direction.IN))


def disturb(draft: Draft, stage: Stage) -> None:
    """Have what gives way to an overwriting import proved again after it."""
    for other in list(draft.stages.values()):
        if not overwrites(stage) or other.phase not in _YIELDING or not shared(draft, stage, other):
            continue
        if other.phase is Phase.STAGED_IN:
            other = draft.move(other, Phase.RESTORING, "proving again", "")  # noqa: PLW2901 - the same, as it now is
        draft.put(replace(other, proof=other.proof + 1))


def being_overwritten(draft: Draft, stage: Stage) -> Stage | None:
    """Find an import of another job under way that may overwrite files of this stage."""
    for other in draft.stages.values():
        if other.phase is Phase.IMPORTING and overwrites(other) and shared(draft, stage, other):
            mine = draft.transfers.get(other.transfer_id)
            if mine is not None and mine.holds_slot:
                return other
    return None


def user(draft: Draft, stage: Stage) -> Stage | None:
    """Find what a living job of another uses, or has still to export, and the stage's import would overwrite."""
    if not overwrites(stage):
        return None
    for other in draft.stages.values():
        if shared(draft, stage, other) and _in_use(draft, other) and not _yields(draft, other, stage):
            return other
    return None


def shared(draft: Draft, stage: Stage, other: Stage) -> bool:
    """Say whether stages of two jobs have paths in common."""
    if other.fs != stage.fs or other.key.job_id == stage.key.job_id:
        return False
    namespace = draft.rules.file_systems[stage.fs].namespace
    return any(overlaps(namespace, one, its) for one in stage.ask.prefixes for its in other.ask.prefixes)


def _in_use(draft: Draft, stage: Stage) -> bool:
    if stage.key.direction is Direction.IN:
        return stage.phase in _USES
    job = draft.jobs.get(stage.key.job_id)
    begun = job is not None and job.life is not Life.PENDING
    return begun and (stage.phase is Phase.FAILED or not stage.phase.over)
