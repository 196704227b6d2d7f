"""The emulated AMLFS: `slurm-amlfs emulator`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox import kernel
from sandbox.passage import ROOT
from sandbox.service import Service

PROGRAMS = Path(sys.prefix) / "bin"
"""Where the virtual environment has slurm-amlfs and slurm-amlfsd."""

CODE = {"PYTHONPATH": str(ROOT)}
"""These programs run the code of this clone, from whichever clone the virtual environment was made."""

LFS = ROOT / "build/lfs"
COPYTOOL = ROOT / "build/copytool.so"
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
RESOURCE_GROUP = "sandbox"
AMLFS = "amlfs-sandbox"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def mount_point(folder: Path) -> Path:
    """Name where a site has Lustre."""
    return folder / "lustre"


class Emulator(Service):
    """The emulator. However it ends, its mount goes with it."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it is started with
        self, folder: Path, logs: Path, port: int, container_url: str, options: Sequence[str], name: str = ""
    ) -> None:
        self._mount = mount_point(folder)
        argv = [str(PROGRAMS / "slurm-amlfs"), "emulator"]
        argv += [f"--folder={folder / 'emulator'}", f"--mount={self._mount}", f"--port={port}"]
        argv += [f"--container-url={container_url}", f"--subscription={SUBSCRIPTION}"]
        argv += [f"--resource-group={RESOURCE_GROUP}", f"--amlfs={name or AMLFS}", *options]
        environment = {"PATH": PATH, "HOME": str(folder), "LANG": "C.UTF-8", **CODE}
        super().__init__(f"{name} emulator".strip(), argv, logs, _is_ready, environment)

    def stop(self) -> None:
        """End it by SIGTERM, and unmount what it leaves mounted because somebody has a file open."""
        super().stop()
        self._unmount()

    def kill(self) -> None:
        """End it by SIGKILL, and take its dead mount away."""
        super().kill()
        self._unmount()

    def _unmount(self) -> None:
        if os.path.ismount(self._mount) or _is_dead(self._mount):
            kernel.unmount(str(self._mount))


def _is_ready(said: str) -> bool:
    return any(line.startswith("ready ") for line in said.splitlines())


def _is_dead(mount: Path) -> bool:
    try:
        mount.stat()
    except OSError:
        return True
    return False
