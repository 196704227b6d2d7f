"""What slurmctld loses when it is killed: who stages what, or all of its jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.options import Options
from sandbox.site import Site
from slurm_amlfs.domain.view import HsmState
from tests.integration import seeing
from tests.integration.conftest import FAST
from tests.integration.four_jobs import FourJobs

pytestmark = pytest.mark.integration

TELLS = "\n[watchdog]\nafter_seconds = 8.0\n"
MENDS = f"{TELLS}mend = true\n"


@pytest.fixture(scope="module")
def brief() -> Iterator[Site]:
    """A site whose slurmctld forgets jobs soon after their end."""
    with Site.temporary(Options(emulator=FAST, slurm_conf=("MinJobAge=2",))) as made:
        yield made


@contextmanager
def configured(site: Site, more: str) -> Iterator[None]:
    """Have the daemon run with more in its configuration meanwhile."""
    text = site.config.read_text(encoding="utf-8")
    site.config.write_text(text + more, encoding="utf-8")
    site.daemon.restart()
    try:
        yield
    finally:
        site.config.write_text(text, encoding="utf-8")
        site.daemon.restart()


def lose(site: Site, *names: str) -> None:
    """Kill slurmctld, and start it without these files of its state."""
    site.slurmctld.kill()
    for name in names:
        for path in slurmctld_state(site).glob(f"{name}*"):
            path.unlink()
    site.slurmctld.start()


def slurmctld_state(site: Site) -> Path:
    """Name slurmctld's StateSaveLocation."""
    return site.slurm_conf.parent.parent / "slurmctld"


def save(site: Site, job: int, mark: str) -> None:
    """Have slurmctld write down its jobs as they are."""
    site.run(None, ["scontrol", "update", f"JobId={job}", f"AdminComment={mark}"])
    path = slurmctld_state(site) / "job_state"
    site.wait(lambda: path.exists() and mark.encode() in path.read_bytes(), seeing.LONG, "slurmctld has saved its jobs")


def test_a_job_that_slurm_left_in_its_stage_in(brief: Site, name: str) -> None:
    """It is killed before it has saved its burst buffers, which it does every 30 s: nobody stages the job any more.

    That is told with the commands that help, and they do help: the daemon runs them where it may.
    """
    jobs = FourJobs(brief, name)
    with configured(brief, TELLS):
        with jobs.paused("import"):
            save(brief, jobs.coming, f"saved {name}")
            lose(brief, "burst_buffer_lua_state")
            assert not seeing.has_word(brief, jobs.coming, "left behind")
        brief.wait(lambda: seeing.has_word(brief, jobs.coming, "left behind"), seeing.LONG, "the daemon tells")
        record = brief.job(jobs.coming)
        assert (record["JobState"], record["BurstBufferState"]) == ("PENDING", "staging-in")
        commands = (f"scontrol update JobId={jobs.coming} Requeue=1", f"scancel {jobs.coming}")
        told = f"run: {' && '.join(commands)} && scontrol requeue {jobs.coming}"
        assert told in brief.status(jobs.coming)["message"]
        brief.wait(lambda: told in brief.job(jobs.coming)["AdminComment"], seeing.LONG, "AdminComment tells")
    with configured(brief, MENDS):
        jobs.end()
    jobs.check()
    words = seeing.words(brief, jobs.coming)
    assert words.index("left behind") < words.index("mended") < words.index("ended")
    assert words.count("import started") == 1


def test_jobs_that_slurm_has_lost(brief: Site, name: str) -> None:
    """Its state is gone: what waited is dropped, what has run is exported, nothing is left, and ids begin anew."""
    jobs = FourJobs(brief, name)
    outputs = brief.mount / "jobs" / f"{name}-running"
    outputs.mkdir(mode=0o777)
    (outputs / "part").write_bytes(b"half")
    with jobs.paused("import"):
        lose(brief, "job_state", "burst_buffer_lua_state")
        brief.wait(lambda: import_ended(brief, name), seeing.LONG, "the import that nobody needs is cancelled")
    for job in jobs.all:
        brief.wait(lambda job=job: closed(brief, job), seeing.LONG, f"job {job} is closed")
    assert seeing.blob(brief, f"jobs/{name}-leaving/out") == b"x"
    assert seeing.blob(brief, f"jobs/{name}-running/part") == b"half"
    paths = [f"jobs/{name}-leaving/out", f"jobs/{name}-running/part"]
    assert all(state & HsmState.RELEASED for state in seeing.hsm_states(brief, paths).values())
    brief.wait(
        lambda: not notes(brief), seeing.LONG, "no note of a hook without a board, no request and no receipt is left"
    )
    brief.wait(
        lambda: jobs_on(brief, name) == [0], seeing.LONG, "only what was brought in is leased, and nobody needs it"
    )

    second = brief.submit("alice", "#!/bin/sh\ntrue\n", f"--amlfs-import=/{name}/")
    brief.wait(lambda: closed(brief, second), seeing.LONG, "a new job runs")
    assert len(seeing.imports_of(brief, f"/{name}/")) == 1


def jobs_on(site: Site, name: str) -> list[int]:
    """Say how many jobs need each lease of a test's."""
    leases = json.loads(site.run(None, [*site.cli, "leases", "--json"]))
    return [it["jobs"] for it in leases if name in it["prefix"]]


def import_ended(site: Site, name: str) -> bool:
    """Say whether the one import of the job that staged in is over."""
    (action,) = seeing.imports_of(site, f"/{name}-late/")
    return action.ended is not None


def notes(site: Site) -> list[Path]:
    """List what hooks and daemon keep for single jobs: notes of asks as long as the board that answers them."""
    boards = {path.name for path in (site.state_dir / "board").iterdir()}
    asks = [path for path in (site.state_dir / "asks").iterdir() if path.stem not in boards]
    folders = (site.state_dir / "inbox/new", site.mount / ".amlfs/receipts")
    return asks + [path for folder in folders for path in folder.iterdir()]


def closed(site: Site, job: int) -> bool:
    """Say whether everything for a job is done."""
    return not (site.state_dir / "board" / str(job)).exists() or seeing.has_word(site, job, "closed")
