"""What came of an errand: values that adapters' findings are told in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.errand import Errand
from slurm_amlfs.domain.view import ImportView


@dataclass(frozen=True, slots=True)
class Counted:
    """What `Count` found. Not `settled`: it goes on, and so many files were listed so far.

    Where a bound was met, `listed` is how many blobs were listed till then, else 0; `files` is a guess then, and
    `total_bytes` are the known ones. `there` says that every listed blob has its file already; `whole_bytes` is what of
    their bytes is on Lustre then. `room_bytes` is the size of the whole file system, 0 if not asked. `unsaved_files`
    counts files that are on Lustre only, or changed since their archive; `unsaved` names some of them. `beginning` says
    that the prefix has no "/" at its end and is no blob's folder. `wanted` is that of the count as it was begun.
    `digest` is that of a listing of the whole lease to its end (see etags), else ""; `same` says that it is one of
    those asked for and that every blob has its clean file; `bare`, that nothing was on Lustre under the prefix after
    the listing.
    """

    files: int
    total_bytes: int
    cuts: tuple[Cut, ...] = ()
    there: bool = False
    whole_bytes: int = 0
    room_bytes: int = 0
    unsaved_files: int = 0
    unsaved: tuple[str, ...] = ()
    beginning: bool = False
    listed: int = 0
    settled: bool = True
    wanted: datetime | None = None
    digest: str = ""
    same: bool = False
    bare: bool = False


MOST_NAMES = 1000
"""Blobs that a proof names of each kind; the rest are only counted."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What `Probe` found."""

    there: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """What `ProveIn` found.

    `settled` says that every blob has been looked at and no restore is outstanding, or that more are missing than was
    asked to be found. `missing` names blobs without a file of their size, `newer` those that changed after the import
    began; `kept` names files that differ and stay, as `skip` says. Of each the first are named; `..._unnamed` counts
    the others, `..._count` all. `waiting` names files whose restore has been waited for longest. `seconds` are what
    looking took, without any waiting.
    """

    settled: bool
    files: int
    files_done: int
    total_bytes: int
    bytes_done: int
    missing: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    missing_unnamed: int = 0
    newer_unnamed: int = 0
    kept_unnamed: int = 0
    seconds: float = 0.0
    waiting: tuple[str, ...] = ()

    @property
    def missing_count(self) -> int:
        """Count the blobs without a file of their size."""
        return len(self.missing) + self.missing_unnamed

    @property
    def newer_count(self) -> int:
        """Count the blobs that changed after the import began."""
        return len(self.newer) + self.newer_unnamed

    @property
    def kept_count(self) -> int:
        """Count the files that differ and stay."""
        return len(self.kept) + self.kept_unnamed


@dataclass(frozen=True, slots=True)
class Exported:
    """What `ProveOut` found.

    `todo` are parts of the prefixes with the files that an archive has to take (new, dirty, or without their blob);
    `under_way` counts files whose archive has begun. `files_done` are proved: clean, archived, blob there with the
    size. `names` are some that are not, `linked` counts those of them that have several hard links. `symlinks` are no
    files: what becomes of them in Blob is not looked at. Not `settled`: there is more to look at, and nothing of this
    is to be believed but as progress.
    """

    files: int
    files_done: int
    total_bytes: int
    bytes_done: int
    under_way: int = 0
    todo: tuple[Cut, ...] = ()
    names: tuple[str, ...] = ()
    linked: int = 0
    symlinks: int = 0
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Archived:
    """What `ArchiveFiles` did.

    `files` are found so far to need an archive, `files_done` have one by now, `under_way` are with Lustre. `failed`
    will get none in this round, and `reasons` names some of those, each with why. `changed` were written while they
    were archived: another round takes them. `idle` says that there was nothing to do but wait, and `quiet` for how
    long no archive has ended. Not `settled`: it goes on.
    """

    files: int
    files_done: int
    under_way: int = 0
    failed: int = 0
    changed: int = 0
    reasons: tuple[tuple[str, str], ...] = ()
    idle: bool = False
    quiet: timedelta = timedelta(0)
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Freed:
    """What `Free` did, or `Evict` in one slice, and how many files stay whole for which reason.

    `needed`: another job, or a line with release=no, needs them. `dirty`: written since their archive. `unproved`: not
    in Blob as they are. `refused`: Lustre did not release them. Not `settled`: it goes on.
    """

    files: int
    freed_bytes: int
    needed: int = 0
    dirty: int = 0
    unproved: int = 0
    refused: int = 0
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Started:
    """Azure took a transfer."""

    correlation_id: str
    view: ImportView | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """It was done, and there is nothing more to say."""


class Fault(Enum):
    """Which kind of error an errand met."""

    TEMPORARY = "temporary"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True)
class Trouble:
    """An errand did not succeed."""

    fault: Fault
    message: str
    retry_after: timedelta = timedelta(0)
    correlation_id: str = ""


Result = Counted | Probed | Examined | Exported | Archived | Freed | Started | Done | Trouble


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an errand."""

    errand: Errand
    result: Result
