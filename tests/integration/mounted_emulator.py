"""Run the emulated Lustre alone: `python mounted_emulator.py FOLDER` mounts FOLDER/mnt until SIGTERM.

Blobs are files of FOLDER/blobs. Each fetch and store writes a line to FOLDER/log; while FOLDER/hold exists, both wait.
Options of the file system are in FOLDER/options.json. A line of FOLDER/imports ("NAME SIZE UID MODE") is a released
file to begin with, if it is not there. At SIGUSR1 the lines of FOLDER/engine are done as an import would do them:
"remove NAME", or "NAME SIZE UID MODE" in place of what is there; then a line "done" is printed. A process of its own,
because whoever serves a mount must not use it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO

from slurm_amlfs.emulator.hsm import Hsm, RestoreRate
from slurm_amlfs.emulator.mounting import Mounted
from slurm_amlfs.emulator.tree import FileInfo


class LoggedFolder:
    """Blobs as files, with a log and a brake."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, name: str, into: BinaryIO) -> None:
        """Read a blob."""
        self._note("fetch", name)
        with (self._folder / "blobs" / name).open("rb") as source:
            shutil.copyfileobj(source, into)

    def store(self, name: str, source: Path, info: FileInfo) -> None:
        """Write a blob."""
        where = self._folder / "blobs" / name
        where.parent.mkdir(parents=True, exist_ok=True)
        data = source.read_bytes() if info.size else b""
        self._note("store", name)
        where.write_bytes(data)

    def _note(self, word: str, name: str) -> None:
        with (self._folder / "log").open("ab") as log:
            log.write(f"{word} {name}\n".encode("utf-8", "surrogateescape"))
        while (self._folder / "hold").exists():
            time.sleep(0.005)


def add(hsm: Hsm, line: str) -> None:
    """Import one file."""
    name, size, uid, mode = line.rsplit(" ", 3)
    hsm.add_released(name, int(size), 1_600_000_000 * 10**9, int(uid), int(uid), int(mode, 8))


def act(hsm: Hsm, lines: list[str]) -> None:
    """Change files behind the mount."""
    for line in lines:
        if line.startswith("remove "):
            hsm.remove(line.removeprefix("remove "))
        else:
            hsm.remove(line.rsplit(" ", 3)[0])
            add(hsm, line)


def read_lines(path: Path) -> list[str]:
    """Read lines of text with undecodable bytes."""
    return path.read_bytes().decode("utf-8", "surrogateescape").splitlines()


def run(folder: Path) -> None:
    """Serve until told to end."""
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    options = json.loads((folder / "options.json").read_text())
    rate = RestoreRate(options.get("bytes_per_second", 0), options.get("files_per_second", 0))
    hsm = Hsm(folder / "state", LoggedFolder(folder), options["capacity"], rate, options.get("max_requests", 4))
    for line in read_lines(folder / "imports"):
        with contextlib.suppress(FileExistsError):
            add(hsm, line)
    mounted = Mounted(hsm, folder / "mnt")
    os.write(1, b"ready\n")
    while signal.sigwait(signals) == signal.SIGUSR1:
        act(hsm, read_lines(folder / "engine"))
        os.write(1, b"done\n")
    mounted.stop()
    hsm.close()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
