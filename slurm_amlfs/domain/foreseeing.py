"""What pending jobs will ask for, read from Slurm's queue before Slurm begins to stage them.

Slurm begins few stage-ins at a time (128 up to 23.11, ten tasks of an array, a ten-hour horizon), so a batch made from
those alone would leave out most of what the next one has to bring.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from slurm_amlfs.domain import directive, lease, policy
from slurm_amlfs.domain.ask import OVERWRITES, Ask, Direction
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.view import JobName, QueuedJob
from slurm_amlfs.domain.world import Foreseen, Rules
from slurm_amlfs.errors import UserError


def foresee(queue: Iterable[QueuedJob], rules: Rules) -> Mapping[LeaseKey, Foreseen]:
    """List the leases that the queue's jobs will need; what they ask wrongly is for the time when they ask."""
    found: dict[LeaseKey, Foreseen] = {}
    for job in queue:
        if job.held:
            continue
        for key in _keys(job, rules):
            before = found.get(key, Foreseen(0, 0, frozenset()))
            found[key] = replace(
                before,
                priority=max(before.priority, job.priority),
                tasks=before.tasks + job.tasks,
                jobs=before.jobs | {job.job_id},
            )
    return found


def awaited(queue: Iterable[QueuedJob]) -> Mapping[JobName, tuple[QueuedJob, ...]]:
    """List, by the job or task whose end they wait for, who cannot begin before its exports are through."""
    found: dict[JobName, tuple[QueuedJob, ...]] = {}
    for job in queue:
        for name in () if job.held else job.after:
            found[name] = (*found.get(name, ()), job)
    return found


def _keys(job: QueuedJob, rules: Rules) -> list[LeaseKey]:
    keys: list[LeaseKey] = []
    asks = [_ask(line) for line in job.directives]
    if any(ask is not None and ask.capacity_bytes for ask in asks):
        # What is foreseen is kept on Lustre and counts as needed: it would wait in Slurm for room that it takes itself.
        return keys
    for ask in asks:
        # An overwrite waits for its job: only then is it known who uses the files.
        if ask is None or ask.direction is not Direction.IN or ask.conflict in OVERWRITES:
            continue
        try:
            fs = policy.choose_file_system(ask.fs, tuple(rules.file_systems))
            policy.check(ask, fs, job.uid, rules.grants)
        except UserError:
            continue
        keys += lease.keys(rules.file_systems[fs].namespace, fs, ask)
    return keys


@lru_cache(maxsize=65536)
def _ask(line: str) -> Ask | None:
    try:
        return directive.parse(line)
    except UserError:
        return None
