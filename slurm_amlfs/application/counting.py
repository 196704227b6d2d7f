"""List the blobs under a lease's prefix: how many, how large, where it can be cut, and whether they are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from slurm_amlfs.application.ports import Blobs, Lustre
from slurm_amlfs.application.proving import wanted_blobs
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.cutting import Cutter
from slurm_amlfs.domain.evidence import Verdict, judge_in, path_of
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Counted
from slurm_amlfs.domain.view import BlobView, HsmState

_BATCH = 500
"""Blobs whose files are looked at in one go."""

_THERE = frozenset({Verdict.PROVED, Verdict.KEPT})


def count(blobs: Blobs, lustre: Lustre | None, namespace: Namespace, prefix: str, target_blobs: int) -> Counted:
    """Count and cut what is under a prefix; where `lustre` is given, see as well whether all of it is there.

    Lustre is looked at until the first file that is not there, so a prefix that was never imported costs one look.

    Raises:
        TemporaryError, PermanentError: from the ports.
    """
    cutter = Cutter(namespace, prefix, target_blobs)
    files = total_bytes = whole_bytes = 0
    complete = lustre is not None
    folder = prefix.endswith("/")
    walk = wanted_blobs(blobs, namespace, prefix)
    while batch := list(islice(walk, _BATCH)):
        for blob in batch:
            folder = folder or f"/{blob.name}".startswith(f"{prefix}/")
            cutter.take(blob.name, blob.size_bytes)
            files += 1
            total_bytes += blob.size_bytes
        complete = complete and lustre is not None and _all_there(lustre, batch)
        if complete and lustre is not None:
            whole_bytes += _whole_bytes(lustre, batch)
    return Counted(
        files,
        total_bytes,
        cutter.parts() if files else (),
        there=bool(files) and complete,
        whole_bytes=whole_bytes if complete else 0,
        beginning=bool(files) and not folder,
    )


def is_there(blobs: Blobs, lustre: Lustre, namespace: Namespace, prefix: str) -> bool:
    """Say whether every blob under a prefix has its file; false at the first that has not.

    Raises:
        TemporaryError, PermanentError: from the ports.
    """
    walk = wanted_blobs(blobs, namespace, prefix)
    some = False
    while batch := list(islice(walk, _BATCH)):
        some = True
        if not _all_there(lustre, batch):
            return False
    return some


def _all_there(lustre: Lustre, blobs: Iterable[BlobView]) -> bool:
    blobs = list(blobs)
    paths = {blob.name: path_of(blob.name) for blob in blobs}
    files = lustre.looks([path for path in paths.values() if path is not None])
    for blob in blobs:
        file = files.get(paths[blob.name] or "")
        if judge_in(blob, file, Conflict.SKIP, None) not in _THERE:
            return False
    return True


def _whole_bytes(lustre: Lustre, blobs: Sequence[BlobView]) -> int:
    """Sum the bytes of files that are not released; links and folders hold none."""
    sizes = {path: blob.size_bytes for blob in blobs if (path := path_of(blob.name)) is not None and blob.size_bytes}
    states = lustre.hsm_states(list(sizes))
    return sum(sizes[path] for path, state in states.items() if not state & HsmState.RELEASED)
