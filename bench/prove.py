"""A million files counted, and proved as a stage-in and as a stage-out: `make bench BENCH=prove` (root).

The daemon's own adapters and proofs run in a process of their own. What they look at is not Azure's: the container is
`bench.listing`, which answers as Blob does; Lustre is a tmpfs with a million empty sparse files in it, and `lfs` the
tests' stand-in, which reads states from extended attributes. So the figures are the daemon's own work, Azure's library
included, without anybody's network or disks. Growth is the peak of resident memory less what the process had before
its proof, with everything imported and nothing asked yet.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn, TypeVar, cast

from bench.listing import FOLDER, IN_A_FOLDER, name_of, size_of
from bench.report import Bar, Report, publish
from sandbox import cell
from slurm_amlfs.adapters.blob import BlobContainer
from slurm_amlfs.adapters.clock import SteadyClock
from slurm_amlfs.adapters.repeats import Repeats
from slurm_amlfs.application.counting import Counting
from slurm_amlfs.application.exporting import OutProof
from slurm_amlfs.application.ports import Lustre
from slurm_amlfs.application.proving import InProof
from slurm_amlfs.config import Limits
from slurm_amlfs.domain.ask import Conflict, Direction, Hydrate
from slurm_amlfs.domain.errand import Count, ProveIn, ProveOut
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import StageKey
from slurm_amlfs.domain.report import Counted, Examined, Exported
from slurm_amlfs.entrypoints.reaching import reach_lustre
from tests.fakes import lfs_program

FILES = 1_000_000
LIMIT_MB = 100.0
"""What the third issue of this project allows a prefix of a million files."""
LIMIT_SLICE_SECONDS = 5.0
"""A slice ends after a second and the page that it is at."""
MB = 1e6
WINDOW = 2000
FoundT = TypeVar("FoundT", Examined, Exported)
WHOLE = str(lfs_program.EXISTS | lfs_program.ARCHIVED).encode()
CASES = ("in", "out", "absent", "count", "bounded")
TMPFS = ("tmpfs",)
EMPTY = "empty"
"""Where a file system is mounted that has nothing."""
BOUND = 100_000
"""Blobs that a bounded count may list."""
TARGET_BLOBS = 20_000


def main(files: int) -> int:
    """Set up, run each case in a process of its own, and report."""
    if not cell.inside():
        raise SystemExit("bench prove: run it by make bench BENCH=prove, which gives it a machine of its own")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mounts = [folder / "lustre", folder / EMPTY]
        for mount in mounts:
            mount.mkdir()
            subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "nr_inodes=0", "amlfs", str(mount)], check=True)
        try:
            figures = _measure(folder, mounts[0], files)
        finally:
            for mount in mounts:
                subprocess.run(["/bin/umount", str(mount)], check=True)
    bars = [
        Bar(f"MB that a proof of a stage-{case} grows by", figures[f"{case}_growth_mb"], LIMIT_MB)
        for case in ("in", "out")
    ]
    bars += [
        Bar("MB that a count grows by", figures["count_growth_mb"], LIMIT_MB),
        Bar(
            "seconds that a slice of a count takes at most", figures["count_longest_slice_seconds"], LIMIT_SLICE_SECONDS
        ),
    ]
    return publish(Report("prove", figures, bars))


def _measure(folder: Path, mount: Path, files: int) -> dict[str, float]:
    _fill(mount, files)
    program = folder / "lfs"
    program.write_text(f"#!{sys.executable} -SE\n{Path(lfs_program.__file__).read_text()}")
    program.chmod(0o755)
    figures: dict[str, float] = {"files": files}
    listing = [sys.executable, "-m", "bench.listing", str(files)]
    with subprocess.Popen(listing, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        url = cast("IO[str]", server.stdout).readline().strip()
        for case in CASES:
            argv = [sys.executable, "-m", "bench.prove", case, url, str(mount), str(program)]
            done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
            figures |= json.loads(done.stdout)
        cast("IO[str]", server.stdin).close()
    return figures


def _fill(mount: Path, files: int) -> None:
    for number in range(files):
        path = f"{mount}/{name_of(number)}"
        if number % IN_A_FOLDER == 0:
            os.makedirs(os.path.dirname(path))  # noqa: PTH103, PTH120 - a Path costs more than the system call
        fd = os.open(path, os.O_CREAT | os.O_WRONLY)
        os.ftruncate(fd, size_of(number))
        os.setxattr(fd, lfs_program.ATTRIBUTE, WHOLE)
        os.close(fd)


def prove(case: str, url: str, mount: Path, program: Path) -> dict[str, float]:
    """Run one case here, in slices as the daemon does, and give its figures.

    Raises:
        SystemExit: the proof did not prove what is there.
    """
    blobs = BlobContainer(url, _no_credential, Repeats(600, None, SteadyClock().now))
    lustre = reach_lustre("bench", mount, program, Limits(), types=TMPFS)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    started = time.perf_counter()
    if case == "absent":
        found = _prove_in(
            blobs, reach_lustre("bench", mount.with_name(EMPTY), program, Limits(), types=TMPFS), f"/{FOLDER}/", 100
        )
        if not found.missing_count:
            raise SystemExit("bench prove: nothing is missing where nothing is")
        return {"absent_told_after_seconds": time.perf_counter() - started}
    if case in {"count", "bounded"}:
        return _count(case, blobs, before)
    result = _prove_in(blobs, lustre, f"/{FOLDER}/") if case == "in" else _prove_out(blobs, lustre, f"/{FOLDER}/")
    seconds = time.perf_counter() - started
    if result.files_done != result.files or not result.files:
        raise SystemExit(f"bench prove: {result.files_done} of {result.files} files were proved")
    return {
        f"{case}_files_per_second": result.files / seconds,
        f"{case}_growth_mb": (_memory("VmHWM") - before) / MB,
        f"{case}_resident_mb": _memory("VmHWM") / MB,
    }


def _prove_in(blobs: BlobContainer, lustre: Lustre, prefix: str, most_missing: int | None = None) -> Examined:
    errand = ProveIn(LeaseKey("bench", prefix, Conflict.SKIP, 1000), 0, Hydrate.ALL, None)
    proof = InProof(
        blobs, lustre, errand, Namespace.FLAT, window=WINDOW, clock=time.monotonic, most_missing=most_missing
    )
    return _settle(proof.slice)


def _prove_out(blobs: BlobContainer, lustre: Lustre, prefix: str) -> Exported:
    errand = ProveOut(StageKey(1, Direction.OUT, 0), 0, "bench", (prefix,))
    return _settle(OutProof(blobs, lustre, errand, Namespace.FLAT, time.monotonic).slice)


def _count(case: str, blobs: BlobContainer, before: int) -> dict[str, float]:
    key = LeaseKey("bench", f"/{FOLDER}/", Conflict.SKIP, 1000)
    errand = Count(
        key, 0, TARGET_BLOBS, whole=False, list_blobs=BOUND if case == "bounded" else 10**9, list_seconds=1e9
    )
    counting = Counting(blobs, None, Namespace.FLAT, errand, time.monotonic)
    slices: list[float] = []
    began = time.perf_counter()
    found = Counted(0, 0, settled=False)
    while not found.settled:
        at = time.perf_counter()
        found = counting.slice()
        slices.append(time.perf_counter() - at)
    return {
        f"{case}_blobs": found.files,
        f"{case}_parts": len(found.cuts),
        f"{case}_seconds": time.perf_counter() - began,
        f"{case}_longest_slice_seconds": max(slices),
        f"{case}_growth_mb": (_memory("VmHWM") - before) / MB,
    }


def _settle(go_on: Callable[[], FoundT]) -> FoundT:
    while not (found := go_on()).settled:
        pass
    return found


def _memory(key: str) -> int:
    """Read a line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{key}:")]
    return int(line.split()[1]) * 1024


def _no_credential() -> NoReturn:
    raise AssertionError("on loopback there is none")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CASES:
        print(json.dumps(prove(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))))
    else:
        sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else FILES))
