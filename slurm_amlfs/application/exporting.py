"""Prove a stage-out by setting Lustre beside Blob, and give the space of what is proved back, a slice at a time.

As with a stage-in, what is half done lives in memory only: after a restart it is begun again from nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slurm_amlfs.application.judging import Judged, Judging
from slurm_amlfs.application.ports import Blobs, Lustre
from slurm_amlfs.domain.archiving import Unarchived
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.errand import ProveOut
from slurm_amlfs.domain.evidence import Verdict
from slurm_amlfs.domain.prefix import Namespace, matches
from slurm_amlfs.domain.report import Exported, Freed
from slurm_amlfs.domain.view import FileKind, HsmState

_SLICE_SECONDS = 1.0
"""How long a slice looks before it reports."""

_MOST_NAMES = 100
"""Unproved files that a report names."""


_FRESH_SECONDS = 60.0
"""How long after its beginning the listing of a prefix is enough to release by."""


class OutProof:
    """The proof of one stage-out: a look at every regular file under its prefixes."""

    def __init__(
        self,
        blobs: Blobs,
        lustre: Lustre,
        errand: ProveOut,
        namespace: Namespace,
        clock: Callable[[], float],
    ) -> None:
        """Begin. The errand says under which prefixes; `clock` counts seconds, from anywhere."""
        self._judging = Judging(blobs, lustre, errand.prefixes, namespace)
        self._clock = clock
        self._files = self._files_done = self._total_bytes = self._bytes_done = 0
        self._under_way = self._linked = 0
        self._namespace = namespace
        self._todo: dict[str, Unarchived] = {}
        self._archive_seconds = errand.archive_seconds
        self._names: list[str] = []

    def slice(self) -> Exported:
        """Go on for about a second, and say how far it is.

        Raises:
            TemporaryError, PermanentError: from the ports; the proof has to be begun again then.
        """
        until = self._clock() + _SLICE_SECONDS
        while batch := self._judging.next():
            prefix, judged = batch
            for one in judged:
                self._count(prefix, one)
            if self._clock() >= until:
                return self._exported(settled=False)
        return self._exported(settled=True)

    def close(self) -> None:
        """End it. Twice is success."""
        self._judging.close()

    def _count(self, prefix: str, judged: Judged) -> None:
        file, _, verdict = judged
        self._files += 1
        self._total_bytes += file.size_bytes
        if verdict is Verdict.PROVED:
            self._files_done += 1
            self._bytes_done += file.size_bytes
            return
        if len(self._names) < _MOST_NAMES:
            self._names.append(file.path)
        self._linked += file.links > 1
        if verdict is Verdict.UNDER_WAY:
            self._under_way += 1
            return
        if prefix not in self._todo:
            self._todo[prefix] = Unarchived(self._namespace, prefix)
        self._todo[prefix].take(file.path, file.size_bytes)

    def _parts(self) -> tuple[Cut, ...]:
        return tuple(part for some in self._todo.values() for part in some.parts(self._archive_seconds))

    def _exported(self, *, settled: bool) -> Exported:
        return Exported(
            files=self._files,
            files_done=self._files_done,
            total_bytes=self._total_bytes,
            bytes_done=self._bytes_done,
            under_way=self._under_way,
            todo=self._parts() if settled else (),
            names=tuple(self._names),
            linked=self._linked,
            symlinks=self._judging.kinds[FileKind.SYMLINK],
            settled=settled,
        )


class Freeing:
    """The release of what is proved, still whole and needed by nobody under a stage's prefixes.

    Somebody may delete a blob after it was listed, and the file is then the last copy. So a listing is enough for a
    minute from its beginning; after that each blob is looked up right before its file is released. That costs a request
    for each file that is left by then, and no memory beyond a batch's.
    """

    def __init__(
        self,
        blobs: Blobs,
        lustre: Lustre,
        prefixes: Sequence[str],
        namespace: Namespace,
        clock: Callable[[], float],
    ) -> None:
        """Begin. `clock` counts seconds, from anywhere."""
        self._judging = Judging(blobs, lustre, prefixes, namespace)
        self._lustre = lustre
        self._namespace = namespace
        self._clock = clock
        self._prefix: str | None = None
        self._listed = 0.0
        self._files = self._freed_bytes = 0
        self._needed = self._dirty = self._unproved = self._refused = 0

    def slice(self, spare: Sequence[str]) -> Freed:
        """Go on for about a second, leaving whole what `spare` takes in: it may be more than at the last slice.

        Raises:
            TemporaryError, PermanentError: from the ports; it has to be begun again then.
        """
        now = self._clock()
        until = now + _SLICE_SECONDS
        settled = True
        while batch := self._judging.next():
            prefix, judged = batch
            if prefix != self._prefix:
                # Its listing began with this batch at the earliest, which was asked for after `now`.
                self._prefix, self._listed = prefix, now
            now = self._clock()
            self._release(self._releasable(judged, spare, old=now - self._listed >= _FRESH_SECONDS))
            if now >= until:
                settled = False
                break
        counts = (self._files, self._freed_bytes, self._needed, self._dirty, self._unproved, self._refused)
        return Freed(*counts, settled=settled)

    def close(self) -> None:
        """End it. Twice is success."""
        self._judging.close()

    def _releasable(self, judged: Sequence[Judged], spare: Sequence[str], *, old: bool) -> dict[str, int]:
        whole = [one for one in judged if not one.hsm_state & HsmState.RELEASED]
        free = [one for one in whole if not any(matches(self._namespace, it, one.file.path) for it in spare)]
        self._needed += len(whole) - len(free)
        proved = [one for one in free if one.verdict is Verdict.PROVED]
        left = [one for one in free if one.verdict is not Verdict.PROVED]
        if old and proved:
            proved = self._judging.again(proved)
            left += [one for one in proved if one.verdict is not Verdict.PROVED]
        self._dirty += sum(not one.hsm_state.clean for one in left)
        self._unproved += sum(one.hsm_state.clean for one in left)
        return {one.file.path: one.file.size_bytes for one in proved if one.verdict is Verdict.PROVED}

    def _release(self, wanted: dict[str, int]) -> None:
        """Release files; Lustre itself refuses what was changed meanwhile."""
        if not wanted:
            return
        self._lustre.release(list(wanted))
        states = self._lustre.hsm_states(list(wanted))
        for path, size_bytes in wanted.items():
            if states.get(path, HsmState.NONE) & HsmState.RELEASED:
                self._files += 1
                self._freed_bytes += size_bytes
            else:
                self._refused += 1
