"""100,000 small files restored by the daemon's own proof: `make bench BENCH=restore` (root).

Beside it, in the same run and on an equal tree, `find | xargs -n1 lfs hsm_restore`, which Azure's documents recommend.
Both work on one emulator that takes its bytes from a folder in memory, has no limits of rate, and restores one file at
a time: Python's threads would only stand in each other's way. The daemon's time begins with the first look at a blob
and ends with the last file proved; it looks again after 0.3 s where nothing moved, as the daemon does. The other's is
that of a sample: as many files as became whole while find and xargs ran for `SAMPLE_SECONDS`. The emulator's own limit
is how fast it restores when it is asked for a thousand files a call, without lfs: no daemon can be more times as fast
as xargs than that. No network is in any of it: on Azure each call of lfs costs trips to the metadata server, of which
the daemon makes one for fifty files.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NoReturn

from bench.report import Bar, Report, publish
from sandbox import cell
from sandbox.emulator import CODE, COPYTOOL, LFS, PATH, RESOURCE_GROUP, SUBSCRIPTION
from sandbox.service import Service
from sandbox.watch import until
from slurm_amlfs.adapters.arm import ArmFileSystem
from slurm_amlfs.adapters.clock import SteadyClock
from slurm_amlfs.adapters.lustre_apart import LustreApart
from slurm_amlfs.adapters.repeats import Repeats
from slurm_amlfs.application.proving import InProof
from slurm_amlfs.config import Limits
from slurm_amlfs.domain.ask import Conflict, Hydrate
from slurm_amlfs.domain.errand import ProveIn
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.view import BlobView, Children, HsmState
from slurm_amlfs.emulator.door import PREFIX
from slurm_amlfs.entrypoints.reaching import reach_lustre

FILES = 100_000
IN_A_FOLDER = 1000
CONTENT = b"x" * 100
LIMIT_FILES = 20_000
"""Files for the emulator's own limit."""
SAMPLE_SECONDS = 30.0
PAUSE_SECONDS = 0.3
"""domain/staging_in.py's pause between two looks where nothing moved."""
WINDOW = 2000
"""restore_window, as it comes."""
AT_LEAST = 10.0
"""What the third issue of this project asks."""
AMLFS = "bench"
LONGEST_SECONDS = 600.0


