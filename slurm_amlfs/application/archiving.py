"""Have Lustre archive what is new or changed under a stage-out's prefixes, a slice at a time.

As with a proof, what is half done lives in memory only, and nothing of it grows with the number of files. Begun again
after a restart, it finds what was archived meanwhile clean, and asks for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from slurm_amlfs.application.archives import Archives
from slurm_amlfs.application.judging import Judged, Judging
from slurm_amlfs.application.ports import Blobs, Lustre
from slurm_amlfs.application.restore_room import RestoreRoom, RestoreShare
from slurm_amlfs.domain.evidence import Verdict
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Archived
from slurm_amlfs.domain.view import FileKind, HsmState

_SLICE_SECONDS = 1.0
"""How long a slice goes on before it reports."""

_MOST_REASONS = 3
"""Failed files that a report names."""

_MOST_FAILED = 100
"""After so many failures no more is asked for in this round: what ails so many files is no fault of theirs."""


class OutArchive:
    """One round of archives for one stage-out."""

    def __init__(  # noqa: PLR0913 - what a round needs; nothing of it belongs together more than with the rest
        self,
        blobs: Blobs,
        lustre: Lustre,
        prefixes: Sequence[str],
        namespace: Namespace,
        *,
        window: int,
        clock: Callable[[], float],
        room: RestoreRoom | None = None,
    ) -> None:
        """Begin.

        Args:
            blobs: The container.
            lustre: The file system.
            prefixes: What to archive.
            namespace: How the container reads a prefix.
            window: How many archives may be in flight for this stage at most.
            clock: Counts seconds, from anywhere.
            room: What the archives of all stages of the file system share; one of its own without.
        """
        self._blobs = blobs
        self._judging = Judging(blobs, lustre, prefixes, namespace)
        self._clock = clock
        self._share = RestoreShare(room or RestoreRoom(window, clock), 0.0)
        self._archives = Archives(lustre, self._share, window, clock)
        self._walked = False
        self._files = self._files_done = self._failed = self._changed = 0
        self._reasons: list[tuple[str, str]] = []

    def slice(self, urgency: float = 0.0) -> Archived:
        """Go on for about a second, or until there is nothing to do but wait, and say how far it is.

        Raises:
            TemporaryError, PermanentError: from the ports; it has to be begun again then.
        """
        self._share.urgency = urgency
        until = self._clock() + _SLICE_SECONDS
        moved = True
        while moved and not self._settled:
            while not (self._walked or self._archives.full) and self._clock() < until:
                self._find()
            moved = not self._settled and self._step(until)
            if self._clock() >= until:
                break
        if self._settled:
            self.close()
        return Archived(
            files=self._files,
            files_done=self._files_done,
            under_way=self._archives.under_way,
            failed=self._failed,
            changed=self._changed,
            reasons=tuple(self._reasons),
            idle=not (moved or self._settled) and (self._walked or self._archives.full),
            quiet=timedelta(seconds=self._archives.quiet_seconds),
            settled=self._settled,
        )

    def close(self) -> None:
        """End it; what is in flight goes on by itself. Twice is success."""
        self._judging.close()
        self._archives.close()

    @property
    def _settled(self) -> bool:
        return self._walked and self._archives.over

    def _step(self, until: float) -> bool:
        """Go on with the archives; say whether something came of it."""
        ended = self._archives.step(until)
        self._files_done += ended.files
        self._changed += ended.changed
        for path, why in ended.failed:
            self._fail(path, why)
        if self._failed >= _MOST_FAILED:
            self._walked = True
            self._archives.give_up()
        return bool(ended.number)

    def _find(self) -> None:
        batch = self._judging.next()
        if batch is None:
            self._walked = True
            return
        for judged in batch[1]:
            if judged.verdict is Verdict.PROVED:
                continue
            if judged.file.kind is FileKind.UNREADABLE:
                self._files += 1
                self._fail(judged.file.path, "cannot be read; see that the OSTs that it lies on are well")
            elif not judged.hsm_state.clean:
                self._files += 1
                self._archives.add(judged.file.path, judged.hsm_state)
            elif not self._has_blob(judged):
                self._files += 1
                self._fail(judged.file.path, _lost(judged))

    def _has_blob(self, judged: Judged) -> bool:
        """Look once more: it may have been archived since its blobs were listed."""
        blob = self._blobs.find(judged.file.path.removeprefix("/"))
        return blob is not None and blob.size_bytes == judged.file.size_bytes

    def _fail(self, path: str, why: str) -> None:
        self._failed += 1
        if len(self._reasons) < _MOST_REASONS:
            self._reasons.append((path, why))


def _lost(judged: Judged) -> str:
    """Say why nothing is asked for a file that is clean without its blob: Lustre would do nothing."""
    if judged.file.links > 1:
        return "has other hard links, and its blob under one of them only"
    if judged.hsm_state & HsmState.RELEASED:
        return "is released, and its blob is gone or of another size; look for that in Blob"
    return (
        "is archived for Lustre, and its blob is gone or of another size; "
        "if the file is right, mark it by lfs hsm_set --dirty and retry"
    )
