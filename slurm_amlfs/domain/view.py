"""What was seen of the world, as frozen values: the evidence that phases move on.

Adapters make these; nothing here knows how.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, Flag, StrEnum
from typing import NamedTuple


class ImportState(StrEnum):
    """ARM's status.state of an import job. A word that is not here is read as UNKNOWN and waited out."""

    IN_PROGRESS = "InProgress"
    CANCELLING = "Cancelling"
    CANCELED = "Canceled"
    COMPLETED = "Completed"
    COMPLETED_PARTIAL = "CompletedPartial"
    FAILED = "Failed"
    UNKNOWN = "?"

    @property
    def over(self) -> bool:
        """Say whether the import holds the slot no longer."""
        return self in {self.CANCELED, self.COMPLETED, self.COMPLETED_PARTIAL, self.FAILED}


@dataclass(frozen=True, slots=True)
class ImportView:
    """An import job as ARM shows it. Counters are 0 where ARM left them out."""

    name: str
    import_state: ImportState
    prefixes: tuple[str, ...] = ()
    provisioning_state: str = ""
    message: str = ""
    blobs_walked: int = 0
    blobs_imported: int = 0
    errors: int = 0
    conflicts: int = 0
    imported_per_second: int = 0
    started: datetime | None = None
    completed: datetime | None = None
    correlation_id: str = ""


class ArchiveState(StrEnum):
    """ARM's archiveStatus state. A word that is not here is read as UNKNOWN and waited out."""

    NOT_CONFIGURED = "NotConfigured"
    IDLE = "Idle"
    IN_PROGRESS = "InProgress"
    SCAN_IN_PROGRESS = "FSScanInProgress"
    CANCELLING = "Cancelling"
    CANCELED = "Canceled"
    COMPLETED = "Completed"
    FAILED = "Failed"
    UNKNOWN = "?"

    @property
    def over(self) -> bool:
        """Say whether the archive holds the slot no longer."""
        return self in {self.NOT_CONFIGURED, self.IDLE, self.CANCELED, self.COMPLETED, self.FAILED}


@dataclass(frozen=True, slots=True)
class ArchiveView:
    """One element of the file system's archiveStatus; an archive has no id, only its path and its start."""

    path: str
    archive_state: ArchiveState
    percent: int = 0
    started: datetime | None = None
    completed: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class FileSystemView:
    """The file system's resource. `health` is ARM's word (Available, Maintenance, ...)."""

    health: str
    health_text: str
    provisioning_state: str
    archives: tuple[ArchiveView, ...] = ()
    container: str = ""
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class BlobView:
    """A blob. `name` has no leading "/". `last_modified` is the service's clock."""

    name: str
    size_bytes: int
    last_modified: datetime
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Children:
    """Some of what is directly under a prefix: blobs, and folders, which are beginnings of names up to their "/"."""

    blobs: tuple[BlobView, ...]
    folders: tuple[str, ...]


class FileKind(Enum):
    """What a path on Lustre is. UNREADABLE is there, but to look at it is an error: its OST is gone."""

    REGULAR = "regular"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"
    UNREADABLE = "unreadable"


class FileView(NamedTuple):
    """A path on Lustre. A tuple, because there are millions of them, and each crosses from one process to another.

    `path` is absolute in the file system, "/" first; undecodable bytes are surrogate-escaped. `links` counts its names.
    `changed_ns` is when its inode last changed (ctime), 0 if that is not known.
    """

    path: str
    kind: FileKind
    size_bytes: int
    mtime_ns: int = 0
    uid: int = 0
    links: int = 1
    changed_ns: int = 0


class HsmState(Flag):
    """Lustre's HSM flags (lustre_user.h, enum hsm_states)."""

    NONE = 0
    EXISTS = 0x01
    DIRTY = 0x02
    RELEASED = 0x04
    ARCHIVED = 0x08
    NORELEASE = 0x10
    NOARCHIVE = 0x20
    LOST = 0x40

    @property
    def clean(self) -> bool:
        """Say whether the archive holds what the file holds."""
        return bool(self & HsmState.ARCHIVED) and not self & (HsmState.DIRTY | HsmState.LOST)


@dataclass(frozen=True, slots=True)
class SpaceView:
    """Space on the file system."""

    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class JobName:
    """What a dependency names: a job by its id, or one task of an array by the array's id; `task` None is all of it."""

    job_id: int
    task: int | None = None


_OWNERS_REASONS = frozenset({
    "JobHeldUser", "job requeued in held state", "launch failed requeued held", "job requeued in special exit state",
})  # fmt: skip
"""WAIT_HELD_USER in squeue's words: the reason, or what _job_requeue_op put over it (job_mgr.c, state_desc)."""


