"""A container in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from slurm_amlfs.domain.view import BlobView, Children
from slurm_amlfs.errors import AmlfsError


class FakeBlobs:
    """The Blobs port over a dict. `faults` are raised by the next calls, one each.

    A listing has `page_blobs` in a page, and begins with a page of nothing, as the service's may. `asked` counts pages.
    """

    page_blobs = 5000

    def __init__(self) -> None:
        self.by_name: dict[str, BlobView] = {}
        self.faults: list[AmlfsError] = []
        self.asked = 0
        self._time = datetime(2026, 1, 1, tzinfo=UTC)

    def put(self, name: str, size_bytes: int) -> BlobView:
        """Upload a blob; a second upload is younger."""
        self._time += timedelta(seconds=1)
        blob = BlobView(name, size_bytes, self._time, f"0x{len(self.by_name):X}{int(self._time.timestamp()):X}")
        self.by_name[name] = blob
        return blob

    def drop(self, name: str) -> None:
        """Delete a blob."""
        del self.by_name[name]

    def walk(self, prefix: str) -> Iterator[BlobView]:
        """Stream the blobs whose name begins with `prefix`, in the service's order."""
        for page in self.pages(prefix):
            yield from page

    def pages(self, prefix: str) -> Iterator[Sequence[BlobView]]:
        """Stream the same a page at a time."""
        if self.faults:
            raise self.faults.pop(0)
        begins = prefix.removeprefix("/")
        blobs = [self.by_name[name] for name in sorted(self.by_name) if name.startswith(begins)]
        for start in range(-self.page_blobs, len(blobs), self.page_blobs):
            self.asked += 1
            yield blobs[max(start, 0) : start + self.page_blobs]

    def children(self, prefix: str) -> Iterator[Children]:
        """Stream what is directly under `prefix` a page at a time."""
        if self.faults:
            raise self.faults.pop(0)
        begins = prefix.removeprefix("/")
        found: dict[str, BlobView | None] = {}
        for name in sorted(self.by_name):
            if name.startswith(begins):
                end = name.find("/", len(begins)) + 1
                found[name[: end or len(name)]] = None if end else self.by_name[name]
        names = list(found)
        for start in range(-self.page_blobs, len(names), self.page_blobs):
            self.asked += 1
            some = names[max(start, 0) : start + self.page_blobs]
            blobs = tuple(blob for name in some if (blob := found[name]) is not None)
            yield Children(blobs, tuple(name for name in some if found[name] is None))

    def find(self, name: str) -> BlobView | None:
        """Look up one blob by its full name."""
        if self.faults:
            raise self.faults.pop(0)
        return self.by_name.get(name.removeprefix("/"))
