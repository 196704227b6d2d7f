"""slurmctld's own race at a cancel: it kills the teardown that it has just begun, and the job keeps its burst buffer.

Its word to kill what runs for the job is kept back here in its pipe, and heard when the teardown runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.site import Site
from tests.integration import buffers, hooks, seeing
from tests.integration.slurmscriptd import Slurmscriptd
from tests.integration.test_left_behind import MENDS, TELLS, configured, jobs_on

pytestmark = pytest.mark.integration


@contextmanager
def busy(site: Site) -> Iterator[None]:
    """Have no node free meanwhile."""
    filler = site.submit("bob", "#!/bin/sh\nexec sleep 600\n", "--exclusive")
    try:
        seeing.wait_for_state(site, filler, "RUNNING")
        yield
    finally:
        site.run("bob", ["scancel", str(filler)])


def lose_teardown(site: Site, name: str) -> int:
    """Bring a job to where it waits staged in, and cancel it as the race would have it."""
    job = site.submit("alice", "#!/bin/sh\ntrue\n", f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
    seeing.wait_for_burst_buffer(site, job, "staged-in")
    with hooks.hanging(site, "job_teardown") as begun:
        slurmscriptd = Slurmscriptd(site)
        with slurmscriptd.stopped():
            site.run("alice", ["scancel", str(job)])
            word = slurmscriptd.take_kill(job)
        site.wait(begun.exists, seeing.LONG, f"the teardown of job {job} runs")
        slurmscriptd.put(word)
        killed = buffers.KILLED.format(job=job)
        site.wait(lambda: killed in site.slurmctld.said(), seeing.LONG, f"slurmctld kills the teardown of job {job}")
    return job


def test_it_is_told_and_what_is_told_helps(site: Site, name: str) -> None:
    """All that is ours of the job ends. Another cancel does nothing; the commands that the daemon names free it.

    Where it may, it runs them itself.
    """
    seeing.put_blob(site, f"{name}/in", b"x")
    with busy(site):
        with configured(site, TELLS):
            first, second = (lose_teardown(site, name) for _ in range(2))
            for job in (first, second):
                site.wait(lambda job=job: seeing.has_word(site, job, "closed"), seeing.LONG, f"job {job} is closed")
                site.wait(lambda job=job: seeing.has_word(site, job, "left behind"), seeing.LONG, "the daemon tells")
            assert jobs_on(site, name) == [0]
            receipts = site.mount / ".amlfs/receipts"
            assert not [it for job in (first, second) for it in receipts.glob(f"{job}*")]

            site.run("alice", ["sh", "-c", f"scancel --hurry {first} || true"])
            assert (site.job(first)["JobState"], site.job(first)["BurstBufferState"]) == ("CANCELLED", "teardown")
            assert buffers.has_buffer(site, first)

            commands = f"scontrol requeuehold {first} && scancel {first}"
            assert f"run: {commands}, or restart slurmctld" in seeing.message(site, first)
            site.run(None, ["sh", "-c", commands])
            site.wait(lambda: not buffers.has_buffer(site, first), seeing.LONG, "Slurm lets go of the buffer")
            seeing.wait_for_state(site, first, "CANCELLED")
            wait_until_forgotten(site, first)
            assert buffers.has_buffer(site, second)
        with configured(site, MENDS):
            site.wait(lambda: not buffers.has_buffer(site, second), seeing.LONG, "the daemon frees the other")
            seeing.wait_for_state(site, second, "CANCELLED")
            wait_until_forgotten(site, second)
    assert len(seeing.imports_of(site, f"/{name}/")) == 1
    assert not seeing.archives_of(site, f"/jobs/{name}/")


def test_a_restart_of_slurmctld_frees_it(site: Site, name: str) -> None:
    """It takes up what it was about."""
    seeing.put_blob(site, f"{name}/in", b"x")
    with busy(site):
        job = lose_teardown(site, name)
        assert buffers.has_buffer(site, job)
        buffers.wait_until_freed(site, job)
        wait_until_forgotten(site, job)


def wait_until_forgotten(site: Site, job: int) -> None:
    """Wait until nothing of a job is left with the daemon, or in the hooks' notes."""
    board, asks = site.state_dir / "board" / str(job), site.state_dir / "asks"
    site.wait(lambda: not board.exists(), seeing.LONG, f"the board of job {job} goes")
    site.wait(lambda: not list(asks.glob(f"{job}.*")), seeing.LONG, "the asks go")
