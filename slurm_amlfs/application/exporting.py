"""Prove a stage-out by setting Lustre beside Blob, and give the space of what is proved back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from slurm_amlfs.application.ports import Blobs, Lustre
from slurm_amlfs.domain.errand import Exported, Free, Freed, ProveOut
from slurm_amlfs.domain.evidence import Verdict, judge_out
from slurm_amlfs.domain.prefix import Namespace, matches
from slurm_amlfs.domain.view import FileKind, FileView, HsmState

_BATCH = 500
"""Files whose HSM state is asked for in one call of lfs."""

_MOST_NAMES = 100
"""Unproved files that a report names."""

OWN_FOLDER = "/.amlfs/"
"""Where receipts lie on Lustre; never part of anybody's export."""


def prove_out(blobs: Blobs, lustre: Lustre, errand: ProveOut, namespace: Namespace) -> Exported:
    """Look at every regular file under the stage's prefixes.

    Raises:
        TemporaryError, PermanentError: from the ports.
    """
    files = files_done = total_bytes = bytes_done = under_way = linked = 0
    kinds: Counter[FileKind] = Counter()
    todo: list[str] = []
    names: list[str] = []
    for prefix in errand.prefixes:
        for file, _, verdict in _judged(blobs, lustre, prefix, namespace, kinds):
            files += 1
            total_bytes += file.size_bytes
            if verdict is Verdict.PROVED:
                files_done += 1
                bytes_done += file.size_bytes
                continue
            if len(names) < _MOST_NAMES:
                names.append(file.path)
            linked += file.links > 1
            if verdict is Verdict.UNDER_WAY:
                under_way += 1
            elif prefix not in todo:
                todo.append(prefix)
    return Exported(
        files=files,
        files_done=files_done,
        total_bytes=total_bytes,
        bytes_done=bytes_done,
        under_way=under_way,
        todo=tuple(todo),
        names=tuple(names),
        linked=linked,
        symlinks=kinds[FileKind.SYMLINK],
    )


def unsaved(lustre: Lustre, prefix: str, namespace: Namespace) -> Iterator[str]:
    """Stream the regular files under a prefix whose bytes no archive holds as they are now.

    Raises:
        TemporaryError, PermanentError: from the ports.
    """
    return (file.path for file, state in _regular(lustre, prefix, namespace) if not state.clean)


def free(blobs: Blobs, lustre: Lustre, errand: Free, namespace: Namespace) -> Freed:
    """Release what is proved, still whole and needed by nobody; Lustre itself refuses what was changed meanwhile.

    Raises:
        TemporaryError, PermanentError: from the ports.
    """
    files = freed_bytes = needed = dirty = unproved = refused = 0
    for prefix in errand.prefixes:
        judged = _judged(blobs, lustre, prefix, namespace)
        while batch := list(islice(judged, _BATCH)):
            wanted = {}
            for file, state, verdict in batch:
                if state & HsmState.RELEASED:
                    continue
                if _spared(namespace, errand.spare, file.path):
                    needed += 1
                elif verdict is not Verdict.PROVED:
                    dirty += not state.clean
                    unproved += state.clean
                else:
                    wanted[file.path] = file.size_bytes
            if not wanted:
                continue
            lustre.release(list(wanted))
            states = lustre.hsm_states(list(wanted))
            for path, size_bytes in wanted.items():
                if states.get(path, HsmState.NONE) & HsmState.RELEASED:
                    files += 1
                    freed_bytes += size_bytes
                else:
                    refused += 1
    return Freed(files, freed_bytes, needed, dirty, unproved, refused)


def _spared(namespace: Namespace, spare: Sequence[str], path: str) -> bool:
    return any(matches(namespace, prefix, path) for prefix in spare)


def _judged(
    blobs: Blobs, lustre: Lustre, prefix: str, namespace: Namespace, kinds: Counter[FileKind] | None = None
) -> Iterator[tuple[FileView, HsmState, Verdict]]:
    """Stream the regular files under a prefix with what is proved of each. Links and devices have no blob to prove.

    `kinds` counts on the way everything that is there.
    """
    sizes = {blob.name: blob.size_bytes for blob in blobs.walk(prefix)}
    for file, state in _regular(lustre, prefix, namespace, kinds):
        yield file, state, judge_out(file, state, sizes.get(file.path.removeprefix("/")))


def _regular(
    lustre: Lustre, prefix: str, namespace: Namespace, kinds: Counter[FileKind] | None = None
) -> Iterator[tuple[FileView, HsmState]]:
    """Stream the regular files under a prefix that are still there when their state is read."""
    there = _under(lustre, prefix, namespace, Counter() if kinds is None else kinds)
    regular = (file for file in there if file.kind is FileKind.REGULAR)
    while batch := list(islice(regular, _BATCH)):
        states = lustre.hsm_states([file.path for file in batch])
        for file in batch:
            state = states.get(file.path)
            if state is not None:
                yield file, state


def _under(lustre: Lustre, prefix: str, namespace: Namespace, kinds: Counter[FileKind]) -> Iterator[FileView]:
    """Stream whatever is under a prefix and is not ours, and count it by its kind."""
    for file in lustre.walk(prefix):
        if matches(namespace, prefix, file.path) and not file.path.startswith(OWN_FOLDER):
            kinds[file.kind] += 1
            yield file
