"""`make test-pyslurm`: what it says where it cannot run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from sandbox.passage import ROOT


def said(*prefix: Path | str) -> tuple[int, str]:
    """Run what the target runs; give its exit code and what it printed, which is one line."""
    done = subprocess.run([ROOT / "tools/test-pyslurm", *prefix], check=False, capture_output=True, text=True, cwd="/")
    [line] = (done.stdout + done.stderr).splitlines()
    return done.returncode, line


@pytest.mark.parametrize("prefix", [(), ("",)])
def test_without_a_slurm(prefix: tuple[str, ...]) -> None:
    """It says that it was skipped, why, and what to give, and is no failure."""
    code, line = said(*prefix)
    assert code == 0
    assert re.fullmatch(
        r"test-pyslurm: skipped: pyslurm \d+\.\d+\.\d+ is for Slurm \d+\.\d+ only, which Debian does not have, .*"
        r"make test-pyslurm SLURM_PREFIX=/that/folder",
        line,
    )


def test_of_another_release(tmp_path: Path) -> None:
    """Nothing is built for it."""
    assert said(tmp_path) == (
        1,
        f"test-pyslurm: {tmp_path} has no sbin/slurmctld; give the folder that Slurm was installed to",
    )
    slurmctld = tmp_path / "sbin/slurmctld"
    slurmctld.parent.mkdir()
    slurmctld.write_text("#!/bin/sh\necho slurm 22.05.8\n")
    slurmctld.chmod(0o755)
    code, line = said(tmp_path)
    assert code == 1
    assert re.fullmatch(
        rf"test-pyslurm: pyslurm \S+ is for Slurm (\S+), and {tmp_path} has slurm 22\.05\.8; give a Slurm \1", line
    )