class FolderBlobs:
    """The Blobs port on the emulator's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.fspath(folder)

    def walk(self, prefix: str) -> Iterator[BlobView]:
        """Stream the blobs in the folders of the folder `prefix`."""
        above = prefix.strip("/")
        for folder in _entries(f"{self._folder}/{above}"):
            for entry in _entries(folder.path):
                seen = entry.stat(follow_symlinks=False)
                modified = datetime.fromtimestamp(seen.st_mtime, UTC)
                yield BlobView(f"{above}/{folder.name}/{entry.name}", seen.st_size, modified)

    def pages(self, prefix: str) -> Iterator[list[BlobView]]:
        """Stream the same in one page."""
        yield list(self.walk(prefix))

    def children(self, prefix: str) -> Iterator[Children]:
        """Fail: a proof asks for none."""
        raise NotImplementedError(prefix)

    def find(self, name: str) -> BlobView | None:
        """Look up one blob."""
        return next((blob for blob in self.walk(name) if blob.name == name), None)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=_name)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def main(files: int) -> int:
    """Measure, print and write the report."""
    if not cell.inside():
        raise SystemExit("bench restore: run it by make bench BENCH=restore, which gives it a machine of its own")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "nr_inodes=0,mode=755", "amlfs", name], check=True)
        try:
            figures = _measure(folder, files)
        finally:
            subprocess.run(["/bin/umount", name], check=True)
    theirs = figures["xargs_sample_files_per_second"]
    ratio = figures["daemon_files_per_second"] / theirs
    figures["emulator_limit_times_xargs"] = figures["emulator_limit_files_per_second"] / theirs
    return publish(Report("restore", figures, [Bar("times as fast as find | xargs -n1", ratio, AT_LEAST, True)]))  # noqa: FBT003 - at_least


def _measure(folder: Path, files: int) -> dict[str, float]:
    (folder / "mount").mkdir()
    trees = {"limit": LIMIT_FILES, "ours": files, "theirs": files}
    for name, number in trees.items():
        _fill(folder / "blobs" / name, number)
    argv = [sys.executable, "-m", "slurm_amlfs.emulator.program", "--port=0", "--max-requests=1", "--cache-seconds=60"]
    argv += [f"--mount={folder / 'mount'}", f"--folder={folder / 'state'}", f"--contents={folder / 'blobs'}"]
    argv += [f"--subscription={SUBSCRIPTION}", f"--resource-group={RESOURCE_GROUP}", f"--amlfs={AMLFS}"]
    argv += ["--walk-rate=0", "--import-rate=0", "--import-overhead=0", "--operation-seconds=0", "--restore-rate=0"]
    argv += [f"--copytool={COPYTOOL}"]
    emulator = Service("emulator", argv, folder, lambda said: "ready arm=" in said, {"PATH": PATH, **CODE})
    emulator.start()
    try:
        _import(emulator.said().partition("arm=")[2].split()[0], tuple(trees))
        lustre = reach_lustre(AMLFS, folder / "mount", LFS, Limits())
        with closing(lustre):
            return {
                "files": files,
                "emulator_limit_files_per_second": _limit(folder, lustre),
                "daemon_files_per_second": _daemon(folder, lustre, files),
                "xargs_sample_files_per_second": _xargs(folder, lustre),
            }
    finally:
        emulator.stop()


def _fill(folder: Path, files: int) -> None:
    for number in range(files):
        place = f"{folder}/{number // IN_A_FOLDER:03}"
        if number % IN_A_FOLDER == 0:
            os.makedirs(place)  # noqa: PTH103 - a Path costs more than the system call
        fd = os.open(f"{place}/f{number % IN_A_FOLDER:03}", os.O_CREAT | os.O_WRONLY)
        os.write(fd, CONTENT)
        os.close(fd)


def _import(url: str, trees: Sequence[str]) -> None:
    repeats = Repeats(600, None, SteadyClock().now)
    arm = ArmFileSystem(url, SUBSCRIPTION, RESOURCE_GROUP, AMLFS, _no_credential, repeats=repeats)
    arm.create_import("bench", [f"/{name}/" for name in trees], Conflict.SKIP, 0)
    until(lambda: arm.imports()[0].import_state.over, LONGEST_SECONDS, "the import ends")


def _limit(folder: Path, lustre: LustreApart) -> float:
    paths = sorted(file.path for file in lustre.walk("/limit/"))
    asked = iter(paths)
    started = time.perf_counter()
    while batch := list(islice(asked, 1000)):
        value = b"\0".join([b"RESTORE 0", *(os.fsencode(path.removeprefix("/")) for path in batch)])
        os.setxattr(folder / "mount", f"{PREFIX}request", value)
    # One at a time, in order: when the last is whole, all are.
    until(lambda: not _released(lustre, paths[-1:]), LONGEST_SECONDS, "the emulator restores")
    return len(paths) / (time.perf_counter() - started)


def _daemon(folder: Path, lustre: LustreApart, files: int) -> float:
    errand = ProveIn(LeaseKey(AMLFS, "/ours/", Conflict.SKIP, 1000), 0, Hydrate.ALL, None)
    started = time.perf_counter()
    proof = InProof(FolderBlobs(folder / "blobs"), lustre, errand, Namespace.FLAT, window=WINDOW, clock=time.monotonic)
    done = 0
    while not (found := proof.slice()).settled:
        if found.files_done == done:
            time.sleep(PAUSE_SECONDS)
        done = found.files_done
    seconds = time.perf_counter() - started
    if found.files_done != files:
        raise SystemExit(f"bench restore: {found.files_done} of {files} files were proved")
    return files / seconds


def _xargs(folder: Path, lustre: LustreApart) -> float:
    line = 'find "$0" -type f -print0 | xargs -0 -n1 "$1" hsm_restore'
    argv = ["/bin/sh", "-c", line, str(folder / "mount/theirs"), str(LFS)]
    started = time.perf_counter()
    with subprocess.Popen(argv, start_new_session=True) as shell:
        try:
            shell.wait(SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGTERM)
    seconds = time.perf_counter() - started
    paths = [file.path for file in lustre.walk("/theirs/")]
    whole = len(paths) - _released(lustre, paths)
    return whole / seconds


def _released(lustre: LustreApart, paths: Sequence[str]) -> int:
    return sum(bool(state & HsmState.RELEASED) for state in lustre.hsm_states(paths).values())


def _no_credential() -> NoReturn:
    raise AssertionError("on loopback there is none")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else FILES))
