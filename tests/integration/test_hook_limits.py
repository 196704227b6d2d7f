"""Slurm's time limits for hooks: one that hangs is ended, and costs its job neither its data nor its outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from sandbox.site import Site
from tests.integration import buffers, hooks, seeing

pytestmark = pytest.mark.integration

READS = '#!/bin/sh\nset -eu\ngrep -qx word "$AMLFS_IMPORT_DIR"/in\n'
COPIES = READS + 'mkdir -p "$AMLFS_EXPORT_DIR"\ncp "$AMLFS_IMPORT_DIR"/in "$AMLFS_EXPORT_DIR"/out\n'


@contextmanager
def limited(site: Site, limit: str) -> Iterator[None]:
    """Let one of Slurm's limits be eight seconds: other hooks under it take a tenth of a second, and more when busy."""
    conf = (site.slurm_conf.parent / "burst_buffer.conf").read_text(encoding="utf-8")
    [line] = re.findall(rf"^{limit}=[0-9]+$", conf, re.MULTILINE)
    try:
        with hooks.changed(site, "burst_buffer.conf", f"\n{line}\n", f"\n{limit}=8\n"):
            site.run(None, ["scontrol", "reconfigure"])
            yield
    finally:
        site.run(None, ["scontrol", "reconfigure"])


@contextmanager
def hanging(site: Site, hook: str, limit: str) -> Iterator[None]:
    """Let a hook hang until its limit ends it."""
    with limited(site, limit), hooks.hanging(site, hook):
        yield


def wait_until_held(site: Site, job: int) -> None:
    """Wait until Slurm holds a job whose stage-in has failed for it."""
    site.wait(lambda: site.job(job)["Priority"] == "0", seeing.LONG, f"job {job} is held")


def test_a_stage_in_beyond_its_limit_goes_on(site: Site, name: str) -> None:
    """Slurm holds the job; the import goes on, the job's record says what to do, and a release costs no second one."""
    seeing.put_blob(site, f"{name}/in", b"word\n")
    with seeing.held(site, "import"):
        with limited(site, "StageInTimeout"):
            job = site.submit("alice", READS, f"--amlfs-import=/{name}/")
            wait_until_held(site, job)
        what = "it goes on; if the job is held, an admin can release it"
        site.wait(lambda: what in site.job(job).get("AdminComment", ""), seeing.LONG, "the job's record says so")
    seeing.wait_for_phase(site, job, "staged_in")
    site.run(None, ["scontrol", "release", str(job)])
    seeing.wait_until_closed(site, job)
    assert site.job(job)["JobState"] == "COMPLETED"
    assert len(seeing.imports_of(site, f"/{name}/")) == 1


def test_a_job_whose_setup_hangs_is_staged_when_it_is_released(site: Site, name: str) -> None:
    """The daemon has never heard of it; nothing is left of the first try."""
    seeing.put_blob(site, f"{name}/in", b"word\n")
    with hanging(site, "setup", "OtherTimeout"):
        job = site.submit("alice", READS, f"--amlfs-import=/{name}/")
        wait_until_held(site, job)
    site.run(None, ["scontrol", "release", str(job)])
    seeing.wait_until_closed(site, job)
    assert site.job(job)["JobState"] == "COMPLETED"


@pytest.mark.parametrize(("hook", "limit"), [("post_run", "OtherTimeout"), ("data_out", "StageOutTimeout")])
def test_outputs_are_brought_out_though_slurm_gives_up_to_ask(site: Site, name: str, hook: str, limit: str) -> None:
    """The job ends as it ended, and its export is made all the same."""
    seeing.put_blob(site, f"{name}/in", b"word\n")
    with hanging(site, hook, limit):
        job = site.submit("alice", COPIES, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
        site.wait(lambda: hook in site.job(job).get("SystemComment", ""), seeing.LONG, "the hook has been ended")
    seeing.wait_until_closed(site, job)
    assert site.job(job)["JobState"] == "COMPLETED"
    assert seeing.blob(site, f"jobs/{name}/out") == b"word\n"


def test_a_pre_run_and_a_teardown_beyond_their_limit(site: Site, name: str) -> None:
    """A job whose pre_run hangs goes back and runs from its lease; one whose teardown does has been exported."""
    seeing.put_blob(site, f"{name}/in", b"word\n")
    moves = [(f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}-{it}/") for it in ("late", "left")]
    with limited(site, "OtherTimeout"):
        with hooks.hanging(site, "job_teardown") as begun:
            left = site.submit("alice", COPIES, *moves[1])
            site.wait(begun.exists, seeing.LONG, f"the teardown of job {left} runs")
            assert seeing.blob(site, f"jobs/{name}-left/out") == b"word\n"
        with hooks.hanging(site, "pre_run"):
            late = site.submit("alice", COPIES, *moves[0])
            site.wait(lambda: "pre_run" in site.job(late).get("SystemComment", ""), seeing.LONG, "it has been ended")
            seeing.wait_for_state(site, late, "PENDING")
        for job in (left, late):
            seeing.hasten_until_closed(site, job)
            seeing.wait_for_state(site, job, "COMPLETED")
            buffers.wait_until_freed(site, job)
    assert seeing.blob(site, f"jobs/{name}-late/out") == b"word\n"
    assert len(seeing.imports_of(site, f"/{name}/")) == 1
    assert [len(seeing.archives_of(site, f"/jobs/{name}-{it}/")) for it in ("late", "left")] == [1, 1]


@pytest.mark.slurm(since=(24, 5), reason="before that data_out waits for it")
def test_an_export_beyond_its_limit_goes_on(site: Site, name: str) -> None:
    """Slurm asks test_data_out no longer; the job ends as it ended, and its outputs go out."""
    seeing.put_blob(site, f"{name}/in", b"word\n")
    with seeing.held(site, "archive"), limited(site, "StageOutTimeout"):
        job = site.submit("alice", COPIES, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
        site.wait(lambda: "data_out" in site.job(job).get("SystemComment", ""), seeing.LONG, "Slurm asks no longer")
    seeing.wait_until_closed(site, job)
    assert site.job(job)["JobState"] == "COMPLETED"
    assert seeing.blob(site, f"jobs/{name}/out") == b"word\n"


def test_many_who_ask_for_the_status_hold_nobody_up(site: Site, name: str) -> None:
    """All burst buffer calls of slurmctld wait while one is answered, so each reads one small file and no more."""
    seeing.put_blob(site, f"{name}/in", b"word\n")
    with ThreadPoolExecutor(4) as pool:
        job = site.submit("alice", READS, f"--amlfs-import=/{name}/")
        argv = ["scontrol", "show", "bbstat", str(job)]
        asked = [pool.submit(site.run, user, argv) for user in ("alice", "bob") for _ in range(20)]
        seeing.wait_for_state(site, job, "COMPLETED")
        told = {it.result().split()[0] for it in asked}
    assert told <= {f"JobId={job}", "amlfs:"}
