"""What the daemon remembers: jobs, their stages, and the transfers that hold a slot. Frozen values.

`Records` is all of it. A change makes a new value; the store writes what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from slurm_amlfs.domain.ask import Ask, Conflict, Direction
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.gate import Run
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.phases import Phase, check_move
from slurm_amlfs.domain.resting import Resting
from slurm_amlfs.domain.tempo import Tempo


class StageKey(NamedTuple):
    """Which stage: the `line`-th directive line of a direction of a job."""

    job_id: int
    direction: Direction
    line: int

    def __str__(self) -> str:
        return f"{self.job_id}.{self.direction.value}.{self.line}"


_ASKED_FROM = frozenset({Phase.DECLARED, Phase.STAGED_IN, Phase.FAILED})
"""Phases that a stage leaves because somebody asks, or its files have to be looked at again."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One directive line on its way.

    `generation` counts how often the job asked anew, `asked` is when it last did. `not_before` is the end of a wait
    after an error. Of a stage-in, whose work is its leases', the counts are sums of theirs, and `beginnings` are
    prefixes that are the beginning of names and no folder. Of a stage-out, `turns` counts archives that did not help,
    `transfer_id` names the one under way ("" where Lustre archives by itself), `todo` are paths that archives
    still have to take, `progressed` when their proof last came forward, `most_done` how far it ever was, `said` what
    Azure said of the last archive, or what did not come of Lustre's, and `revivals` how often a failed export was
    tried again since a file was last proved.
    """

    key: StageKey
    ask: Ask
    fs: str
    phase: Phase
    since: datetime
    generation: int = 0
    asked: datetime | None = None
    turns: int = 0
    transfer_id: str = ""
    not_before: datetime | None = None
    waits_in_a_row: int = 0
    message: str = ""
    correlation_id: str = ""
    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    missing_count: int = 0
    kept_count: int = 0
    beginnings: tuple[str, ...] = ()
    todo: tuple[Cut, ...] = ()
    progressed: datetime | None = None
    most_done: int = 0
    said: str = ""
    revivals: int = 0

    def move(self, phase: Phase, now: datetime, message: str = "") -> Stage:
        """Go to another phase, from which any wait is forgotten.

        Raises:
            InvariantError: the table of phases does not hold that move.
        """
        check_move(self.key.direction, self.phase, phase)
        asked = now if self.phase in _ASKED_FROM else self.asked
        return replace(self, phase=phase, since=now, asked=asked, message=message, not_before=None, waits_in_a_row=0)

    def waits(self, now: datetime) -> bool:
        """Say whether the stage still sits out a wait after an error."""
        return self.not_before is not None and now < self.not_before


class Life(StrEnum):
    """How far a job's own life is, as far as staging cares."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Job:
    """A job with directives.

    `token_in`, `token_out` name the latest asks of the hooks, `token_again` one after a failed stage-in. `succeeded` is
    None until Slurm has told the end; `exit_note` is the exit code that a hook noted, -1 if none. `announced` says that
    Slurm was nudged after it had seen the stage-in done, `receipt` that the nodes can see it, `stale_receipt` that one
    of an earlier ask may still lie there. `refusal` is why the daemon will not do what the directives ask.
    `told` is since when the failure had been that was last told to an interactive job's terminal.
    `orphaned`: it has run, and Slurm will not ask for its exports. `behind` is since when Slurm was seen to have left
    it behind, `alarm` what an admin was told of that, `mending` since when it is being mended, and `mends` how often.
    `not_before`, `waits_in_a_row` and `trouble` are the wait after an error with what is done for the job as a whole.
    `run` is its present run in hold mode, None elsewhere.
    """

    job_id: int
    uid: int
    gid: int
    directives: tuple[str, ...]
    submitted: datetime
    generation: int = 0
    token_in: str = ""
    token_out: str = ""
    token_again: str = ""
    life: Life = Life.PENDING
    succeeded: bool | None = None
    torn_down: bool = False
    announced: bool = False
    receipt: bool = False
    stale_receipt: bool = False
    refusal: str = ""
    closed: datetime | None = None
    comment: str = ""
    commented: datetime | None = None
    exit_note: int = -1
    told: datetime | None = None
    orphaned: bool = False
    behind: datetime | None = None
    alarm: str = ""
    mending: datetime | None = None
    mends: int = 0
    not_before: datetime | None = None
    waits_in_a_row: int = 0
    trouble: str = ""
    run: Run | None = None


