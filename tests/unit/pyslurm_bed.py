"""A stand-in for pyslurm that the process apart imports, and what tests tell it to do."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.passage import ROOT
from slurm_amlfs.entrypoints import slurm_process

ARGV = [sys.executable, "-P", "-m", slurm_process.__name__, ""]


class PyslurmBed:
    """The folder of a module `pyslurm`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._world: dict[str, Any] = {"version": "25.11.2", "built": [25, 11, 7], "jobs": []}
        shutil.copy(ROOT / "tests/fakes/pyslurm_module.py", folder / "pyslurm.py")
        (folder / "said.json").write_text("{}")
        self.tell()

    def tell(self, **more: object) -> None:
        """Change what there is."""
        self._world.update(more)
        draft = self.folder / "world.new"
        draft.write_text(json.dumps(self._world))
        draft.rename(self.folder / "world.json")

    def said(self) -> dict[str, list[str]]:
        """Read what was said to jobs."""
        told: dict[str, list[str]] = json.loads((self.folder / "said.json").read_text())
        return told

    def asked(self) -> int:
        """Name the process that asked last, 0 for none."""
        path = self.folder / "asked"
        return int(path.read_text()) if path.exists() else 0


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PyslurmBed:
    """Put it before everything else, here and in new processes."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
    monkeypatch.syspath_prepend(str(folder))
    return PyslurmBed(folder)
