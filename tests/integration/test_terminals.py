"""What an interactive user sees while his job cannot start, and what is left when he gives up."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.site import Site
from tests.integration import buffers, seeing

pytestmark = pytest.mark.integration


@contextmanager
def waiting(site: Site, said: Path, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """Let alice run srun or salloc at a terminal of its own, with its stderr in a file."""
    command = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", *argv]
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
            cwd=site.home("alice"),
            env={
                "SLURM_CONF": str(site.slurm_conf),
                "PATH": f"{site.options.slurm_prefix}/bin:/usr/bin:/bin",
                "LC_ALL": "C",
            },
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for_line(site: Site, said: Path, what: str) -> str:
    """Wait until the terminal has a line with these words."""
    site.wait(lambda: what in said.read_text(encoding="utf-8"), seeing.LONG, f"a line with {what!r}")
    [line] = [line for line in said.read_text(encoding="utf-8").splitlines() if what in line]
    return line


@pytest.mark.parametrize("command", ["srun", "salloc"])
def test_a_misspelt_prefix_is_told_at_the_terminal(site: Site, name: str, tmp_path: Path, command: str) -> None:
    """Both wait in silence for a job that Slurm holds; the daemon's line comes to their stderr, once."""
    said = tmp_path / "stderr"
    with waiting(site, said, command, f"--amlfs-import=/{name}/", "true") as process:
        what = f"is held: no blobs under /{name}/; check its spelling"
        line = wait_for_line(site, said, what)
        job = int(line.split("amlfs: job ")[1].split()[0])
        assert line.startswith(f"{command}: amlfs: job {job} is held")
        site.run("alice", ["scancel", str(job)])
        process.wait(seeing.LONG)
        assert said.read_text(encoding="utf-8").count(what) == 1


@pytest.mark.parametrize("command", ["srun", "salloc"])
def test_a_wait_is_told_and_an_interrupt_leaves_nothing(site: Site, name: str, tmp_path: Path, command: str) -> None:
    """The terminal says what is waited for. Ctrl-C ends the job, its import, and all that the daemon has of it."""
    seeing.put_blob(site, f"{name}/in", b"x")
    said = tmp_path / "stderr"
    with seeing.held(site, "import"):
        with waiting(
            site, said, command, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/", "true"
        ) as process:
            line = wait_for_line(site, said, "waits for its data")
            job = int(line.split("amlfs: job ")[1].split()[0])
            assert f"slurm-amlfs status {job} says how far it is" in line
            site.wait(lambda: bool(seeing.imports_of(site, name)), seeing.LONG, "the import runs")
            process.send_signal(signal.SIGINT)
            process.wait(seeing.LONG)
        seeing.wait_for_state(site, job, "CANCELLED")
        site.wait(lambda: seeing.imports_of(site, name)[0].ended is not None, seeing.LONG, "the import ends")
    assert seeing.imports_of(site, name)[0].outcome == "Canceled"
    buffers.wait_until_freed(site, job)
    site.wait(lambda: not (site.state_dir / "board" / str(job)).exists(), seeing.LONG, "the board goes")
    site.wait(lambda: not list((site.state_dir / "asks").glob(f"{job}.*")), seeing.LONG, "the asks go")
