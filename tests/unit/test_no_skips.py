"""`make test` cannot be green by leaving tests out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MARKED = """
import pytest

@pytest.mark.skip(reason="no moon")
def test_marked():
    pass

def test_seen():
    pass

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


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests with the project's own settings of tests, and nothing else of it."""
    file = folder / "test_some.py"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "/dev/null"]
    return subprocess.run(
        [*command, f"--rootdir={folder}", *options, str(file)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("text", [MARKED, INSIDE, WHOLE], ids=["marked", "inside", "whole"])
def test_a_skip_fails(tmp_path: Path, text: str) -> None:
    """Under --no-skips a skipped test is a failure that says why it was skipped, however it was skipped."""
    result = run(tmp_path, text, "--no-skips")
    assert result.returncode in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}
    assert "no moon; --no-skips lets no test be left out" in result.stdout


def test_a_known_fault_is_no_skip(tmp_path: Path) -> None:
    """What is marked as a known fault has run, and fails only if it passes."""
    result = run(tmp_path, MARKED, "--no-skips")
    assert "1 passed, 1 xfailed, 1 error" in result.stdout


def test_a_skip_passes_elsewhere(tmp_path: Path) -> None:
    """Without the option, as in `make check` by somebody who is not root, a skip is only told."""
    assert run(tmp_path, MARKED).returncode == 0


def test_a_test_for_other_releases_is_no_skip(tmp_path: Path) -> None:
    """Only the mark that says so does that, and the matrix tells of it."""
    result = run(tmp_path, ELSEWHERE, "--no-skips")
    assert result.returncode == 0
    assert "1 skipped" in result.stdout


def test_make_test_lets_nothing_be_skipped() -> None:
    """The option is where it counts."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    lines = [line for line in makefile.splitlines() if "/pytest" in line and "tests/integration" in line]
    assert lines
    assert all("--no-skips" in line for line in lines)
