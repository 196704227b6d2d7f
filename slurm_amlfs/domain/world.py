"""What a pass knows beside the records: the rules of the site, and what was seen outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from slurm_amlfs.domain.belief import AgeLimit
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.view import (
    FileSystemView,
    ImportView,
    JobName,
    JobRecord,
    JobView,
    LivingJob,
    QueuedJob,
    SpaceView,
)


class ExportBy(StrEnum):
    """Who archives exports: Azure, by one call for a path, which takes the slot; or Lustre's HSM, file by file."""

    ARM = "arm"
    HSM = "hsm"


@dataclass(frozen=True, slots=True)
class FsRules:
    """A configured file system."""

    name: str
    mount: str
    namespace: Namespace
    export_by: ExportBy = ExportBy.ARM


class Ahead(StrEnum):
    """How far ahead of Slurm the daemon acts: not at all, when a turn is taken anyway, or from the submission on."""

    OFF = "off"
    BATCH = "batch"
    SUBMIT = "submit"


class Mode(StrEnum):
    """What keeps a job from starting: Slurm's burst buffer plugin, or its hold."""

    BURST_BUFFER = "burst-buffer"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration decides. The first file system is the default.

    `epoch` is the store's name (see wire.Site). `turn` is the longest that one import should hold the slot, `cut` the
    most of it that one part takes; `overhead` and `blobs_per_second` are believed until rates are measured. A proof is
    believed for `fresh`, under the prefixes of `age_limits` as these say; a lease is kept for `keep_lease` after it was
    last needed, and no more than `most_leases` that nobody needs. `reserve` is the part of a file system that no
    stage-in may fill; who has waited longer than `patience` since it asked is not passed by whom it would have to wait
    for. `operators` are the uids whose word counts for what is leased. A prefix is listed no further than `list_blobs`
    and `list_time` at a time. A job that Slurm has left behind for `left_behind` is told of, and taken up again by
    force if `mend` says so.
    """

    file_systems: Mapping[str, FsRules]
    grants: tuple[Grant, ...]
    epoch: str = ""
    attempts: int = 3
    prefixes_per_import: int = 100
    comment_every: timedelta = timedelta(seconds=10)
    stall: timedelta = timedelta(minutes=10)
    keep_board: timedelta = timedelta(hours=1)
    longest_wait: timedelta = timedelta(minutes=1)
    retry_exports: timedelta = timedelta(minutes=15)
    turn: timedelta = timedelta(seconds=60)
    cut: timedelta = timedelta(seconds=10)
    overhead: timedelta = timedelta(seconds=5)
    blobs_per_second: float = 2000.0
    fresh: timedelta = timedelta(minutes=10)
    age_limits: tuple[AgeLimit, ...] = ()
    keep_lease: timedelta = timedelta(days=7)
    most_leases: int = 100_000
    ahead: Ahead = Ahead.BATCH
    reserve: float = 0.05
    look_at_space: timedelta = timedelta(seconds=10)
    patience: timedelta = timedelta(minutes=30)
    list_blobs: int = 5_000_000
    list_time: timedelta = timedelta(seconds=120)
    operators: frozenset[int] = frozenset({0})
    mode: Mode = Mode.BURST_BUFFER
    left_behind: timedelta = timedelta(minutes=5)
    mend: bool = False

    @property
    def holds(self) -> bool:
        """Say whether jobs wait in Slurm's hold."""
        return self.mode is Mode.HOLD


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What pending jobs will need of one lease: the highest of their priorities, how many they are, and their ids."""

    priority: int
    tasks: int
    jobs: frozenset[int]


@dataclass(frozen=True, slots=True)
class FsSeen:
    """The latest look at one file system's slot. `trouble` says why there is none, then the rest is empty."""

    seen: datetime
    imports: tuple[ImportView, ...] = ()
    view: FileSystemView | None = None
    auto_jobs: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """The latest look at the world.

    `jobs` is None while Slurm does not answer; a job of `asked_jobs` that it lacks is gone. `running` are the keys of
    errands under way, `foreseen` what the queue will need, `awaited` who waits for the end of which job,
    `spaces` the room on each file system, `spaceless` why that could not be looked at, `declared` in hold mode the
    records of all jobs with directives. `living` are jobs that use their files, known here or not; `unadopted` says
    that Slurm has not told them since the daemon was started, so that nothing may be given back.
    """

    now: datetime
    running: frozenset[str] = frozenset()
    jobs: Mapping[int, JobView] | None = None
    asked_jobs: frozenset[int] = frozenset()
    file_systems: Mapping[str, FsSeen] = field(default_factory=dict)
    foreseen: Mapping[LeaseKey, Foreseen] = field(default_factory=dict)
    awaited: Mapping[JobName, tuple[QueuedJob, ...]] = field(default_factory=dict)
    spaces: Mapping[str, SpaceView] = field(default_factory=dict)
    spaceless: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[int, JobRecord] = field(default_factory=dict)
    living: tuple[LivingJob, ...] = ()
    unadopted: bool = False


def backoff(waits_in_a_row: int, retry_after: timedelta, longest: timedelta) -> timedelta:
    """Wait 1 s, 2 s, 4 s ... up to `longest`, and never less than the other side asked for."""
    grown = timedelta(seconds=2 ** min(waits_in_a_row, 20))
    return max(min(grown, longest), retry_after)
