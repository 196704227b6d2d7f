"""What a job's directives ask for, as fresh stages, or why the site will not do it."""

from __future__ import annotations

from itertools import combinations, product

from slurm_amlfs.domain import directive, policy
from slurm_amlfs.domain.ask import OVERWRITES, Ask, Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import overlaps, reduce
from slurm_amlfs.domain.quote import quote
from slurm_amlfs.domain.records import Job, Stage, StageKey
from slurm_amlfs.errors import UserError


def stages_of(draft: Draft, job: Job) -> list[Stage]:
    """Make a job's stages, those of its imports first; nothing of the pass is changed.

    Raises:
        UserError: a directive is malformed, not granted, or at odds with another.
    """
    asks = list(directive.parse_all(job.directives))
    ins = _stages(draft, job, Direction.IN, asks)
    outs = _stages(draft, job, Direction.OUT, asks)
    _refuse_self_overwrite(draft, ins)
    return ins + outs


def _stages(draft: Draft, job: Job, direction: Direction, asks: list[Ask]) -> list[Stage]:
    return [
        _stage(draft, job, StageKey(job.job_id, direction, line), ask)
        for line, ask in enumerate(ask for ask in asks if ask.direction is direction)
    ]


def _stage(draft: Draft, job: Job, key: StageKey, ask: Ask) -> Stage:
    fs = policy.choose_file_system(ask.fs, tuple(draft.rules.file_systems))
    view = (draft.seen.jobs or {}).get(job.job_id)
    policy.check(ask, fs, job.uid, draft.rules.grants, "" if view is None else view.user)
    policy.check_pool(ask, fs)
    several, most = len(reduce(draft.rules.file_systems[fs].namespace, ask.prefixes)), draft.rules.prefixes_per_import
    if key.direction is Direction.IN and several > most:
        raise UserError(
            f"amlfs: {several} prefixes in one stage_in, {quote(ask.prefixes[0])} first; at most {most} are taken:"
            " name a folder above them"
        )
    return Stage(key, ask, fs, Phase.DECLARED, draft.now, job.generation)


def _refuse_self_overwrite(draft: Draft, stages: list[Stage]) -> None:
    for one, other in combinations(stages, 2):
        if one.fs != other.fs or OVERWRITES.isdisjoint({one.ask.conflict, other.ask.conflict}):
            continue
        namespace = draft.rules.file_systems[one.fs].namespace
        for prefix, second in product(one.ask.prefixes, other.ask.prefixes):
            if overlaps(namespace, prefix, second):
                raise UserError(
                    f"amlfs: {quote(prefix)} and {quote(second)} overlap in two stage_in lines, one of which may"
                    " overwrite what the other brought; put them on one line"
                )