class Hold(StrEnum):
    """Whether a pending job is held, and who may release it: its owner, or operators alone."""

    NONE = "none"
    OWNER = "owner"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as Slurm shows it.

    `job_state` is Slurm's base or flag word as squeue prints it (PENDING, RUNNING, STAGE_OUT, ...), `reason` its
    reason word, `bb_state` the burst buffer state ("staging-in", ...; "" if none). `exit_code` and `exit_signal` are 0
    until the job has ended. `restarts` counts requeues. `held`: its priority is 0, so it starts only when
    it is released. `interactive`: srun or salloc waits for it; not a batch job. `priority` is Slurm's number, the
    greater the sooner; 1 is the least that is not held. `submitted` is the second in which it was, None if not known.
    `task` is what the job is called as one task of an array, which has a job id of its own beside; None if it is none.
    """

    job_id: int
    uid: int
    job_state: str
    reason: str = ""
    bb_state: str = ""
    exit_code: int = 0
    exit_signal: int = 0
    account: str = ""
    user: str = ""
    restarts: int = 0
    held: bool = False
    interactive: bool = False
    priority: int = 1
    submitted: datetime | None = None
    task: JobName | None = None

    @property
    def hold(self) -> Hold:
        """Say who may release it."""
        if not self.held:
            return Hold.NONE
        return Hold.OWNER if self.reason in _OWNERS_REASONS else Hold.ADMIN

    @property
    def called(self) -> str:
        """Spell what Slurm's commands call it alone: by its id they may take every task of its array ("7_2")."""
        return str(self.job_id) if self.task is None else f"{self.task.job_id}_{self.task.task}"

    @property
    def names(self) -> frozenset[JobName]:
        """List what a dependency on it may say: its id, its task's name, and the array as a whole."""
        mine = JobName(self.job_id)
        return frozenset({mine} if self.task is None else {mine, self.task, JobName(self.task.job_id)})


_USE_NOTHING = frozenset({
    "CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY",
    "REVOKED", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "REQUEUE_FED",
})  # fmt: skip
_NOT_ASKED = frozenset({"", "pending"})
"""Burst buffer states in which Slurm has not asked for the stage-in yet (burst_buffer_common: bb_state_string)."""


@dataclass(frozen=True, slots=True)
class LivingJob:
    """A job as Slurm shows it to a daemon that may never have heard of it; the fields are those of JobView.

    `directives` are its `#AMLFS` lines without `#AMLFS `, as the hooks send them in requests, `token_in` the last ask
    for its stage-in, which its board has to answer before it starts, "" if that is not known.
    """

    job_id: int
    uid: int
    gid: int
    directives: tuple[str, ...]
    job_state: str
    bb_state: str = ""
    token_in: str = ""

    @property
    def uses_files(self) -> bool:
        """Say whether it may use its files without asking again: it is, or may just be, staged in, or it has started.

        A hook may have had its answer while Slurm still shows the stage-in.
        """
        if self.job_state == "PENDING":
            return self.bb_state not in _NOT_ASKED
        return self.job_state not in _USE_NOTHING


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A pending job with directives, or one that waits for another's exports, as Slurm's queue shows it.

    `directives` are its `#AMLFS` lines without `#AMLFS `, as the hooks send them in requests. `priority` and `held` are
    those of JobView. `expected_start` is the scheduler's estimate, or when the user lets it begin; None where there is
    neither, as for a job that is held. `tasks` is how many tasks of an array the record stands for, under the array's
    job id; the few that Slurm has split off to stage them, held ones too, have records and job ids of their own. It is
    1 for any other job. `after` are the jobs and tasks whose end, exports included, it waits for
    (job_scheduler.c: test_job_dependency).
    """

    job_id: int
    uid: int
    directives: tuple[str, ...]
    user: str = ""
    account: str = ""
    priority: int = 1
    held: bool = False
    expected_start: datetime | None = None
    tasks: int = 1
    after: frozenset[JobName] = frozenset()


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job with directives as Slurm's record has it, where records are all that tells of duties (hold mode).

    `name` is what Slurm calls it where its id is an array's as well ("7_2"; "7_[4-9]" for tasks in one record), else
    "". `tasks` and `after` are those of QueuedJob. `begins` is when it may begin, None if that is now or not known,
    `leader` the first job of the heterogeneous job that it is part of, 0 if of none. `owner_holds`: it was submitted
    with its owner's own hold.
    """

    job: JobView
    directives: tuple[str, ...]
    name: str = ""
    tasks: int = 1
    after: frozenset[JobName] = frozenset()
    begins: datetime | None = None
    leader: int = 0
    owner_holds: bool = False
