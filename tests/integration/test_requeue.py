"""A job that Slurm runs again: by its owner, for a node that failed, for a job that goes first.

What the first run left is exported only for on=each-run, and the second run's stage-in costs no import.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.site import Site
from tests.integration import seeing

pytestmark = pytest.mark.integration

RUNS = """#!/bin/sh
mkdir -p "$AMLFS_EXPORT_DIR"
cp "$AMLFS_IMPORT_DIR/in" "$AMLFS_EXPORT_DIR/run-${{SLURM_RESTART_COUNT:-0}}"
while [ ! -e "{go}" ]; do sleep 0.2; done
"""


def by_owner(site: Site, job: int) -> None:
    """Have its owner requeue a job."""
    site.run("alice", ["scontrol", "requeue", str(job)])


def by_node(site: Site, job: int) -> None:
    """Let the job's node die, have Slurm told, and bring the node back."""
    slurmd = site.slurm.slurmds[0]
    slurmd.kill()
    site.run(None, ["scontrol", "update", "NodeName=n1", "State=DOWN", "Reason=test"])
    site.wait(lambda: site.job(job)["Restarts"] == "1", seeing.LONG, "the job goes back")
    slurmd.start()


def by_another(site: Site, job: int) -> None:
    """Have a job of another partition take the whole node."""
    other = site.submit("bob", "#!/bin/sh\ntrue\n", "--partition=first", "--exclusive")
    site.wait(lambda: site.job(job)["Restarts"] == "1", seeing.LONG, "the job goes back")
    seeing.wait_for_state(site, other, "COMPLETED")


@pytest.mark.parametrize(
    ("requeue", "on"),
    [(by_owner, "always"), (by_node, "always"), (by_another, "failure"), (by_another, "each-run")],
    ids=["owner", "node", "another", "each-run"],
)
def test_a_job_runs_again(site: Site, name: str, requeue: Callable[[Site, int], None], on: str) -> None:
    """Its data is there at once; what its first run left is in Blob before the second only if that was asked for."""
    seeing.put_blob(site, f"{name}/in", b"x")
    go, outputs = site.home("alice") / f"{name}.go", site.mount / "jobs" / name
    options = ("--requeue", f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/", f"--amlfs-export-on={on}")
    job = site.submit("alice", RUNS.format(go=go), *options)
    site.wait((outputs / "run-0").exists, seeing.LONG, "the first run writes")

    requeue(site, job)
    site.wait(lambda: not seeing.hasten(site, job) and (outputs / "run-1").exists(), 2 * seeing.LONG, "it runs again")

    words = seeing.words(site, job)
    assert words.count("staged in") == 2
    assert words.count("import started") == 1
    assert len(seeing.imports_of(site, f"/{name}/")) == 1
    assert ("exported" if on == "each-run" else "not exported") in words
    assert seeing.has_blob(site, f"jobs/{name}/run-0") is (on == "each-run")
    go.touch()
    site.wait(lambda: seeing.words(site, job)[-1] == "closed", seeing.LONG, f"job {job} is closed for good")
    assert seeing.has_blob(site, f"jobs/{name}/run-1") is (on != "failure")
