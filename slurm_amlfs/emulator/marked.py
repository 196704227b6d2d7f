"""The emulated Lustre with the one thing that only an import does: put a marker file into the root."""

from __future__ import annotations

import os

from slurm_amlfs.emulator.hsm import Hsm
from slurm_amlfs.emulator.hsm_rules import NOARCHIVE

ROOT = 0
MARKER_MODE = 0o644


class MarkedHsm(Hsm):
    """An `Hsm` that satisfies `lustre.Lustre`."""

    def add_marker(self, path: str) -> None:
        """Make an empty file of root's that is never archived.

        Raises:
            FileExistsError: it is there.
        """
        fd = self.files.create(path, os.O_WRONLY, MARKER_MODE, ROOT, ROOT)
        self.files.release(fd)
        self.change_flags(path, NOARCHIVE, 0, 0, ROOT)
