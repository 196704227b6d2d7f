"""Prove a stage-in by setting Blob beside Lustre, restoring what is released on the way, a slice at a time.

A proof lives in memory between slices and is begun again from nothing after a restart: it only reads, and asks for
restores, which can be asked for twice. Nothing that it keeps grows with the number of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from slurm_amlfs.application.ports import Blobs, Lustre
from slurm_amlfs.application.restore_room import RestoreRoom, RestoreShare
from slurm_amlfs.application.restoring import Ended, Restores, lost
from slurm_amlfs.domain.ask import Hydrate
from slurm_amlfs.domain.errand import ProveIn
from slurm_amlfs.domain.evidence import Verdict, judge_in, path_of
from slurm_amlfs.domain.prefix import Namespace, matches
from slurm_amlfs.domain.report import MOST_NAMES, Examined
from slurm_amlfs.domain.view import BlobView, FileKind, HsmState

_BATCH = 1000
"""Blobs whose files are looked at, and their HSM states asked for, in one go."""

_SPOT_FILES = 50
"""Files of a batch whose states are asked for first. Each state is a trip to the metadata server, and a restore a
fiftieth of one: where all of these are released, so are most of the others after an import, and asking for a restore
of one that is whole does nothing."""

_SLICE_SECONDS = 1.0
"""How long a slice looks before it reports."""


def wanted_blobs(blobs: Blobs, namespace: Namespace, prefix: str) -> Iterator[BlobView]:
    """Stream the blobs that an import of the prefix takes: a walk goes by letters, a hierarchical import by names."""
    return (blob for blob in blobs.walk(prefix) if matches(namespace, prefix, f"/{blob.name}"))


@dataclass(slots=True)
class Named:
    """Blobs of one verdict: all counted, the first of them by name."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count one."""
        self.count += 1
        if len(self.names) < MOST_NAMES:
            self.names.append(name)

    @property
    def unnamed(self) -> int:
        """Count those without a name."""
        return self.count - len(self.names)


@dataclass(slots=True)
class Tally:
    """Files and bytes counted so far."""

    files: int = 0
    files_done: int = 0
    total_bytes: int = 0
    bytes_done: int = 0
    missing: Named = field(default_factory=Named)
    newer: Named = field(default_factory=Named)
    kept: Named = field(default_factory=Named)

    def done(self, files: int, total_bytes: int) -> None:
        """Count files as proved."""
        self.files_done += files
        self.bytes_done += total_bytes

    def examined(self, *, settled: bool) -> Examined:
        """Say how far it is."""
        return Examined(
            settled=settled,
            files=self.files,
            files_done=self.files_done,
            total_bytes=self.total_bytes,
            bytes_done=self.bytes_done,
            missing=tuple(self.missing.names),
            newer=tuple(self.newer.names),
            kept=tuple(self.kept.names),
            missing_unnamed=self.missing.unnamed,
            newer_unnamed=self.newer.unnamed,
            kept_unnamed=self.kept.unnamed,
        )


