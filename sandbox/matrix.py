"""The integration tests on each Slurm release that Debian has: `python -m sandbox.matrix` (root).

`--on=trixie,forky` takes some of the releases, and names of tests, as pytest names them, some of the tests. Each test
file runs by itself, in a cell of its own, so that none can spoil another's. The release of this machine runs here, the
others in root folders that tools/release-root makes. The releases run side by side, since tests mostly wait; what holds
to a few seconds runs alone, at the end. The table is printed and written to build/matrix.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from sandbox.matrix_report import FILE_VARIABLE, Ran, read
from sandbox.matrix_table import Cell, Matrix, by_file
from sandbox.passage import ROOT

CODENAMES = ("bookworm", "trixie", "forky")
"""Debian's names for its releases 12 to 14, which have Slurm 22.05, 24.11 and 26.05."""
FILE_SECONDS = 1800
"""What a test file may take. The longest takes a few minutes on a quiet machine."""
ALONE = ("tests/integration/test_reconfigure.py",)
"""Files that hold Slurm and us to a few seconds. They run after all others, on one release after the other."""
OPTIONS = ("--no-skips", "-q", "-p", "no:cacheprovider", "-p", "sandbox.matrix_report")


class Place:
    """Where one release's tests run."""

    def __init__(self, codename: str) -> None:
        self.codename = codename
        self._root = None if codename == _own_codename() else ROOT / "build/roots" / codename
        self._report = ROOT / "build" / f"matrix-{codename}.jsonl"
        if self._root:
            # In there build/ is this one.
            self._report = self._root / "opt/build" / self._report.name

    def prepare(self) -> str:
        """Make what the tests need; return the column's title, with the versions of Slurm and Python."""
        if self._root:
            subprocess.run([str(ROOT / "tools/release-root"), self.codename], check=True)
            self._run(["make", "-s", "-o", "packages", "programs"]).check_returncode()
        slurm, python = (self._say(argv) for argv in (["slurmctld", "-V"], [self._python, "-V"]))
        return f"{self.codename}: {slurm.replace('slurm-wlm', 'Slurm')}, {python}"

    def test(self, tests: Sequence[str]) -> Cell:
        """Run one file's tests, whose output is shown when they fail."""
        self._report.unlink(missing_ok=True)
        began = time.monotonic()
        argv = [self._python, "-m", "sandbox.cell", self._python, "-m", "pytest", *OPTIONS, *tests]
        try:
            done = self._run(argv, report=f"build/{self._report.name}")
        except subprocess.TimeoutExpired as late:
            return self._cell(began, f"not over in {FILE_SECONDS} s", late.stdout)
        ran = read(self._report)
        trouble = "" if done.returncode == 0 or any(it.outcome == "failed" for it in ran) else f"exit {done.returncode}"
        return self._cell(began, trouble, done.stdout if done.returncode else b"")

    def _cell(self, began: float, trouble: str, output: bytes | None) -> Cell:
        if output:
            sys.stdout.write(output.decode("utf-8", "replace"))
        ran: list[Ran] = read(self._report)
        return Cell(ran, time.monotonic() - began, trouble)

    @property
    def _python(self) -> str:
        return "/opt/venv/bin/python" if self._root else sys.executable

    def _say(self, argv: Sequence[str]) -> str:
        return self._run(argv).stdout.decode("utf-8", "replace").strip()

    def _run(self, argv: Sequence[str], report: str = "") -> subprocess.CompletedProcess[bytes]:
        inside = [str(ROOT / "tools/in-release-root"), self.codename] if self._root else []
        environment = {**os.environ, **({FILE_VARIABLE: report} if report else {})}
        return subprocess.run(
            [*inside, *argv],
            check=False,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=FILE_SECONDS,
        )


def run(places: Mapping[str, Place], files: Mapping[str, Sequence[str]], matrix: Matrix) -> None:
    """Run the files, each release's one after the other; an interrupt ends each release's series."""
    over = threading.Event()

    def put(release: str, file: str) -> None:
        if over.is_set():
            return
        cell = places[release].test(files[file])
        matrix.put(release, file, cell)
        sys.stdout.write(f"matrix: {release}: {Path(file).name}: {cell.text}\n")
        sys.stdout.flush()

    def put_most(release: str) -> None:
        for file in files:
            if file not in ALONE:
                put(release, file)

    with ThreadPoolExecutor(len(places)) as pool:
        running = [pool.submit(put_most, release) for release in places]
        try:
            for it in running:
                it.result()
        except BaseException:
            over.set()
            raise
    for release, file in product(places, (file for file in files if file in ALONE)):
        put(release, file)


def _own_codename() -> str:
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.matrix", description="Run the tests on Slurm's releases.")
    parser.add_argument("--on", default=",".join(CODENAMES), help="Debian's code names, by commas")
    parser.add_argument("tests", nargs="*", help="test files or tests; all of tests/integration by default")
    asked = parser.parse_args()
    codenames = [name for name in asked.on.replace(",", " ").split() if name]
    unknown = set(codenames) - set(CODENAMES)
    if unknown:
        sys.exit(f"matrix: {', '.join(sorted(unknown))}: no such release here; take some of {', '.join(CODENAMES)}")
    tests = asked.tests or sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/integration/test_*.py"))
    places = [Place(codename) for codename in codenames]
    releases = [place.prepare() for place in places]
    matrix = Matrix({release: {} for release in releases})
    run(dict(zip(releases, places, strict=True)), by_file(tests), matrix)
    table = matrix.table()
    (ROOT / "build/matrix.md").write_text(table, encoding="utf-8")
    print(table)
    if matrix.failures():
        sys.exit("matrix: not green")


if __name__ == "__main__":
    main()
