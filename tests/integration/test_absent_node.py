"""A node that does not come: one of a cloud, whose ResumeProgram starts nothing, so that Slurm gives it up."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sandbox.accounts import HOST_NAME
from sandbox.options import Options
from sandbox.site import Site
from tests.integration import buffers, seeing
from tests.integration.conftest import FAST
from tests.integration.test_left_behind import TELLS, configured

pytestmark = pytest.mark.integration

CLOUD = (
    f"NodeName=c[1-2] NodeHostname={HOST_NAME} NodeAddr=127.0.0.1 Port=[1-2] CPUs=64 State=CLOUD",
    "ResumeProgram=/bin/true",
    "SuspendProgram=/bin/true",
    "SuspendTime=86400",
    "SuspendExcNodes=n1",
    "ResumeTimeout=5",
)
COPY = """\
#!/bin/sh
#SBATCH --requeue
mkdir -p "$AMLFS_EXPORT_DIR"
cp "$AMLFS_IMPORT_DIR/in" "$AMLFS_EXPORT_DIR/$SLURMD_NODENAME"
"""


@pytest.fixture(scope="module")
def cloudy(_in_a_cell: None) -> Iterator[Site]:
    """A site with a node that is there, and two that never come."""
    with Site.temporary(Options(emulator=FAST, slurm_conf=CLOUD)) as made:
        yield made


@pytest.fixture
def filler(cloudy: Site) -> Iterator[int]:
    """A job that has the node that is there."""
    job = cloudy.submit("bob", "#!/bin/sh\nexec sleep 600\n", "--exclusive", "--nodelist=n1")
    seeing.wait_for_state(cloudy, job, "RUNNING")
    yield job
    cloudy.run("bob", ["scancel", str(job)])


def begins_on(site: Site, name: str, node: str) -> int:
    """Bring a job to where it is given a node that does not come."""
    seeing.put_blob(site, f"{name}/in", b"x")
    outputs = site.mount / "jobs" / name
    outputs.mkdir(mode=0o777)
    outputs.chmod(0o777)
    (outputs / "left").write_bytes(b"by an earlier job")
    moves = (f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/", f"--exclude={'c1' if node == 'c2' else 'c2'}")
    job = site.submit("alice", COPY, *moves)
    site.wait(lambda: site.job(job).get("NodeList") == node, seeing.LONG, f"job {job} is given {node}")
    return job


@pytest.mark.usefixtures("filler")
def test_a_job_whose_node_does_not_come_runs_elsewhere(cloudy: Site, name: str, filler: int) -> None:
    """Slurm sends it back, waits on for the node nevertheless, which is told, and starts the job after its own restart.

    Its data stays meanwhile, and nothing is exported for the run that never began.
    """
    job = begins_on(cloudy, name, "c1")
    cloudy.wait(
        lambda: cloudy.job(job)["Restarts"] == "1", seeing.LONG, "Slurm gives the node up, and the job goes back"
    )
    cloudy.run("bob", ["scancel", str(filler)])
    with configured(cloudy, TELLS):
        told = "the nodes of this job did not come"
        cloudy.wait(lambda: told in seeing.message(cloudy, job), seeing.LONG, "the daemon tells that Slurm waits on")
        assert cloudy.job(job)["Reason"] == "Cleaning"
        leases = json.loads(cloudy.run(None, [*cloudy.cli, "leases", "--json"]))
        assert [it["jobs"] for it in leases if name in it["prefix"]] == [1]
        cloudy.slurmctld.restart()
        seeing.hasten_until_closed(cloudy, job)

    assert cloudy.job(job)["JobState"] == "COMPLETED"
    assert seeing.blob(cloudy, f"jobs/{name}/n1") == b"x"
    assert len(seeing.imports_of(cloudy, f"/{name}/")) == 1
    assert len(seeing.archives_of(cloudy, f"/jobs/{name}/")) == 1
    words = seeing.words(cloudy, job)
    assert words.count("import started") == words.count("started") == words.count("export started") == 1
    assert words.index("started") < words.index("export started")


@pytest.mark.usefixtures("filler")
def test_a_job_that_is_cancelled_while_its_node_comes_leaves_nothing(cloudy: Site, name: str) -> None:
    """It has a node and has not begun: its outputs are not its own."""
    job = begins_on(cloudy, name, "c2")
    cloudy.run("alice", ["scancel", str(job)])
    seeing.wait_for_state(cloudy, job, "CANCELLED")
    buffers.wait_until_freed(cloudy, job)
    board = cloudy.state_dir / "board" / str(job)
    cloudy.wait(lambda: not board.exists() or seeing.has_word(cloudy, job, "closed"), seeing.LONG, "the job is closed")
    assert not seeing.archives_of(cloudy, f"/jobs/{name}/")


@pytest.fixture(scope="module")
def cloudy_holds(_in_a_cell: None) -> Iterator[Site]:
    """The same in hold mode."""
    with Site.temporary(Options(hold=True, emulator=FAST, slurm_conf=CLOUD)) as made:
        yield made


@pytest.mark.parametrize(("node", "ends"), [("c1", "CANCELLED"), ("c2", "NODE_FAIL")])
def test_a_run_that_never_began_leaves_nothing_in_hold_mode(
    cloudy_holds: Site, name: str, node: str, ends: str
) -> None:
    """Cancelled by its owner while its node comes, or given up by Slurm: what lies under its prefix is another's.

    The daemon is away meanwhile, so that all it has is the record and the note of the end.
    """
    site = cloudy_holds
    seeing.put_blob(site, f"{name}/in", b"x")
    outputs = site.mount / "jobs" / name
    outputs.mkdir(mode=0o777)
    (outputs / "left").write_bytes(b"by an earlier job")
    moves = (f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
    job = site.submit("alice", "#!/bin/sh\ntrue\n", *moves, f"--nodelist={node}", "--no-requeue")
    site.wait(lambda: site.job(job).get("NodeList") == node, seeing.LONG, f"job {job} is given {node}")
    site.daemon.stop()
    if ends == "CANCELLED":
        site.run("alice", ["scancel", str(job)])
    notes = site.state_dir / "inbox" / "new"
    site.wait(lambda: list(notes.glob(f"*.{job}-ended")), 2 * seeing.LONG, "EpilogSlurmctld has left its note")
    site.daemon.start()
    seeing.wait_until_closed(site, job)
    assert site.job(job)["JobState"] == ends
    assert not list(notes.iterdir())
    assert not seeing.archives_of(site, f"/jobs/{name}/")
    assert not seeing.has_blob(site, f"jobs/{name}/left")
    assert "export dropped" in seeing.words(site, job)
