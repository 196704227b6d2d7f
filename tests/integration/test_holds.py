"""Jobs that are held, by their user or by a failed stage-in, and what a release does."""

from __future__ import annotations

import pytest

from sandbox.site import Site
from tests.integration import seeing

pytestmark = pytest.mark.integration

READS = '#!/bin/sh\ngrep -qx word "$AMLFS_IMPORT_DIR"/in\n'


def test_a_job_submitted_held_asks_for_nothing_until_its_user_releases_it(site: Site, name: str) -> None:
    """Nothing is brought in for it meanwhile; then it is staged in and runs."""
    seeing.put_blob(site, f"{name}/in", b"word\n")
    job = site.submit("alice", READS, f"--amlfs-import=/{name}/", "--hold")
    other = site.submit("bob", "#!/bin/sh\ntrue\n")
    seeing.wait_for_state(site, other, "COMPLETED")
    assert not seeing.imports_of(site, f"/{name}/")
    assert not (site.state_dir / "board" / str(job)).exists()
    site.run("alice", ["scontrol", "release", str(job)])
    seeing.wait_until_closed(site, job)
    assert site.job(job)["JobState"] == "COMPLETED"


def test_a_job_held_while_it_is_staged_is_staged_in_and_starts_when_released(site: Site, name: str) -> None:
    """What its user began goes on; the hold costs no second import, and the files are there at the start."""
    seeing.put_blob(site, f"{name}/in", b"word\n")
    with seeing.held(site, "import"):
        job = site.submit("alice", READS, f"--amlfs-import=/{name}/")
        site.wait(lambda: seeing.phase(site, job) == "importing", seeing.LONG, "the import runs")
        site.run("alice", ["scontrol", "hold", str(job)])
    site.wait(lambda: seeing.phase(site, job) == "staged_in", seeing.LONG, "it is staged in")
    site.wait(lambda: site.job(job).get("BurstBufferState") == "staged-in", seeing.LONG, "Slurm knows")
    assert site.job(job)["JobState"] == "PENDING"
    assert site.job(job)["Reason"] == "JobHeldUser"
    site.run("alice", ["scontrol", "release", str(job)])
    seeing.wait_until_closed(site, job)
    assert site.job(job)["JobState"] == "COMPLETED"
    assert len(seeing.imports_of(site, f"/{name}/")) == 1


def test_a_failed_stage_in_is_no_hold_that_its_owner_can_release(site: Site, name: str) -> None:
    """Slurm says no, nothing is asked for again, and the message stays; what the owner can do is to submit it anew."""
    job = site.submit("alice", READS, f"--amlfs-import=/{name}/")
    what = "scancel this job and submit again"
    site.wait(lambda: what in site.job(job).get("SystemComment", ""), seeing.LONG, "the message, with the mend")
    site.wait(lambda: site.job(job)["Priority"] == "0", seeing.LONG, "the job is held")
    token = site.status(job)["token_in"]
    seeing.put_blob(site, f"{name}/in", b"word\n")
    with pytest.raises(RuntimeError, match="denied"):
        site.run("alice", ["scontrol", "release", str(job)])
    assert site.job(job)["Priority"] == "0"
    assert site.status(job)["token_in"] == token
    site.run("alice", ["scancel", str(job)])
    again = site.submit("alice", READS, f"--amlfs-import=/{name}/")
    seeing.wait_for_state(site, again, "COMPLETED")
