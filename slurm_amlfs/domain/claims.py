"""The line of jobs whose bytes were not let in yet: each claims room for all that it lacks, on all file systems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from slurm_amlfs.domain import riding
from slurm_amlfs.domain.ask import Direction, Hydrate
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Stage


@dataclass(frozen=True, slots=True)
class Claim:
    """What jobs that need the very same leases wait for.

    `keys` are the leases whose bytes they need, `lacking` those of them that were not let in, `stages` what waits.
    `overdue` is since when they have waited longer than the site's patience, None while they have not. `held` says that
    the jobs have to be released before they can start, and are staged anew then.
    """

    jobs: tuple[int, ...]
    keys: tuple[LeaseKey, ...]
    lacking: tuple[LeaseKey, ...]
    stages: tuple[Stage, ...]
    priority: int
    asked: datetime
    overdue: datetime | None
    held: bool

    @property
    def file_systems(self) -> list[str]:
        """Name the file systems that it lacks bytes on."""
        return sorted({it.fs for it in self.lacking})

    def sooner(self) -> tuple[object, ...]:
        """Give what the line is ordered by: who waited too long, by age; all others by priority; the held last."""
        if self.held:
            return (2, self.asked, self.jobs)
        if self.overdue is not None:
            return (0, self.overdue, self.jobs)
        return (1, -self.priority, self.asked, self.jobs)


def line_up(draft: Draft) -> list[Claim]:
    """List the claims of all jobs with a lease that could be restored, and was not let in; the first first."""
    found: dict[tuple[LeaseKey, ...], list[list[Stage]]] = {}
    for job_id in sorted(set(_wanting(draft))):
        stages = [it for it in draft.of_job(job_id, Direction.IN) if it.fs in draft.rules.file_systems and _wants(it)]
        found.setdefault(_keys(draft, stages), []).append(stages)
    return sorted((_claim(draft, keys, its) for keys, its in found.items()), key=Claim.sooner)


def _wanting(draft: Draft) -> Iterator[int]:
    for held in draft.leases.values():
        if held.landed and not held.let_in and not held.whole and held.key.fs in draft.rules.file_systems:
            for stage in riding.waiting(draft, held):
                if stage.ask.hydrate is Hydrate.ALL:
                    yield stage.key.job_id


def _wants(stage: Stage) -> bool:
    # A line that is staged in is not promised to Slurm before all lines of its job are.
    return stage.ask.hydrate is Hydrate.ALL and (stage.phase in riding.WAITS or stage.phase is Phase.STAGED_IN)


def _keys(draft: Draft, stages: Iterable[Stage]) -> tuple[LeaseKey, ...]:
    """Name the leases that stages need, but for those that were not listed yet: what these lack is not known."""
    return tuple(sorted({it.key for stage in stages for it in riding.serving(draft, stage) if it.counted is not None}))


def _claim(draft: Draft, keys: tuple[LeaseKey, ...], jobs: list[list[Stage]]) -> Claim:
    views = draft.seen.jobs or {}
    stages = tuple(stage for some in jobs for stage in some)
    asked = min(stage.asked or stage.since for stage in stages)
    late = asked + draft.rules.patience
    leases = [it for key in keys if (it := draft.find_lease(key)) is not None]
    job_ids = sorted({stage.key.job_id for stage in stages})
    held = all(riding.is_held(draft, it) for it in job_ids)
    return Claim(
        jobs=tuple(job_ids),
        keys=keys,
        lacking=tuple(it.key for it in leases if not it.let_in and not it.whole),
        stages=stages,
        priority=max((views[it.key.job_id].priority for it in stages if it.key.job_id in views), default=0),
        asked=asked,
        overdue=late if late <= draft.now and not held else None,
        held=held,
    )
