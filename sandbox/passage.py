"""Let the test users reach the interpreter and this repository, wherever they are.

A clone under /root, or a Python there, cannot be reached by anybody else. In a cell, whose mounts are its own, such a
closed folder gives way to an open one with the same things in it; the machine's own stays closed.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from sandbox import kernel
from sandbox.kernel import Mount

ROOT = Path(__file__).resolve().parents[1]
"""The repository."""

_BEHIND = Path("/run/behind")


def open_the_way() -> None:
    """Open every closed folder above the repository, the virtual environment and its interpreter."""
    for target in (ROOT, Path(sys.prefix).resolve(), Path(sys.executable).resolve()):
        for folder in _above(target):
            if not folder.stat().st_mode & stat.S_IXOTH:
                _replace(folder)


def _above(path: Path) -> Iterator[Path]:
    """List the folders on the way to a path, the outermost first."""
    return reversed(path.parents)


def _replace(folder: Path) -> None:
    """Mount an empty folder of mode 711 over this one, and in it everything that this one has."""
    behind = _BEHIND / str(folder.stat().st_ino)
    behind.mkdir(parents=True)
    _BEHIND.chmod(0o700)
    kernel.mount(str(folder), str(behind), "", Mount.BIND | Mount.RECURSIVE)
    kernel.mount("tmpfs", str(folder), "tmpfs", Mount.NOSUID | Mount.NODEV, "mode=711")
    for real in behind.iterdir():
        here = folder / real.name
        if real.is_symlink():
            here.symlink_to(real.readlink())
            continue
        if real.is_dir():
            here.mkdir()
        elif real.is_file():
            here.touch()
        else:
            continue  # sockets and pipes are for those who made them
        kernel.mount(str(real), str(here), "", Mount.BIND | Mount.RECURSIVE)
