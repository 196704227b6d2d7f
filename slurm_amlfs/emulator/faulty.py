"""A container that faults can reach: stall, fail and partial for restores and archives, below Lustre."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from slurm_amlfs.emulator.contents import Blob, Contents
from slurm_amlfs.emulator.faults import Faults, Name
from slurm_amlfs.emulator.tree import FileInfo

RESTORE = "restore"
ARCHIVE = "archive"


class FaultyContents:
    """Hands everything on to `inner` unless a fault is set. `stop` ends a stall, for shutdown."""

    def __init__(self, inner: Contents, faults: Faults, stop: threading.Event) -> None:
        self._inner = inner
        self._faults = faults
        self._stop = stop

    def walk(self, prefix: str) -> Iterator[Blob]:
        """Stream blobs."""
        return self._inner.walk(prefix)

    def fetch(self, name: str, into: BinaryIO) -> None:
        """Read a blob, unless STALL, FAIL or PARTIAL is set for "restore"."""
        self._faults.hold(RESTORE, self._stop)
        self._strike(RESTORE, name)
        self._inner.fetch(name, into)

    def store(self, name: str, source: Path, info: FileInfo) -> None:
        """Write a blob, unless PARTIAL is set for "archive" and its name."""
        if self._faults.strikes(ARCHIVE, name):
            raise OSError(errno.EIO, "the emulator was asked to fail this blob", name)
        self._inner.store(name, source, info)

    def close(self) -> None:
        """Close the container."""
        self._inner.close()

    def _strike(self, operation: str, name: str) -> None:
        if self._faults.strikes(operation, name) or self._faults.take(Name.FAIL, operation):
            raise OSError(errno.EIO, "the emulator was asked to fail this blob", name)
