"""What an interactive user sees while his job cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sandbox.site import Site
from tests.integration import seeing

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("command", ["srun", "salloc"])
def test_a_misspelt_prefix_is_told_at_the_terminal(site: Site, name: str, tmp_path: Path, command: str) -> None:
    """Both wait in silence for a job that Slurm holds; the daemon's line comes to their stderr, once."""
    said = tmp_path / "stderr"
    path = f"/usr/bin:/bin:{site.options.slurm_prefix}/bin"
    argv = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", command, f"--amlfs-import=/{name}/", "true"]
    with said.open("wb") as stderr:
        waiting = subprocess.Popen(
            argv,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
            cwd=site.home("alice"),
            env={"SLURM_CONF": str(site.slurm_conf), "PATH": path, "LC_ALL": "C"},
            start_new_session=True,
        )
    try:
        what = f"is held: no blobs under /{name}/; check its spelling"
        site.wait(lambda: what in said.read_text(encoding="utf-8"), seeing.LONG, "the line")
        [line] = [line for line in said.read_text(encoding="utf-8").splitlines() if "is held" in line]
        job = int(line.split("amlfs: job ")[1].split()[0])
        assert line.startswith(f"{command}: amlfs: job {job} is held")
        site.run("alice", ["scancel", str(job)])
        waiting.wait(seeing.LONG)
        assert said.read_text(encoding="utf-8").count(what) == 1
    finally:
        if waiting.poll() is None:
            os.killpg(waiting.pid, signal.SIGKILL)
            waiting.wait()