class InProof:
    """The proof of one stage-in."""

    def __init__(  # noqa: PLR0913 - what a proof needs; nothing of it belongs together more than with the rest
        self,
        blobs: Blobs,
        lustre: Lustre,
        errand: ProveIn,
        namespace: Namespace,
        *,
        window: int,
        clock: Callable[[], float],
        room: RestoreRoom | None = None,
        urgency: float = 0.0,
        most_missing: int | None = None,
    ) -> None:
        """Begin.

        Args:
            blobs: The container.
            lustre: The file system.
            errand: Its prefixes, conflict, hydrate and import_started say what is to be proved.
            namespace: How the container reads a prefix.
            window: How many restores may be in flight for this proof at most.
            clock: Counts seconds, from anywhere.
            room: What the restores of all proofs of the file system share; one of its own without.
            urgency: Any number: the less, the sooner its restores are asked for.
            most_missing: A proof that has found more than so many blobs missing or newer settles there and then.
        """
        self._lustre = lustre
        self._errand = errand
        self._clock = clock
        self._most_missing = most_missing
        self._share = RestoreShare(room or RestoreRoom(window, clock), urgency)
        self._restores = Restores(lustre, self._share, window, clock)
        self._walk: Iterator[BlobView] = chain.from_iterable(
            wanted_blobs(blobs, namespace, prefix) for prefix in errand.prefixes
        )
        self._walked = False
        self._stopped = False
        self._seconds = 0.0
        self._tally = Tally()

    def slice(self, urgency: float | None = None) -> Examined:
        """Go on for about a second, or until there is nothing to do but wait, and say how far it is.

        Raises:
            TemporaryError, PermanentError: from the ports; the proof has to be begun again then.
        """
        if urgency is not None:
            self._share.urgency = urgency
        began = self._clock()
        until = began + _SLICE_SECONDS
        moved = first = True
        with ThreadPoolExecutor(1, thread_name_prefix="restore") as beside:
            while moved and not self._settled() and self._clock() < until:
                # The next files are found while the last are asked for and looked at: each call is a trip to a server.
                looks = not self._walked and not self._restores.full
                going_on = beside.submit(self._restores.go_on, until, alone=first)
                released = self._examine(list(islice(self._walk, _BATCH))) if looks else {}
                ended = going_on.result()
                self._count(ended)
                for path, size_bytes in released.items():
                    self._restores.add(path, size_bytes)
                moved = looks or bool(ended.number)
                first = False
        if self._settled():
            self.close()
        self._seconds += self._clock() - began
        waiting = () if self._settled() else self._restores.longest
        return replace(self._tally.examined(settled=self._settled()), seconds=self._seconds, waiting=waiting)

    def close(self) -> None:
        """Leave the room for restores to others. Twice is success."""
        self._restores.close()

    def _settled(self) -> bool:
        return self._walked and (self._stopped or self._restores.over)

    def _count(self, ended: Ended) -> None:
        self._tally.done(ended.files, ended.total_bytes)
        for path in ended.gone:
            self._tally.missing.add(path.removeprefix("/"))

    def _examine(self, blobs: list[BlobView]) -> dict[str, int]:
        """Judge blobs; return the files that have to be restored, with their sizes in bytes."""
        if not blobs:
            self._walked = True
            return {}
        tally, errand = self._tally, self._errand
        paths = [path_of(blob.name) for blob in blobs]
        files = self._lustre.looks([path for path in paths if path is not None])
        regular: dict[str, int] = {}
        for blob, path in zip(blobs, paths, strict=True):
            file = None if path is None else files.get(path)
            verdict = judge_in(blob, file, errand.conflict, errand.import_started, errand.brought)
            tally.files += 1
            tally.total_bytes += blob.size_bytes
            if verdict is Verdict.MISSING:
                tally.missing.add(blob.name)
                continue
            if verdict is Verdict.NEWER:
                tally.newer.add(blob.name)
                continue
            if verdict is Verdict.KEPT:
                tally.kept.add(blob.name)
            if file is not None and file.kind is FileKind.REGULAR and errand.hydrate is Hydrate.ALL:
                regular[file.path] = blob.size_bytes
            else:
                tally.done(1, blob.size_bytes)
        released = self._sort(regular)
        most = self._most_missing
        if most is not None and tally.missing.count + tally.newer.count > most:
            self._walked = self._stopped = True
        return released

    def _sort(self, regular: dict[str, int]) -> dict[str, int]:
        """Tell files that are whole, whose proof ends here, from those to restore, which it returns.

        A file that is to be restored is proved by its state after that, whatever was supposed of it here.
        """
        paths = list(regular)
        spots = paths[:: max(1, len(paths) // _SPOT_FILES)]
        states = self._lustre.hsm_states(spots) if spots else {}
        if all(_to_restore(states.get(path)) for path in spots):
            return regular
        states |= self._lustre.hsm_states([path for path in paths if path not in states])
        released: dict[str, int] = {}
        for path, size_bytes in regular.items():
            state = states.get(path)
            if state is None or lost(state):
                self._tally.missing.add(path.removeprefix("/"))
            elif _to_restore(state):
                released[path] = size_bytes
            else:
                self._tally.done(1, size_bytes)
        return released


def _to_restore(state: HsmState | None) -> bool:
    return state is not None and HsmState.RELEASED in state and not lost(state)
