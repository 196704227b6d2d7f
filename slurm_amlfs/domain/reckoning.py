"""Cut a prefix of which not every blob was listed, so that each is in some part all the same.

A listing that ends early has come to the end of some folders, is in the middle of one and of all above it, and has not
come to others. Of those that it is in the middle of, what is directly in them is asked for, deepest first: whatever has
not been met stands for itself, a folder for as many blobs as those beside it had on the average. Such parts are marked
as estimated, and are listed when their turn comes. A folder with more in it than can be asked for stays whole.

Of the order of a listing this relies on one thing only: that what begins alike, up to a "/", comes in one stretch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from slurm_amlfs.domain.cutting import MOST_NAMED_FILES, Cut, Cutter
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.view import BlobView, Children


class _Place(Enum):
    """Where something is, seen from the name that came last. What is in an unknown place is listed again."""

    PASSED = "passed"
    BEHIND = "behind"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class _Level:
    """A folder on the way to the name that came last: what all names in it begin with, and what was met in it."""

    folder: str
    blobs: int = 0
    folders: int = 0

    @property
    def usual_blobs(self) -> int:
        """Say how many blobs a folder in it has on the average; at least one, so that it is not nothing."""
        return max(1, self.blobs // max(1, self.folders))


class Reckoning:
    """Fed by `take` while the listing goes on, and after a `stop` with what is in each folder that it asks for.

    Args:
        namespace: How the container reads a prefix.
        prefix: What is cut, as `prefix.validate` returns it.
        target_blobs: At most so many blobs in a part, where its names allow.
    """

    def __init__(self, namespace: Namespace, prefix: str, target_blobs: int) -> None:
        self._cutter = Cutter(namespace, prefix, target_blobs)
        begins = prefix[1:] if namespace is Namespace.FLAT or prefix.endswith("/") else f"{prefix[1:]}/"
        self._flat = namespace is Namespace.FLAT
        self._levels = [_Level(begins)]
        self._folder = begins
        self._here = 0
        self._last = ""
        self._stopped = False
        self._files = 0

    def take(self, blob: BlobView) -> None:
        """Count a blob of the listing."""
        name = blob.name
        folder = name[: name.rfind("/") + 1]
        if folder != self._folder:
            self._enter(folder)
        self._here += 1
        self._last = name
        self._cutter.take(name, blob.size_bytes)

    def stop(self) -> None:
        """End the listing before its end."""
        self._enter(self._folder)
        self._stopped = True

    @property
    def wants(self) -> str | None:
        """Name what has to be asked for, as a prefix, "/" first; None where all is known or reckoned."""
        return f"/{self._levels[-1].folder}" if self._stopped and self._levels else None

    @property
    def folders_left(self) -> int:
        """Count the folders that have still to be asked for."""
        return len(self._levels) if self._stopped else 0

    def meet(self, children: Children) -> list[BlobView]:
        """Take some of what is directly in the wanted folder; give the blobs that the listing may not have come to."""
        level = self._levels[-1]
        for blob in children.blobs:
            place = self._place(blob.name)
            size_bytes = blob.size_bytes if place is _Place.BEHIND else 0
            self._cutter.take(blob.name, size_bytes, int(place is not _Place.PASSED), estimated=place is _Place.UNKNOWN)
        for folder in children.folders:
            unmet = self._place(folder) is not _Place.PASSED
            self._cutter.take(folder, 0, level.usual_blobs if unmet else 0, estimated=unmet)
        self._files += sum(1 for blob in children.blobs if blob.size_bytes)
        return [blob for blob in children.blobs if self._place(blob.name) is not _Place.PASSED]

    @property
    def hopeless(self) -> bool:
        """Say whether the wanted folder stays whole whatever else is in it, since its files cannot each be named."""
        return not self._flat and self._files > MOST_NAMED_FILES

    def leave(self, *, whole: bool) -> None:
        """Go on to the next folder; `whole` says that not all of what is in this one was met, so it is never cut."""
        level = self._levels.pop()
        self._last = level.folder
        self._files = 0
        if whole:
            self._cutter.take(level.folder, 0, max(1, level.blobs), estimated=True)
            self._cutter.keep_whole(level.folder)

    @property
    def blobs(self) -> int:
        """Count the blobs, with those that are guessed."""
        return self._cutter.blobs

    @property
    def total_bytes(self) -> int:
        """Sum the bytes that are known."""
        return self._cutter.total_bytes

    def parts(self) -> tuple[Cut, ...]:
        """Return the parts, as `Cutter.parts` does. What may be small by a guess only is cut all the same."""
        return self._cutter.parts(divided=self._stopped)

    def _place(self, name: str) -> _Place:
        """Say whether the listing has come to a blob or a folder ("/" last), or is in the middle of it.

        A flat listing sorts names as they are ("a-b/" before "a/"), a hierarchical one may go by their segments.
        """
        passed = name <= self._last
        if self._flat or passed == (name.rstrip("/") <= self._last.rstrip("/")):
            return _Place.PASSED if passed else _Place.BEHIND
        return _Place.UNKNOWN

    def _enter(self, folder: str) -> None:
        """Go from the folder of the names so far to another, up and down."""
        for level in self._levels:
            level.blobs += self._here
        self._here = 0
        self._folder = folder
        while len(self._levels) > 1 and not folder.startswith(self._levels[-1].folder):
            self._levels.pop()
        while len(folder) > len(self._levels[-1].folder):
            above = self._levels[-1]
            above.folders += 1
            self._levels.append(_Level(folder[: folder.find("/", len(above.folder)) + 1]))
