"""Contents in memory, with what tests need to see and to hold up."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from slurm_amlfs.emulator.tree import FileInfo


@dataclass
class ArchiveOfBytes:
    """Blobs by name. `fetched` and `stored` list the names in order; while `gate` is clear, both wait for it."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def fetch(self, name: str, into: BinaryIO) -> None:
        """Write a blob's bytes in one piece; KeyError when there is none."""
        self.fetched.append(name)
        self._pass()
        into.write(self.blobs[name])

    def store(self, name: str, source: Path, info: FileInfo) -> None:
        """Keep what the file holds when the call begins."""
        self.stored.append(name)
        data = info.target.encode() if info.target else source.read_bytes() if source.is_file() else b""
        self._pass()
        self.blobs[name] = data

    def _pass(self) -> None:
        self.reached.set()
        assert self.gate.wait(20), "the test never opened the gate"
