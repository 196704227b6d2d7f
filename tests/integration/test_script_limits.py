"""Slurm's time limit for the scripts around a job: one that hangs costs the job neither its data nor its outputs.

Slurm drains the node of a Prolog or Epilog that it has to end, whosever it is. One of slurmctld's drains none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from sandbox.options import Options
from sandbox.site import Site
from slurm_amlfs.emulator.faults import Fault, Name
from tests.integration import hooks, seeing
from tests.integration.conftest import FAST, MakeSite
from tests.integration.test_hook_limits import COPIES

pytestmark = pytest.mark.integration

LIMIT_SECONDS = 5
"""Ours take some hundredths of a second, and more where much else runs."""
STRICT = (
    f"PrologEpilogTimeout={LIMIT_SECONDS}",
    "SchedulerParameters=batch_sched_delay=1,nohold_on_prolog_fail,sched_interval=1",
)
"""Slurm looks at jobs that were sent back each second, and not each minute."""


@pytest.fixture(scope="module")
def strict(_in_a_cell: None) -> Iterator[Site]:
    """A site where no script around a job may take long."""
    with Site.temporary(Options(emulator=FAST, slurm_conf=STRICT)) as made:
        yield made


def submit(site: Site, name: str) -> int:
    """Submit a job that copies what it imports to what it exports."""
    seeing.put_blob(site, f"{name}/in", b"word\n")
    return site.submit("alice", COPIES, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")


def node(site: Site) -> str:
    """Read the node's state, and why it is drained."""
    return site.run(None, ["sinfo", "--noheader", "--nodes=n1", "--format=%T %E"]).strip()


def wait_until_drained(site: Site, why: str) -> None:
    """Wait until Slurm has drained the node for this reason, and resume it."""
    site.wait(lambda: "drain" in node(site), seeing.LONG, "the node is drained")
    assert why in node(site)


def resume(site: Site) -> None:
    """Give the node back to Slurm, as an admin would."""
    site.run(None, ["scontrol", "update", "NodeName=n1", "State=RESUME"])


def hasten(site: Site, job: int) -> dict[str, str]:
    """Let a job that was sent back begin at once, before Slurm's scheduler looks at it and gives that as its reason."""
    record = site.job(job)
    now = datetime.now().isoformat(timespec="seconds")  # noqa: DTZ005 - as Slurm writes it
    if record["JobState"] == "PENDING" and record["EligibleTime"][0].isdigit() and record["EligibleTime"] > now:
        site.run(None, ["scontrol", "update", f"JobId={job}", "StartTime=now"])
    return record


def wait_until_it_begins(site: Site, job: int, mark: Path) -> None:
    """Wait until a job has come to a script that hangs, without the minutes for which Slurm puts it off."""

    def begun() -> bool:
        hasten(site, job)
        return mark.exists()

    site.wait(begun, seeing.LONG, f"the script hangs for job {job}")


def check(site: Site, job: int, name: str) -> None:
    """Let the job end, and see that it has run on one import, and that its output has gone out once."""

    def ended() -> bool:
        return hasten(site, job)["JobState"] in {"COMPLETED", "FAILED"}

    site.wait(ended, seeing.LONG, f"job {job} runs")
    assert site.job(job)["JobState"] == "COMPLETED"
    # Each run that was sent back was closed too.
    site.wait(lambda: seeing.words(site, job)[-1] == "closed", seeing.LONG, f"job {job} is closed")
    assert seeing.blob(site, f"jobs/{name}/out") == b"word\n"
    assert len(seeing.imports_of(site, f"/{name}/")) == 1
    assert len(seeing.archives_of(site, f"/jobs/{name}/")) == 1


def test_a_job_whose_prologs_hang_runs_later(strict: Site, name: str) -> None:
    """Each sends it back, and it is not held."""
    with hooks.hanging_script(strict, "prolog/amlfs-slurmctld"):
        job = submit(strict, name)
        strict.wait(lambda: strict.job(job)["Restarts"] == "1", seeing.LONG, "PrologSlurmctld's limit sends it back")
        assert "drain" not in node(strict)
    with hooks.hanging_script(strict, "prolog/amlfs") as begun:
        wait_until_it_begins(strict, job, begun)
        wait_until_drained(strict, "Prolog error")
        strict.wait(lambda: strict.job(job)["Restarts"] == "2", seeing.LONG, "the Prolog's limit sends it back")
        assert strict.job(job)["Priority"] != "0"
    resume(strict)
    check(strict, job, name)


def test_a_job_whose_epilogs_hang_is_exported(strict: Site, name: str) -> None:
    """It ends as it ended."""
    with hooks.hanging_script(strict, "epilog/amlfs"), hooks.hanging_script(strict, "epilog/amlfs-slurmctld"):
        job = submit(strict, name)
        wait_until_drained(strict, "Epilog error")
        said = f"epilog_slurmctld JobId={job} timed out"
        strict.wait(lambda: said in strict.slurmctld.said(), seeing.LONG, "EpilogSlurmctld's limit ends it")
    check(strict, job, name)
    resume(strict)


def test_in_hold_mode_the_daemon_sees_the_end_itself(make_site: MakeSite, name: str) -> None:
    """There EpilogSlurmctld is who asks for the export; ended by its limit, it asks nobody."""
    site = make_site(Options(hold=True, emulator=FAST, slurm_conf=STRICT))
    with hooks.hanging_script(site, "epilog/amlfs-slurmctld"):
        job = submit(site, name)
        said = f"epilog_slurmctld JobId={job} timed out"
        site.wait(lambda: said in site.slurmctld.said(), seeing.LONG, "EpilogSlurmctld's limit ends it")
        assert "drain" not in node(site)
    check(site, job, name)


def test_they_end_by_themselves_where_lustre_hangs(strict: Site, name: str) -> None:
    """What they ask of it cannot even be killed. Neither the job's scripts nor another user's Epilog need the limit.

    The job runs meanwhile, with its data.
    """
    other = strict.submit("bob", "#!/bin/sh\nexec sleep 600\n", "--exclusive")
    seeing.wait_for_state(strict, other, "RUNNING")
    job = submit(strict, name)
    seeing.wait_for_burst_buffer(strict, job, "staged-in")
    said = len(slurmd_log(strict))
    strict.faults.set(Fault(Name.HANGING, blobs=("*.amlfs/receipts/*",)))
    try:
        strict.run("bob", ["scancel", str(other)])
        seeing.wait_for_state(strict, job, "COMPLETED")
        assert "drain" not in node(strict)
    finally:
        strict.faults.clear([Name.HANGING])
    assert "poll timeout" not in slurmd_log(strict)[said:]
    check(strict, job, name)


def slurmd_log(site: Site) -> str:
    """Read what slurmd has said."""
    return (site.logs / "slurmd-n1.log").read_text(encoding="utf-8", errors="replace")
