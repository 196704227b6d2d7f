"""What an import does with one blob: the four conflict resolution modes. Pure.

Sources: blob-integration.md ("Conflict resolution mode"), the specification's text for conflictResolutionMode, and
auto-import.md for the words: a conflict is a path that is on Lustre already and differs in type, data or metadata;
it is preexisting when it has the expected data and metadata.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from enum import Enum, StrEnum

from slurm_amlfs.domain.view import FileKind, HsmState
from slurm_amlfs.emulator.contents import Blob
from slurm_amlfs.emulator.metadata import DIRECTORY_MODE, FILE_MODE, NANOSECONDS, Posix
from slurm_amlfs.emulator.tree import FileInfo


class Mode(StrEnum):
    """ARM's conflictResolutionMode."""

    FAIL = "Fail"
    SKIP = "Skip"
    OVERWRITE_IF_DIRTY = "OverwriteIfDirty"
    OVERWRITE_ALWAYS = "OverwriteAlways"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a blob says that its path should be. Owner 0 and plain permissions where the blob says nothing."""

    kind: FileKind
    size: int
    mtime_ns: int
    uid: int
    gid: int
    mode: int
    target: str = ""


class Step(Enum):
    """What is done with one blob."""

    CREATE = "create"
    KEEP = "keep"
    REFRESH = "refresh attributes"
    REPLACE = "remove and create"
    SKIP = "skip"
    ABORT = "fail the job"


@dataclass(frozen=True, slots=True)
class Decision:
    """`conflict` counts in totalConflicts; `preexisting` in the preexisting counters."""

    step: Step
    conflict: bool = False
    preexisting: bool = False


CREATE = Decision(Step.CREATE)


def wanted(blob: Blob, posix: Posix, target: str) -> Wanted:
    """Say what a blob should become. A blob without modtime has the time of its last change."""
    mtime_ns = int(blob.last_modified.timestamp()) * NANOSECONDS if posix.mtime_ns is None else posix.mtime_ns
    default = DIRECTORY_MODE if posix.kind is FileKind.DIRECTORY else FILE_MODE
    mode = default if posix.mode is None else posix.mode
    return Wanted(posix.kind, blob.size, mtime_ns, posix.uid or 0, posix.gid or 0, mode, target)


def decide(there: FileInfo | None, want: Wanted, mode: Mode) -> Decision:  # noqa: PLR0911 - one per case
    """Decide on one blob.

    Fail: the job fails at the first conflict. Skip: the file stays. OverwriteIfDirty: a clean, archived file only has
    its attributes updated, even when the blob behind it has changed ("doesn't guarantee that the file in Lustre
    matches the file in the blob"); any other is deleted and imported again. OverwriteAlways: deleted and imported
    again if dirty, released if clean, so that the next read brings what the blob holds now.
    """
    if there is None:
        return CREATE
    if there.kind is not want.kind:
        return _resolve(mode)
    if want.kind is FileKind.DIRECTORY:
        overwrite = mode in {Mode.OVERWRITE_IF_DIRTY, Mode.OVERWRITE_ALWAYS} and not _same_attributes(there, want)
        return Decision(Step.REFRESH if overwrite else Step.KEEP, preexisting=True)
    if want.kind is FileKind.SYMLINK:
        return Decision(Step.KEEP, preexisting=True) if there.target == want.target else _resolve(mode)
    clean = HsmState(there.flags).clean
    if mode is Mode.OVERWRITE_IF_DIRTY and clean:
        same = _same_attributes(there, want) and _same_mtime(there, want)
        return Decision(Step.KEEP if same else Step.REFRESH, preexisting=True)
    same = clean and there.size == want.size and _same_mtime(there, want) and _same_attributes(there, want)
    if same and mode is Mode.OVERWRITE_ALWAYS and not there.flags & HsmState.RELEASED.value:
        return Decision(Step.REPLACE, preexisting=True)
    if same:
        return Decision(Step.KEEP, preexisting=True)
    return _resolve(mode)


def _resolve(mode: Mode) -> Decision:
    if mode is Mode.FAIL:
        return Decision(Step.ABORT, conflict=True)
    if mode is Mode.SKIP:
        return Decision(Step.SKIP, conflict=True)
    return Decision(Step.REPLACE, conflict=True)


def _same_attributes(there: FileInfo, want: Wanted) -> bool:
    return (there.uid, there.gid, stat.S_IMODE(there.mode)) == (want.uid, want.gid, want.mode)


def _same_mtime(there: FileInfo, want: Wanted) -> bool:
    """Blob metadata has whole seconds."""
    return there.mtime_ns // NANOSECONDS == want.mtime_ns // NANOSECONDS
