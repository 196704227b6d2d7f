"""slurmctld is stopped, killed and told to read its files again, with jobs in every phase: all end as without that.

After its restart slurmctld tears down what was staging in or staged in, although those jobs live, and stages it again
a minute later; it asks again for exports under way. Nothing is imported or archived twice for it.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sandbox.site import Site
from tests.integration import seeing
from tests.integration.four_jobs import FourJobs

pytestmark = pytest.mark.integration


def test_slurmctld_is_stopped_and_started(site: Site, name: str) -> None:
    """What was staging in, staged in, running and staging out is done once each: a teardown in a hurry ends nothing."""
    jobs = FourJobs(site, name)
    with jobs.paused("archive"):
        site.slurmctld.restart()
    jobs.end()
    jobs.check()


def test_slurmctld_is_killed(site: Site, name: str) -> None:
    """The same after SIGKILL, of which no hook hears anything, once slurmctld has saved what it knew."""
    jobs = FourJobs(site, name)
    with jobs.paused("import"):
        wait_until_saved(site, jobs)
        site.slurmctld.kill()
        site.slurmctld.start()
    jobs.end()
    jobs.check()


def test_slurmctld_reads_its_files_again(site: Site, name: str) -> None:
    """Whatever `scontrol reconfigure` does in a release: before 23.11 it reads, from then on it restarts slurmctld."""
    jobs = FourJobs(site, name)
    with jobs.paused("archive"):
        site.run(None, ["scontrol", "reconfigure"])
        seeing.wait_for_phase(site, jobs.leaving, "exporting", "out")
    jobs.end()
    jobs.check()


def wait_until_saved(site: Site, jobs: FourJobs) -> None:
    """Wait until slurmctld has on disk who stages what, which it writes every 30 s, and all of its jobs.

    It leaves out what came in the very second of its last writing until more comes (`_save_bb_state`: "<="), so another
    job comes meanwhile.
    """
    state = Path(site.slurm_conf.parent.parent / "slurmctld")
    names = [f"{job}\0".encode() for job in jobs.all]

    def allocations() -> bool:
        path = state / "burst_buffer_lua_state"
        saved = path.read_bytes() if path.exists() else b""
        return all(it in saved for it in names)

    second = int(time.time())
    site.wait(lambda: int(time.time()) > second, seeing.LONG, "the next second")
    site.submit("alice", f"#!/bin/sh\n#AMLFS stage_in prefix=/{jobs.name}/\ntrue\n", "--time=1")  # it may be backfilled
    site.wait(allocations, 2 * seeing.LONG, "slurmctld has saved its burst buffers")
    mark = f"saved {jobs.name}"
    site.run(None, ["scontrol", "update", f"JobId={jobs.coming}", f"AdminComment={mark}"])
    site.wait(lambda: mark.encode() in (state / "job_state").read_bytes(), seeing.LONG, "slurmctld has saved its jobs")