class TransferKind(StrEnum):
    """What holds the slot."""

    IMPORT = "import"
    ARCHIVE = "archive"


class TransferPhase(StrEnum):
    """INTENDED: recorded, Azure may or may not have been asked. ASKED: Azure took it. OVER: Azure says it ended."""

    INTENDED = "intended"
    ASKED = "asked"
    OVER = "over"


class Outcome(StrEnum):
    """How a transfer ended."""

    NONE = ""
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One use of a file system's slot: an import job (its ARM name is `transfer_id`) or an archive of one path.

    An import serves `leases`, an archive one of `stages`; `landed` says that they know of its end. `blobs` is
    what an import is expected to bring, `started` and `completed` are Azure's clock.
    `asked` is when Azure was last asked for it, whether it took it or not. `baseline` is the archive start that ARM
    showed before ours was asked: a different one is ours. `unwanted` says that no living stage needs it any more, so it
    is cancelled. `missed` is the latest look that lacked what Azure took, `missed_for` what such looks add up to, and
    `overdue` how late it was when that was last said.
    """

    transfer_id: str
    fs: str
    kind: TransferKind
    prefixes: tuple[str, ...]
    created: datetime
    leases: tuple[LeaseKey, ...] = ()
    stages: tuple[StageKey, ...] = ()
    conflict: Conflict = Conflict.SKIP
    max_errors: int = 0
    blobs: int = 0
    phase: TransferPhase = TransferPhase.INTENDED
    asked: datetime | None = None
    ended: datetime | None = None
    baseline: datetime | None = None
    started: datetime | None = None
    completed: datetime | None = None
    landed: bool = False
    outcome: Outcome = Outcome.NONE
    errors: int = 0
    conflicts: int = 0
    imported: int = 0
    message: str = ""
    correlation_id: str = ""
    not_before: datetime | None = None
    waits_in_a_row: int = 0
    unwanted: bool = False
    missed: datetime | None = None
    missed_for: timedelta = timedelta(0)
    overdue: timedelta = timedelta(0)

    @property
    def holds_slot(self) -> bool:
        """Say whether the slot is, or is about to be, this transfer's."""
        return self.phase is not TransferPhase.OVER


class Event(NamedTuple):
    """One line of a job's timeline: what happened, in one of a few constant words, with a detail for people."""

    job_id: int
    at: datetime
    word: str
    detail: str


@dataclass(frozen=True, slots=True)
class Records:
    """Everything remembered about what is not closed. The dictionaries are never changed in place.

    `leases` are those that somebody needs or that have still to be brought in or laid to rest, and what is pinned;
    `resting` are all others. `tempos` are the measured rates of each file system's slot, by its name.
    """

    jobs: dict[int, Job] = field(default_factory=dict)
    stages: dict[StageKey, Stage] = field(default_factory=dict)
    transfers: dict[str, Transfer] = field(default_factory=dict)
    leases: dict[LeaseKey, Lease] = field(default_factory=dict)
    tempos: dict[str, Tempo] = field(default_factory=dict)
    resting: Resting = field(default_factory=Resting)

    def all_leases(self) -> Iterator[Lease]:
        """Yield every lease, at rest or not: for people, never in a pass."""
        yield from self.leases.values()
        yield from self.resting

    def of_job(self, job_id: int, direction: Direction | None = None) -> Iterator[Stage]:
        """Yield a job's stages in the order of its lines."""
        return of_job(self.stages, job_id, direction)


_WAYS = tuple(Direction)


def of_job(stages: Mapping[StageKey, Stage], job_id: int, direction: Direction | None = None) -> Iterator[Stage]:
    """Yield a job's stages in the order of its lines, those that go in first."""
    for way in _WAYS if direction is None else (direction,):
        line = 0
        while (stage := stages.get(StageKey(job_id, way, line))) is not None:
            yield stage
            line += 1
