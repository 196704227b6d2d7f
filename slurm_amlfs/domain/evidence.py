"""What a blob and a file, set side by side, prove."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.view import BlobView, FileKind, FileView, HsmState


class Verdict(Enum):
    """What one blob of a stage-in, or one file of a stage-out, came to."""

    PROVED = "proved"
    MISSING = "missing"
    NEWER = "newer"
    KEPT = "kept"
    UNDER_WAY = "under way"


_NANOSECONDS = 1_000_000_000

_STAYS = frozenset({Conflict.SKIP, Conflict.OVERWRITE_IF_DIRTY})
"""Modes under which a clean file that differs from its blob stays as it is (documented for both)."""


def path_of(name: str) -> str | None:
    """Turn a blob's name into its path on Lustre, "/" first; None if it cannot be a path below the mount."""
    bare = name.removesuffix("/")
    if not bare or "\0" in bare or any(part in {"", ".", ".."} for part in bare.split("/")):
        return None
    return f"/{bare}"


def judge_in(
    blob: BlobView,
    file: FileView | None,
    conflict: Conflict,
    import_started: datetime | None,
    brought: Sequence[datetime] = (),
) -> Verdict:
    """Say whether a blob's file is on Lustre. Whether its bytes are there too is for the HSM state to tell.

    `brought` are imports that may have brought the file: one that is of its blob's size may be older than that. An
    overwriting import of everything is asked for by who wants what changed, and listed for that, so it keeps nothing.
    """
    newer = import_started is not None and blob.last_modified > import_started
    absent = Verdict.NEWER if newer else Verdict.MISSING
    if file is None or file.kind is FileKind.OTHER:
        return absent
    if file.kind is FileKind.SYMLINK:
        return Verdict.PROVED
    if file.kind is FileKind.DIRECTORY:
        return Verdict.MISSING if blob.size_bytes else Verdict.PROVED
    if file.size_bytes == blob.size_bytes:
        stays = conflict is not Conflict.OVERWRITE_ALWAYS and _is_older(file, blob, brought)
        return Verdict.KEPT if stays else Verdict.PROVED
    return Verdict.KEPT if conflict in _STAYS and not newer else absent


def _is_older(file: FileView, blob: BlobView, brought: Sequence[datetime]) -> bool:
    """Say whether a file is as an import left it, and its blob has changed since.

    What a job wrote after the import is younger than that, and what was imported or touched again later has an inode
    that changed after the blob did.
    """
    modified = blob.last_modified.timestamp()
    if not 0 < file.changed_ns < modified * _NANOSECONDS:
        return False
    return any(file.mtime_ns <= began.timestamp() * _NANOSECONDS and began < blob.last_modified for began in brought)


def judge_out(file: FileView, hsm_state: HsmState, blob_bytes: int | None) -> Verdict:
    """Say whether a file is in Blob: archived, not changed since, and the blob there with its size."""
    if hsm_state.clean:
        return Verdict.PROVED if blob_bytes == file.size_bytes else Verdict.MISSING
    begun = hsm_state & HsmState.EXISTS and not hsm_state & (HsmState.DIRTY | HsmState.ARCHIVED | HsmState.LOST)
    return Verdict.UNDER_WAY if begun else Verdict.MISSING
