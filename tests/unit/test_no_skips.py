"""`make test` cannot be green by leaving tests out."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MARKED = """
import pytest

@pytest.mark.skip(reason="no moon")
def test_marked():
    pass

def test_seen(record_property):
    record_property("figure", "3 s median")

@pytest.mark.xfail(reason="known")
def test_known():
    assert False
"""
INSIDE = """
import pytest

def test_inside():
    pytest.skip("no moon")
"""
WHOLE = """
import pytest

pytest.skip("no moon", allow_module_level=True)
"""
ELSEWHERE = """
import pytest

@pytest.fixture(autouse=True)
def releases(request):
    request.node.user_properties.append(("elsewhere", "for Slurm from 23.11"))
    pytest.skip("for Slurm from 23.11")

def test_newer():
    pass
"""


FILES = {"marked": MARKED, "inside": INSIDE, "whole": WHOLE, "elsewhere": ELSEWHERE}


@dataclass(frozen=True)
class Run:
    """What became of some files of tests: the exit code, all that was told, and of each file in the summary."""

    code: int
    text: str
    told: dict[str, list[str]]


def run(folder: Path, *options: str) -> Run:
    """Run these files with the project's own settings of tests, and nothing else of it."""
    for name, text in FILES.items():
        (folder / f"test_{name}.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "/dev/null"]
    result = subprocess.run(
        [*command, "-rA", "--continue-on-collection-errors", f"--rootdir={folder}", *options, str(folder)],
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    summary = result.stdout.partition("short test summary info")[2].splitlines()
    return Run(
        result.returncode, result.stdout, {name: [it for it in summary if f"test_{name}.py" in it] for name in FILES}
    )


# Most of a run is its start, so that one serves for all files.
@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("strict"), "--no-skips")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("name", ["marked", "inside", "whole"])
def test_a_skip_fails(strict: Run, name: str) -> None:
    """Under --no-skips a skipped test is a failure that says why it was skipped, however it was skipped."""
    assert strict.code == pytest.ExitCode.TESTS_FAILED
    failed = [it for it in strict.told[name] if it.startswith(("FAILED", "ERROR"))]
    assert len(failed) == 1
    assert "no moon; --no-skips lets no test be left out" in failed[0]


def test_a_known_fault_is_no_skip(strict: Run) -> None:
    """What is marked as a known fault has run, and fails only if it passes."""
    words = {line.partition("::")[2].split()[0]: line.split()[0] for line in strict.told["marked"]}
    assert words == {"test_marked": "ERROR", "test_seen": "PASSED", "test_known": "XFAIL"}


def test_a_skip_passes_elsewhere(plain: Run) -> None:
    """Without the option, as in `make check` by somebody who is not root, a skip is only told."""
    assert plain.code == 0
    assert all(any(it.startswith("SKIPPED") for it in lines) for lines in plain.told.values())


def test_a_test_for_other_releases_is_no_skip(strict: Run) -> None:
    """Only the mark that says so does that, and the matrix tells of it."""
    assert [line.split()[0] for line in strict.told["elsewhere"]] == ["SKIPPED"]


def test_what_is_measured_is_told(plain: Run) -> None:
    """Also of a test that passes."""
    assert "3 s median" in plain.text.splitlines()


def test_make_test_lets_nothing_be_skipped() -> None:
    """The option is where it counts."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    lines = [line for line in makefile.splitlines() if "/pytest" in line and "tests/integration" in line]
    assert lines
    assert all("--no-skips" in line for line in lines)
