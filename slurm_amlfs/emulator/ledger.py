"""What survives a restart: import jobs, archive status, auto jobs, operations; one JSON file, replaced by rename."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from slurm_amlfs.emulator.jobs import Archive, AutoJob, ImportJob, Operation

FILE_NAME = "arm.json"

KEPT_OPERATIONS = 1000
"""Finished operations that are remembered, newest first. ARM keeps them for a day or so."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that ARM remembers of one file system."""

    imports: tuple[ImportJob, ...] = ()
    archive: Archive | None = None
    autos: tuple[AutoJob, ...] = ()
    operations: tuple[Operation, ...] = ()


_FORMAT = TypeAdapter(Memory)


class Ledger:
    """The file. One writer at a time (the engine's lock)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE_NAME

    def load(self) -> Memory:
        """Read what was saved; nothing if nothing was."""
        if not self._path.exists():
            return Memory()
        return _FORMAT.validate_json(self._path.read_bytes())

    def save(self, memory: Memory) -> None:
        """Replace the file; what was saved before survives a crash at any point."""
        part = self._path.with_suffix(".part")
        with part.open("wb") as out:
            out.write(_FORMAT.dump_json(memory))
            out.flush()
            os.fsync(out.fileno())
        part.replace(self._path)
