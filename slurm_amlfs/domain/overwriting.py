"""What an overwriting import must not touch: what living jobs use, and what is nowhere but on Lustre."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain.ask import OVERWRITES, Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Count
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import overlaps, reduce
from slurm_amlfs.domain.records import Life, Stage

_USES = frozenset({Phase.IMPORTING, Phase.RESTORING, Phase.STAGED_IN, Phase.RUNNING})
"""A stage-in that is this far relies on its files: they are, or are about to be, proved."""

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
    other = user(draft, stage)
    if other is None:
        return False
    job_id = other.key.job_id
    message = f"waiting for job {job_id}, which uses what conflict={stage.ask.conflict.value} may overwrite"
    waiting = replace(stage, message=message, checked=None)
    if stage != waiting:
        draft.put(waiting)
    return True


def user(draft: Draft, stage: Stage) -> Stage | None:
    """Find what a living job of another uses, or has still to export, and the stage's import would overwrite."""
    if not overwrites(stage):
        return None
    for other in draft.stages.values():
        if shared(draft, stage, other) and _in_use(draft, other):
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
