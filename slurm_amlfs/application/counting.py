"""List the blobs under a lease's prefix: how many, how large, where it can be cut, and whether they are there.

All in one walk, so that what it says of blobs and of their files belongs together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice

from slurm_amlfs.application.judging import under
from slurm_amlfs.application.ports import Blobs, Lustre
from slurm_amlfs.application.proving import wanted_blobs
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.cutting import Cutter
from slurm_amlfs.domain.etags import EtagDigest
from slurm_amlfs.domain.evidence import Verdict, judge_in, path_of
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Counted
from slurm_amlfs.domain.view import BlobView, FileKind, HsmState

_BATCH = 500
"""Blobs whose files are looked at in one go."""

_THERE = frozenset({Verdict.PROVED, Verdict.KEPT})


def count(  # noqa: PLR0913 - ports, and what is asked of them
    blobs: Blobs,
    lustre: Lustre | None,
    namespace: Namespace,
    prefix: str,
    target_blobs: int,
    *,
    known: Collection[str] | None = None,
) -> Counted:
    """Count and cut what is under a prefix; where `lustre` is given, see as well whether all of it is there.

    With `known` digests, whether it is there as it was brought in with one of them: each file clean, with its blob's
    size. Lustre is looked at until the first file that is not, so a prefix that was never imported costs one look.

    Raises:
        TemporaryError, PermanentError: from the ports.
    """
    cutter = Cutter(namespace, prefix, target_blobs)
    digest = EtagDigest()
    looks: Callable[[Lustre, Sequence[BlobView]], bool] = _all_there if known is None else _all_clean
    files = total_bytes = whole_bytes = 0
    complete = lustre is not None
    folder = prefix.endswith("/")
    walk = wanted_blobs(blobs, namespace, prefix)
    while batch := list(islice(walk, _BATCH)):
        for blob in batch:
            folder = folder or f"/{blob.name}".startswith(f"{prefix}/")
            cutter.take(blob.name, blob.size_bytes)
            digest.add(blob.name, blob.etag)
            files += 1
            total_bytes += blob.size_bytes
        complete = complete and lustre is not None and looks(lustre, batch)
        if complete and lustre is not None:
            whole_bytes += _whole_bytes(lustre, batch)
    there = bool(files) and complete
    text = digest.text() if files else ""
    same = there and known is not None and text in known
    return Counted(
        files,
        total_bytes,
        cutter.parts() if files else (),
        there=there and known is None,
        whole_bytes=whole_bytes if same or (there and known is None) else 0,
        beginning=bool(files) and not folder,
        digest=text,
        same=same,
    )


def is_bare(lustre: Lustre, namespace: Namespace, prefix: str) -> bool:
    """Say whether nothing is on Lustre under a prefix; told by the first file that is.

    Raises:
        TemporaryError, PermanentError: from the port.
    """
    there = under(lustre, prefix, namespace, Counter())
    return next(there, None) is None


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


def _all_clean(lustre: Lustre, blobs: Sequence[BlobView]) -> bool:
    """Say whether every blob has its file, and the archive holds what is in each."""
    paths = {blob.name: path_of(blob.name) for blob in blobs}
    files = lustre.looks([path for path in paths.values() if path is not None])
    regular = []
    for blob in blobs:
        file = files.get(paths[blob.name] or "")
        if judge_in(blob, file, Conflict.OVERWRITE_ALWAYS, None) is not Verdict.PROVED:
            return False
        if file is not None and file.kind is FileKind.REGULAR:
            regular.append(file.path)
    states = lustre.hsm_states(regular) if regular else {}
    return all(path in states and states[path].clean for path in regular)


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
