"""Prove a stage-in by setting Blob beside Lustre, restoring what is released on the way, a slice at a time.

A proof lives in memory between slices and is begun again from nothing after a restart: it only reads, and asks for
restores, which can be asked for twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from slurm_amlfs.application.ports import Blobs, Lustre
from slurm_amlfs.domain.ask import Hydrate
from slurm_amlfs.domain.errand import Examined, ProveIn
from slurm_amlfs.domain.evidence import Verdict, judge_in, path_of
from slurm_amlfs.domain.prefix import Namespace, matches
from slurm_amlfs.domain.view import BlobView, FileKind, HsmState

_BATCH = 500
"""Files whose HSM state is asked for in one call of lfs."""

_SLICE_SECONDS = 1.0
"""How long a slice looks before it reports."""

_ASK_AGAIN_SECONDS = 60.0
"""A restore that has shown nothing for so long is asked for again: the coordinator can drop requests unheard."""


def wanted_blobs(blobs: Blobs, namespace: Namespace, prefix: str) -> Iterator[BlobView]:
    """Stream the blobs that an import of the prefix takes: a walk goes by letters, a hierarchical import by names."""
    return (blob for blob in blobs.walk(prefix) if matches(namespace, prefix, f"/{blob.name}"))


def lost(hsm_state: HsmState) -> bool:
    """Say whether the bytes are nowhere: neither on Lustre nor, as Lustre knows, in the archive."""
    return HsmState.RELEASED | HsmState.LOST in hsm_state


@dataclass(slots=True)
class Tally:
    """Files and bytes counted so far."""

    files: int = 0
    files_done: int = 0
    total_bytes: int = 0
    bytes_done: int = 0
    names: dict[Verdict, list[str]] = field(default_factory=lambda: {verdict: [] for verdict in Verdict})

    def done(self, size_bytes: int) -> None:
        """Count a file as proved."""
        self.files_done += 1
        self.bytes_done += size_bytes


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
    ) -> None:
        """Begin. `window` is how many restores may be outstanding; `clock` counts seconds, from anywhere."""
        self._lustre = lustre
        self._errand = errand
        self._window = window
        self._clock = clock
        self._walk: Iterator[BlobView] = chain.from_iterable(
            wanted_blobs(blobs, namespace, prefix) for prefix in errand.prefixes
        )
        self._walked = False
        self._released: deque[tuple[str, int]] = deque()
        self._asked: dict[str, tuple[int, float]] = {}
        self._tally = Tally()

    def slice(self) -> Examined:
        """Go on for about a second and say how far it is.

        Raises:
            TemporaryError, PermanentError: from the ports; the proof has to be begun again then.
        """
        until = self._clock() + _SLICE_SECONDS
        while not self._walked and len(self._released) < self._window and self._clock() < until:
            self._examine(list(islice(self._walk, _BATCH)))
        self._ask()
        self._check()
        tally = self._tally
        return Examined(
            settled=self._walked and not self._released and not self._asked,
            files=tally.files,
            files_done=tally.files_done,
            total_bytes=tally.total_bytes,
            bytes_done=tally.bytes_done,
            missing=tuple(tally.names[Verdict.MISSING]),
            newer=tuple(tally.names[Verdict.NEWER]),
            kept=tuple(tally.names[Verdict.KEPT]),
        )

    def _examine(self, blobs: list[BlobView]) -> None:
        if not blobs:
            self._walked = True
            return
        regular: dict[str, int] = {}
        for blob in blobs:
            path = path_of(blob.name)
            file = None if path is None else self._lustre.look(path)
            verdict = judge_in(blob, file, self._errand.conflict, self._errand.import_started)
            self._tally.files += 1
            self._tally.total_bytes += blob.size_bytes
            if verdict in {Verdict.MISSING, Verdict.NEWER}:
                self._tally.names[verdict].append(blob.name)
                continue
            if verdict is Verdict.KEPT:
                self._tally.names[verdict].append(blob.name)
            if file is not None and file.kind is FileKind.REGULAR and self._errand.hydrate is Hydrate.ALL:
                regular[file.path] = blob.size_bytes
            else:
                self._tally.done(blob.size_bytes)
        self._sort(regular)

    def _sort(self, regular: dict[str, int]) -> None:
        """Tell files that are whole from released ones."""
        states = self._lustre.hsm_states(list(regular)) if regular else {}
        for path, size_bytes in regular.items():
            state = states.get(path)
            if state is None or lost(state):
                self._tally.names[Verdict.MISSING].append(path.removeprefix("/"))
            elif state & HsmState.RELEASED:
                self._released.append((path, size_bytes))
            else:
                self._tally.done(size_bytes)

    def _ask(self) -> None:
        room = self._window - len(self._asked)
        fresh = [self._released.popleft() for _ in range(min(room, len(self._released)))]
        if fresh:
            self._lustre.restore([path for path, _ in fresh])
        now = self._clock()
        self._asked.update({path: (size_bytes, now) for path, size_bytes in fresh})

    def _check(self) -> None:
        """Look at what was asked for; what is whole is done, what hangs is asked for again."""
        paths = list(self._asked)
        now = self._clock()
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            states = self._lustre.hsm_states(batch)
            hanging = []
            for path in batch:
                state = states.get(path)
                size_bytes, since = self._asked[path]
                if state is None or lost(state):
                    del self._asked[path]
                    self._tally.names[Verdict.MISSING].append(path.removeprefix("/"))
                elif not state & HsmState.RELEASED:
                    del self._asked[path]
                    self._tally.done(size_bytes)
                elif now - since > _ASK_AGAIN_SECONDS:
                    hanging.append(path)
                    self._asked[path] = (size_bytes, now)
            if hanging:
                self._lustre.restore(hanging)
