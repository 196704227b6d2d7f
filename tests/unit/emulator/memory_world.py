"""A container, a Lustre in memory, and imports and archives between them."""

from __future__ import annotations

import threading

from memory_lustre import RELEASED, MemoryContents, MemoryLustre

from slurm_amlfs.emulator.archiving import Export, Exported, Exporter
from slurm_amlfs.emulator.conflict import Mode
from slurm_amlfs.emulator.faults import Faults
from slurm_amlfs.emulator.faulty import FaultyContents
from slurm_amlfs.emulator.importing import Importer, Outcome, Run
from slurm_amlfs.emulator.rates import Rates

AT_ONCE = Rates(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.01)


class World:
    """A container, a Lustre and the faults between them."""

    def __init__(self, rates: Rates = AT_ONCE, *, hierarchical: bool = False) -> None:
        self.faults = Faults()
        self.blobs = MemoryContents()
        self.contents = FaultyContents(self.blobs, self.faults, threading.Event())
        self.lustre = MemoryLustre(self.blobs)
        self.rates = rates
        self.hierarchical = hierarchical

    def bring(self, *prefixes: str, mode: Mode = Mode.FAIL, max_errors: int = 0) -> tuple[Outcome, Run]:
        """Import until the end."""
        run = Run(prefixes or ("/",), mode, max_errors)
        importer = Importer(self.lustre, self.contents, self.faults, self.rates, self.hierarchical)
        return importer.run(run), run

    def send(self, path: str) -> tuple[Exported, Export]:
        """Archive until the end."""
        export = Export(path)
        return Exporter(self.lustre, self.contents, self.faults, self.rates).run(export), export

    def released(self) -> set[str]:
        """List what is released."""
        return {path for path, info in self.lustre.files.items() if info.flags == RELEASED}
