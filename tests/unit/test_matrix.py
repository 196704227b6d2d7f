"""The table of what ran on which Slurm release, and what makes it fail."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from sandbox.matrix import ALONE, Place, run
from sandbox.matrix_report import FILE_VARIABLE, Ran, read
from sandbox.matrix_table import Cell, Matrix, by_file
from tests.integration.releases import not_for

PROJECT = Path(__file__).parents[2]
SOME = """
import pytest

@pytest.fixture
def broken():
    yield
    assert False

def test_good(record_property):
    record_property("figure", "3 s")
def test_bad(): assert False
def test_half(broken): pass
def test_skipped(): pytest.skip("no moon")
def test_newer(request):
    request.node.user_properties.append(("elsewhere", "for Slurm from 23.11: polls"))
    pytest.skip("for Slurm from 23.11: polls")
"""


def test_what_became_of_each_test_is_written(tmp_path: Path) -> None:
    """One line each: a failure in any part, a skip that no release explains, and what is for other releases."""
    (tmp_path / "test_some.py").write_text(SOME)
    report = tmp_path / "report"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "sandbox.matrix_report",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
    ]
    subprocess.run(
        [*command, f"--rootdir={tmp_path}", str(tmp_path / "test_some.py")],
        cwd=PROJECT,
        env={**os.environ, FILE_VARIABLE: str(report)},
        check=False,
        capture_output=True,
        timeout=60,
    )
    told = {it.test.partition("::")[2]: (it.outcome, it.why) for it in read(report)}
    assert told == {
        "test_good": ("passed", ""),
        "test_bad": ("failed", "in its call"),
        "test_half": ("failed", "in its teardown"),
        "test_skipped": ("failed", "by being skipped"),
        "test_newer": ("elsewhere", "for Slurm from 23.11: polls"),
    }
    assert [figure for it in read(report) for figure in it.figures] == ["3 s"]


def test_no_report_is_no_test(tmp_path: Path) -> None:
    """A run that was ended before its first test leaves no file."""
    assert read(tmp_path / "none") == []


def matrix(older: str, newer: str, trouble: str = "") -> Matrix:
    """Make two releases with one test, which had these outcomes."""
    made = Matrix()
    made.put("22.05", "tests/test_a.py", Cell([Ran("a::x", older, 1.0, "why")], 61.6))
    made.put("26.05", "tests/test_a.py", Cell([Ran("a::x", newer, 1.0, "why")], 9.0, trouble))
    return made


def test_green() -> None:
    """A test that is for other releases is told, and is nothing wrong where it ran on one of them."""
    made = matrix("elsewhere", "passed")
    made.put("26.05", "tests/test_b.py", Cell([Ran("b::x", "passed", 1.0, figures=["3 s"])], 1.0))
    assert made.failures() == []
    assert (
        made.table()
        == """\
| test file       | 22.05               | 26.05           |
| --------------- | ------------------- | --------------- |
| tests/test_a.py | 1 elsewhere in 62 s | 1 passed in 9 s |
| tests/test_b.py | not run             | 1 passed in 1 s |

Measured:

- 26.05: 3 s

For other releases:

- 22.05: a::x: why

All that ran passed.
"""
    )


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (matrix("passed", "failed"), ["26.05: a::x failed why"]),
        (matrix("passed", "passed", "exit 2"), ["26.05: tests/test_a.py: exit 2"]),
        (matrix("elsewhere", "elsewhere"), ["a::x ran on none of these releases"]),
    ],
)
def test_not_green(made: Matrix, wrong: list[str]) -> None:
    """What failed, what did not run to its end, and what ran nowhere are told below the table."""
    assert made.failures() == wrong
    assert made.table().endswith(f"Wrong:\n\n- {wrong[0]}\n")


def test_tests_by_file() -> None:
    """In their order, each file once."""
    assert by_file(["a.py::x", "b.py", "a.py::y"]) == {"a.py": ["a.py::x", "a.py::y"], "b.py": ["b.py"]}


class Fake(Place):
    """A release that only writes down what it runs, and in which thread."""

    def __init__(self, ran: list[tuple[str, int]], both: threading.Barrier) -> None:
        super().__init__("none")
        self._ran, self._both = ran, both

    def test(self, tests: Sequence[str]) -> Cell:
        """Wait for the other release, unless this is to run alone."""
        [file] = tests
        if file not in ALONE:
            self._both.wait(20)
        self._ran.append((file, threading.get_ident()))
        return Cell([], 0.0)


def test_what_holds_to_seconds_runs_alone() -> None:
    """After all that runs side by side, and on one release after the other, wherever it stands in the list."""
    [alone] = ALONE
    assert (PROJECT / alone).exists()
    ran: list[tuple[str, int]] = []
    both = threading.Barrier(2)
    places = {release: Fake(ran, both) for release in ("22.05", "26.05")}
    made = Matrix()
    run(places, {it: [it] for it in (alone, "a.py", "b.py")}, made)
    assert [file for file, _ in ran[-2:]] == [alone, alone]
    assert len({thread for file, thread in ran if file == alone}) == 1
    assert {release: list(row) for release, row in made.cells.items()} == {it: ["a.py", "b.py", alone] for it in places}


@pytest.mark.parametrize(
    ("here", "since", "before", "told"),
    [
        ((22, 5), (23, 11), (99, 0), "for Slurm from 23.11: x"),
        ((23, 11), (23, 11), (99, 0), ""),
        ((24, 5), (0, 0), (24, 5), "for Slurm before 24.05: x"),
        ((24, 11), (23, 2), (24, 5), "for Slurm from 23.02 and before 24.05: x"),
    ],
)
def test_for_which_releases(here: tuple[int, int], since: tuple[int, int], before: tuple[int, int], told: str) -> None:
    """The first bound is the first release that it is for, the second the first that it is not."""
    assert not_for(here, since=since, before=before, reason="x") == told
