"""What Slurm does when a prolog of ours says no. Each test has a site of its own, for it breaks it."""

from __future__ import annotations

import shutil

import pytest

from sandbox.options import Options
from sandbox.site import Site
from tests.integration import seeing
from tests.integration.conftest import MakeSite

pytestmark = pytest.mark.integration

NO_LUSTRE = Options(lustre=False, daemon=False)
TRUE = "#!/bin/sh\n#SBATCH --output=/dev/null\n"


def test_a_node_without_its_lustre_is_drained_and_the_job_goes_back(make_site: MakeSite) -> None:
    """The job is not held, the log says why in one line, and the node stays away from everybody's jobs.

    A job that only exports drains nothing.
    """
    site = make_site(Options())
    conf = site.slurm_conf.parent / "prolog" / "amlfs-hooks.conf"
    missing = f"{site.mount}-elsewhere"
    conf.write_text(conf.read_text(encoding="utf-8").replace(str(site.mount), missing), encoding="utf-8")
    other = site.submit("alice", TRUE, "--amlfs-export=/jobs/x/")
    seeing.wait_for_state(site, other, "COMPLETED")
    assert "DRAIN" not in node(site)
    seeing.put_blob(site, "x/in", b"x")
    job = site.submit("alice", TRUE, "--amlfs-import=/x/")
    site.wait(lambda: "DRAIN" in node(site), seeing.LONG, "the node is drained")
    site.wait(lambda: site.job(job)["Restarts"] == "1", seeing.LONG, "the job goes back")
    seeing.wait_for_state(site, job, "PENDING")
    assert site.job(job)["Priority"] != "0"
    said = (site.logs / "slurmd-n1.log").read_text(encoding="utf-8")
    assert f"{missing} is not mounted on n1; mount it, then resume the node" in said


def test_a_job_whose_stage_in_is_not_proved_is_sent_back(make_site: MakeSite) -> None:
    """PrologSlurmctld reads the board before anything is launched; other people's jobs pass."""
    site = make_site(NO_LUSTRE)
    job = site.submit("alice", TRUE, "--hold")
    other = site.submit("bob", TRUE)
    seeing.wait_for_state(site, other, "COMPLETED")
    ask = site.state_dir / "asks" / f"{job}.in"
    ask.parent.mkdir(parents=True, exist_ok=True)
    ask.write_text("1-2 3\n")
    for path in (ask.parent, ask):
        shutil.chown(path, "slurm", "slurm")
    site.run("alice", ["scontrol", "release", str(job)])
    site.wait(lambda: site.job(job)["Restarts"] == "1", seeing.LONG, "the job is sent back")
    seeing.wait_for_state(site, job, "PENDING")
    assert "DRAIN" not in node(site)


def node(site: Site) -> str:
    """Read the node's state."""
    return site.run(None, ["sinfo", "--noheader", "--nodes=n1", "--format=%T"]).upper()
