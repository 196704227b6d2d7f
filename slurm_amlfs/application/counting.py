"""List the blobs under a lease's prefix: how many, how large, where it can be cut, and whether they are there.

A slice at a time, as the prefix may hold a hundred million, and no further than its bounds: what is not listed then is
reckoned by the folders that it is in (domain/reckoning.py). A count lives in memory between slices, and is begun again
from nothing after a restart: it only reads. What it keeps does not grow with the number of blobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from slurm_amlfs.application.ports import Blobs, Lustre
from slurm_amlfs.application.proving import wanted_blobs
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.errand import Count
from slurm_amlfs.domain.evidence import Verdict, judge_in, path_of
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.reckoning import Reckoning
from slurm_amlfs.domain.report import Counted
from slurm_amlfs.domain.view import BlobView, Children, HsmState

_BATCH = 500
"""Blobs whose files are looked at in one go."""

_SLICE_SECONDS = 1.0
"""How long a slice lists before it reports. A page of the listing is never cut short: that is what it goes over."""

_THERE = frozenset({Verdict.PROVED, Verdict.KEPT})


class Counting:
    """The count of one prefix.

    Where `lustre` is given, what is listed is looked for there, until the first file that is missing: so a prefix that
    was never imported costs one look.
    """

    def __init__(
        self, blobs: Blobs, lustre: Lustre | None, namespace: Namespace, errand: Count, clock: Callable[[], float]
    ) -> None:
        """Begin; the errand says what to list, how to cut it, and the bounds. `clock` counts seconds, from anywhere."""
        self._blobs = blobs
        self._lustre = lustre
        self._errand = errand
        self._clock = clock
        self._prefix = errand.prefix
        self._reckoning = Reckoning(namespace, self._prefix, errand.target_blobs)
        self._pages: Iterator[Sequence[BlobView]] | None = _pages(blobs, namespace, self._prefix)
        self._children: Iterator[Children] | None = None
        self._until = errand.list_seconds
        self._met = self._listed = self._whole_bytes = 0
        self._complete = lustre is not None
        self._folder = self._prefix.endswith("/")
        self._seconds = 0.0

    def slice(self) -> Counted:
        """Go on for about a second, and say how far it is.

        Raises:
            TemporaryError, PermanentError: from the ports; the count has to be begun again then.
        """
        began = self._clock()
        over = False
        while not over and self._clock() < began + _SLICE_SECONDS:
            now = self._seconds + self._clock() - began
            over = self._list(now) if self._pages is not None else self._look_into_folders(now)
        self._seconds += self._clock() - began
        return self._found() if over else Counted(self._listed, 0, settled=False)

    def close(self) -> None:
        """Ask for nothing more. Twice is success."""
        self._pages = self._children = None

    def _list(self, now: float) -> bool:
        """Take a page; say whether it was the last. Where a bound is met, the folders come next."""
        left = self._errand.list_blobs - self._listed
        page = None if self._pages is None else next(self._pages, None)
        if page is None:
            return True
        for blob in islice(page, left):
            self._reckoning.take(blob)
            self._folder = self._folder or f"/{blob.name}".startswith(f"{self._prefix}/")
        self._look(page[:left])
        if len(page) > left or now >= self._until:
            self._pages = None
            self._reckoning.stop()
        return False

    def _look_into_folders(self, now: float) -> bool:
        """Take a page of what is directly in the next folder; say whether there is no folder left to look into."""
        wanted = self._reckoning.wants
        if wanted is None:
            return True
        if self._children is None:
            self._children = self._blobs.children(wanted)
            # Each folder gets its share of the time, else one that is too large would make all above it stay whole.
            self._until = now + self._errand.list_seconds / self._reckoning.folders_left
            self._met = 0
        page = next(self._children, None)
        if page is not None:
            self._met += len(page.blobs) + len(page.folders)
            self._look(self._reckoning.meet(page))
            self._folder = self._folder or any(f"/{it}".startswith(f"{self._prefix}/") for it in page.folders)
        too_much = self._met > self._errand.list_blobs or now >= self._until or self._reckoning.hopeless
        if page is None or too_much:
            self._reckoning.leave(whole=page is not None)
            self._children = None
        return False

    def _look(self, blobs: Sequence[BlobView]) -> None:
        """Count blobs as listed, and look whether they are on Lustre."""
        self._listed += len(blobs)
        rest = iter(blobs)
        while self._complete and self._lustre is not None and (batch := list(islice(rest, _BATCH))):
            self._complete = _all_there(self._lustre, batch)
            if self._complete:
                self._whole_bytes += _whole_bytes(self._lustre, batch)

    def _found(self) -> Counted:
        files = self._reckoning.blobs
        cuts = self._reckoning.parts() if files else ()
        return Counted(
            files,
            self._reckoning.total_bytes,
            cuts,
            there=bool(files) and self._complete,
            whole_bytes=self._whole_bytes if self._complete else 0,
            beginning=bool(files) and not self._folder,
            listed=self._listed if any(cut.estimated for cut in cuts) else 0,
        )


def _pages(blobs: Blobs, namespace: Namespace, prefix: str) -> Iterator[Sequence[BlobView]]:
    """List what an import of the prefix takes: of a hierarchical path, neither its neighbours' blobs nor their time."""
    if namespace is Namespace.FLAT or prefix.endswith("/"):
        yield from blobs.pages(prefix)
        return
    exact = blobs.find(prefix)
    if exact is not None:
        yield [exact]
    yield from blobs.pages(f"{prefix}/")


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
