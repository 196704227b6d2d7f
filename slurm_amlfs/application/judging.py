"""Set the files of a stage-out beside their blobs, in batches, so that whoever asks can stop in between.

The blobs are listed first, and of each 16 bytes kept; the files then stream past. Neither listing has to be in any
order: a container's is by letters on a flat namespace and by directories on a hierarchical one, Lustre's by hash.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from slurm_amlfs.application.ports import Blobs, Lustre
from slurm_amlfs.domain.evidence import Verdict, judge_out
from slurm_amlfs.domain.fingerprints import Fingerprints
from slurm_amlfs.domain.prefix import Namespace, matches
from slurm_amlfs.domain.view import FileKind, FileView, HsmState

OWN_FOLDER = "/.amlfs/"
"""Where receipts lie on Lustre; never part of anybody's export."""

_BATCH = 500
"""Files whose HSM state is asked for in one call of lfs."""

_MOST_FINDS = 100
"""Clean files without a blob in the listing that are looked up by name: archived since then, if they are few."""

_FINDS_AT_ONCE = 8
"""Blobs looked up beside each other when a listing has become too old."""

_KEY_BYTES = 32


_UNREAD = HsmState.NONE
"""What a file that cannot be looked at is taken for: new, so nothing of it is proved and nothing is released."""


class Judged(NamedTuple):
    """A regular file or an unreadable one, its HSM state, and what is proved of it."""

    file: FileView
    hsm_state: HsmState
    verdict: Verdict


class Judging:
    """What is under some prefixes, judged. `kinds` counts on the way everything that is there, by its kind."""

    def __init__(self, blobs: Blobs, lustre: Lustre, prefixes: Sequence[str], namespace: Namespace) -> None:
        """Begin; nothing is asked for before the first batch."""
        self._blobs = blobs
        self._lustre = lustre
        self._namespace = namespace
        self._finds = _MOST_FINDS
        self.kinds: Counter[FileKind] = Counter()
        self._batches = self._judge(prefixes)

    def next(self) -> tuple[str, list[Judged]] | None:
        """Give a prefix and some files under it, none while blobs are listed; None at the end.

        Raises:
            TemporaryError, PermanentError: from the ports; it has to be begun again then.
        """
        return next(self._batches, None)

    def close(self) -> None:
        """End it, and with it the listings that are open. Twice is success."""
        self._batches.close()

    def _judge(self, prefixes: Sequence[str]) -> Generator[tuple[str, list[Judged]]]:
        for prefix in prefixes:
            listed = Fingerprints(secrets.token_bytes(_KEY_BYTES))
            walk = self._blobs.walk(prefix)
            while blobs := list(islice(walk, _BATCH)):
                for blob in blobs:
                    listed.add(blob.name, blob.size_bytes)
                yield prefix, []
            there = under(self._lustre, prefix, self._namespace, self.kinds)
            files = (file for file in there if file.kind in {FileKind.REGULAR, FileKind.UNREADABLE})
            while some := list(islice(files, _BATCH)):
                states = self._lustre.hsm_states([file.path for file in some if file.kind is FileKind.REGULAR])
                yield (
                    prefix,
                    [
                        Judged(file, state, self._verdict(file, state, listed))
                        for file in some
                        if (state := _UNREAD if file.kind is FileKind.UNREADABLE else states.get(file.path)) is not None
                    ],
                )

    def again(self, judged: Sequence[Judged]) -> list[Judged]:
        """Judge files anew by a look at each one's blob: a request for each, some at a time.

        Raises:
            TemporaryError, PermanentError: from the port.
        """
        with ThreadPoolExecutor(_FINDS_AT_ONCE, thread_name_prefix="find") as beside:
            blobs = list(beside.map(self._blobs.find, [one.file.path.removeprefix("/") for one in judged]))
        return [
            one._replace(verdict=judge_out(one.file, one.hsm_state, None if blob is None else blob.size_bytes))
            for one, blob in zip(judged, blobs, strict=True)
        ]

    def _verdict(self, file: FileView, state: HsmState, listed: Fingerprints) -> Verdict:
        if not state.clean:
            return judge_out(file, state, None)
        name = file.path.removeprefix("/")
        if listed.holds(name, file.size_bytes):
            return judge_out(file, state, file.size_bytes)
        if not self._finds:
            return judge_out(file, state, None)
        self._finds -= 1
        blob = self._blobs.find(name)
        return judge_out(file, state, None if blob is None else blob.size_bytes)


def under(lustre: Lustre, prefix: str, namespace: Namespace, kinds: Counter[FileKind]) -> Iterator[FileView]:
    """Stream whatever is under a prefix and is not ours, and count it by its kind."""
    for file in lustre.walk(prefix):
        if matches(namespace, prefix, file.path) and not file.path.startswith(OWN_FOLDER):
            kinds[file.kind] += 1
            yield file


def unsaved(lustre: Lustre, prefix: str, namespace: Namespace) -> Iterator[str]:
    """Stream the regular files under a prefix whose bytes are on Lustre only: new, dirty, or lost in the archive.

    Those that cannot be looked at are among them: nobody knows what they hold.
    """
    there = under(lustre, prefix, namespace, Counter())
    while files := list(islice(there, _BATCH)):
        states = lustre.hsm_states([file.path for file in files if file.kind is FileKind.REGULAR])
        for file in files:
            if file.kind is FileKind.UNREADABLE or (file.path in states and not states[file.path].clean):
                yield file.path
