"""A container in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from slurm_amlfs.domain.view import BlobView
from slurm_amlfs.errors import AmlfsError


class FakeBlobs:
    """The Blobs port over a dict. `faults` are raised by the next calls, one each."""

    def __init__(self) -> None:
        self.by_name: dict[str, BlobView] = {}
        self.faults: list[AmlfsError] = []
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
        if self.faults:
            raise self.faults.pop(0)
        for name in sorted(self.by_name):
            if name.startswith(prefix.removeprefix("/")):
                yield self.by_name[name]

    def find(self, name: str) -> BlobView | None:
        """Look up one blob by its full name."""
        if self.faults:
            raise self.faults.pop(0)
        return self.by_name.get(name.removeprefix("/"))
