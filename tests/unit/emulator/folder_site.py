"""An emulator without its mount whose blobs are files of a folder, for tests of its copytool."""

from __future__ import annotations

import threading
from pathlib import Path

from hsm_user import CAPACITY_BYTES, GID, MTIME_NS, UID, flags

from slurm_amlfs.emulator.copytool import Copytool
from slurm_amlfs.emulator.faults import Faults
from slurm_amlfs.emulator.faulty import FaultyContents
from slurm_amlfs.emulator.folder import FolderContents
from slurm_amlfs.emulator.hsm import Hsm, RestoreRate

BLOBS = {"d/a": b"A" * 100, "d/b": b"B", "d/empty": b"", "top": b"T", "d/full": b"F" * 16384, "d/large": b"L" * 16385}
SIMPLE = ("d/a", "d/b", "d/empty", "top", "d/full")
ATIME_NS = MTIME_NS + 987_654_321


class FolderSite:
    """It holds BLOBS, all released. `library` is the copytool's, if it has one."""

    def __init__(self, folder: Path, library: Path | None) -> None:
        self.folder, self.blobs, self.faults = folder, folder / "blobs", Faults()
        self.contents = FaultyContents(FolderContents(self.blobs), self.faults, threading.Event())
        self.copytool = Copytool(library, self.blobs, self.faults) if library else None
        for name, data in BLOBS.items():
            (self.blobs / name).parent.mkdir(exist_ok=True)
            (self.blobs / name).write_bytes(data)
        self.hsm = self.started(CAPACITY_BYTES)
        for name, data in BLOBS.items():
            self.hsm.add_released(name, len(data), MTIME_NS, UID, GID, 0o640)
            self.hsm.files.set_times(name, ATIME_NS, MTIME_NS)

    def started(self, capacity_bytes: int, rate: RestoreRate | None = None) -> Hsm:
        """Start it, or start it again; one restore at a time."""
        state = self.folder / "state"
        return Hsm(state, self.contents, capacity_bytes, rate or RestoreRate(), 1, self.copytool)

    def backing(self, path: str) -> Path:
        """Say where a file is on this machine."""
        return Path(self.hsm.tree.at(path))

    def held(self, path: str) -> tuple[bytes, int, int, int, int]:
        """Tell what the backing file of a path has: bytes, HSM flags, both times; and the space that all take."""
        where = self.backing(path)
        seen = where.stat()
        return where.read_bytes(), flags(self.hsm, path), seen.st_atime_ns, seen.st_mtime_ns, self.hsm.used_bytes
