"""What Slurm's releases do most differently, in little; `make test` runs this on the newest one too.

The whole job, tasks of an array, which from 24.11 on have no script of their own, and cancels while Slurm polls.
"""

from __future__ import annotations

import pytest

from sandbox.site import Site
from tests.integration import seeing

pytestmark = pytest.mark.integration

SCRIPT = """#!/bin/sh
#SBATCH --amlfs-import=/{name}/
#SBATCH --amlfs-export=/jobs/{name}/
mkdir -p "$AMLFS_EXPORT_DIR"
cat "$AMLFS_IMPORT_DIR/in" > "$AMLFS_EXPORT_DIR/out$SLURM_ARRAY_TASK_ID"
"""


def test_a_job_on_this_release(site: Site, name: str) -> None:
    """Options, directives, every hook, and both ways of the data."""
    seeing.put_blob(site, f"{name}/in", b"here")
    job = site.submit("alice", SCRIPT.format(name=name))
    seeing.wait_until_closed(site, job)
    assert site.job(job)["JobState"] == "COMPLETED"
    assert seeing.blob(site, f"jobs/{name}/out") == b"here"


def test_an_array_on_this_release(site: Site, name: str) -> None:
    """Each task is staged in and out, by one import."""
    seeing.put_blob(site, f"{name}/in", b"here")
    with seeing.held(site, "import"):
        array = site.submit("alice", SCRIPT.format(name=name), "--array=1-5")
        site.wait(lambda: len(tasks(site, array)) == 5, seeing.LONG, "tasks with records of their own")
        jobs = tasks(site, array)
        site.wait(lambda: all(seeing.has_word(site, job, "submitted") for job in jobs), seeing.LONG, "five asks")
    for job in jobs:
        seeing.wait_until_closed(site, job)
    outputs = [seeing.blob(site, f"jobs/{name}/out{number}") for number in range(1, 6)]
    assert outputs == [b"here"] * 5
    assert len(seeing.imports_of(site, f"/{name}/")) == 1


def test_a_cancel_while_data_come_in_on_this_release(site: Site, name: str) -> None:
    """The job ends, its record can be purged, and nothing is left to do for it."""
    seeing.put_blob(site, f"{name}/in", b"here")
    with seeing.held(site, "import"):
        job = site.submit("alice", SCRIPT.format(name=name))
        seeing.wait_for_reason(site, job, "BurstBufferStageIn")
        site.wait(lambda: seeing.has_word(site, job, "submitted"), seeing.LONG, "the daemon knows the job")
        site.run("alice", ["scancel", str(job)])
        seeing.wait_for_state(site, job, "CANCELLED")
    seeing.wait_until_closed(site, job)


def test_a_cancel_in_a_hurry_while_outputs_go_out_on_this_release(site: Site, name: str) -> None:
    """Slurm gives the job up at once; its outputs stay where they are."""
    seeing.put_blob(site, f"{name}/in", b"here")
    with seeing.held(site, "archive"):
        job = site.submit("alice", SCRIPT.format(name=name))
        seeing.wait_for_state(site, job, "STAGE_OUT")
        site.wait(lambda: seeing.has_word(site, job, "export started"), seeing.LONG, "the export")
        site.run("alice", ["scancel", "--hurry", str(job)])
        seeing.wait_for_state(site, job, "COMPLETED", "CANCELLED")
    seeing.wait_until_closed(site, job)
    assert site.exists(f"{site.mount}/jobs/{name}/out")


def tasks(site: Site, array: int) -> list[int]:
    """List the ids of an array's tasks that have records of their own."""
    shown = site.run(None, ["squeue", "--noheader", "--array", f"--jobs={array}", "--format=%A"]).split()
    return [int(job) for job in shown if shown.count(job) == 1]
