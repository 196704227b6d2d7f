"""Jobs that their time limit ends, while they write: Slurm tells of them as of those that ended well, by 0:0."""

from __future__ import annotations

import pytest

from sandbox.options import Options
from tests.integration import seeing
from tests.integration.conftest import FAST, MakeSite

pytestmark = pytest.mark.integration

WRITES = """\
#!/bin/bash
#AMLFS stage_out prefix=/jobs/{on}/ on={on}
#SBATCH --output=/dev/null
echo part >"$AMLFS_EXPORT_DIR/out"
while true; do sleep 0.2; done
"""

ENDS = {"success": False, "failure": True, "always": True}
"""What is exported of a job that failed."""


@pytest.mark.parametrize("hold", [False, True], ids=["burst-buffer", "hold"])
def test_a_job_beyond_its_time_limit_has_failed(make_site: MakeSite, hold: bool) -> None:  # noqa: FBT001 - drawn
    """Its outputs go out where its directive asks for those of failed jobs, and only there."""
    site = make_site(Options(hold=hold, emulator=FAST))
    jobs = {}
    for on in ENDS:
        site.run("alice", ["mkdir", "-p", f"{site.mount}/jobs/{on}"])
        jobs[on] = site.submit("alice", WRITES.format(on=on))
    for on, job in jobs.items():
        out = site.mount / "jobs" / on / "out"
        site.wait(out.exists, 2 * seeing.LONG, f"job {job} writes")
        site.run(None, ["scontrol", "update", f"JobId={job}", "EndTime=now"])
    for job in jobs.values():
        seeing.wait_for_state(site, job, "TIMEOUT")
    for job in jobs.values():
        seeing.wait_until_closed(site, job)
    assert {on: seeing.has_blob(site, f"jobs/{on}/out") for on in ENDS} == ENDS
