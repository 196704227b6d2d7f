"""Hold mode on a Slurm without burst_buffer/lua: jobs wait in Slurm's hold, and their ends are told by EpilogSlurmctld.

One site for all tests, which use names of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.options import Options
from sandbox.site import Site
from tests.integration import seeing
from tests.integration.conftest import FAST

pytestmark = pytest.mark.integration

JOBS, TASKS = 200, 100
MANY = 6 * seeing.LONG

READS = """\
#!/bin/bash
#AMLFS stage_in prefix=/{name}/
#AMLFS stage_out prefix=/jobs/{name}/ {words}
#SBATCH --output=/dev/null
cat "$AMLFS_IMPORT_DIR/in" >"$AMLFS_EXPORT_DIR/out.$SLURM_JOB_ID" || exit 3
{more}
"""

ONLY_READS = """\
#!/bin/bash
#AMLFS stage_in prefix=/{name}/
#SBATCH --output=/dev/null
test -e "$AMLFS_IMPORT_DIR/in" || exit 3
"""


@pytest.fixture(scope="module")
def site(_in_a_cell: None) -> Iterator[Site]:
    """Run one site in hold mode."""
    with Site.temporary(Options(hold=True, emulator=FAST)) as made:
        yield made


@pytest.fixture
def place(site: Site, name: str) -> str:
    """Upload an input; make the place for outputs, as the job's user would."""
    seeing.put_blob(site, f"{name}/in", b"data")
    site.run("alice", ["mkdir", "-p", f"{site.mount}/jobs/{name}"])
    return name


def submit(site: Site, name: str, *options: str, words: str = "", more: str = "") -> int:
    """Submit a job that brings /NAME/ in and takes /jobs/NAME/ out."""
    return site.submit("alice", READS.format(name=name, words=words, more=more), *options)


def wait_until_shut(site: Site, job: int) -> None:
    """Wait until only operators can release a job."""
    seeing.wait_for_reason(site, job, "JobHeldAdmin")


def start_now(site: Site, job: int) -> None:
    """Take Slurm's pause after a requeue away."""
    site.run(None, ["scontrol", "update", f"JobId={job}", "StartTime=now"])


def test_a_job_waits_held_and_is_let_go(site: Site, place: str) -> None:
    """Its owner cannot release it; its record says what it waits for; its outputs go out when it has ended."""
    with seeing.held(site, "import"):
        job = submit(site, place)
        wait_until_shut(site, job)
        with pytest.raises(RuntimeError, match=r"(?i)access/permission denied"):
            site.run("alice", ["scontrol", "release", str(job)])
        site.wait(lambda: "importing" in site.job(job).get("AdminComment", ""), seeing.LONG, "its record says why")
        assert site.job(job)["JobState"] == "PENDING"
    record = seeing.wait_for_state(site, job, "COMPLETED", "FAILED")
    assert (record["JobState"], record["Restarts"]) == ("COMPLETED", "0")
    seeing.wait_until_closed(site, job)
    assert seeing.blob(site, f"jobs/{place}/out.{job}") == b"data"
    assert {"staged in", "let go", "exported"} <= set(seeing.words(site, job))
    assert not site.exists(f"{site.mount}/.amlfs/receipts/{job}")


def test_who_got_past_the_gate_is_sent_back(site: Site, place: str) -> None:
    """Submitted and released while the daemon is down, a job does not start; later it is staged in.

    Other people's jobs start as ever.
    """
    site.daemon.stop()
    job = submit(site, place)
    assert site.job(job)["Reason"] == "JobHeldUser"
    site.run("alice", ["scontrol", "release", str(job)])
    site.wait(lambda: site.job(job)["Restarts"] == "1", seeing.LONG, "PrologSlurmctld sends it back")
    other = site.submit("bob", "#!/bin/sh\n#SBATCH --output=/dev/null\n")
    seeing.wait_for_state(site, other, "COMPLETED")
    site.daemon.start()
    site.wait(lambda: seeing.has_word(site, job, "let go"), seeing.LONG, "it is held, staged in and let go")
    seeing.wait_for_state(site, job, "PENDING")
    start_now(site, job)
    seeing.wait_for_state(site, job, "COMPLETED")
    seeing.wait_until_closed(site, job)
    assert seeing.blob(site, f"jobs/{place}/out.{job}") == b"data"


def test_its_owners_hold_survives(site: Site, place: str) -> None:
    """Submitted with --hold, a job is staged in and then his to release."""
    job = submit(site, place, "--hold")
    site.wait(lambda: seeing.has_word(site, job, "left to its owner's hold"), seeing.LONG, "it is handed over")
    seeing.wait_for_reason(site, job, "JobHeldUser")
    site.run("alice", ["scontrol", "release", str(job)])
    seeing.wait_for_state(site, job, "COMPLETED")
    seeing.wait_until_closed(site, job)


def test_a_requeued_job_is_staged_from_its_lease(site: Site, place: str) -> None:
    """What a run before left is not exported as its own; its inputs cost no second import."""
    wait_for = f"until [ -e {site.mount}/jobs/{place}/go ]; do sleep 0.2; done"
    job = submit(site, place, more=wait_for)
    seeing.wait_for_state(site, job, "RUNNING")
    site.run("alice", ["scontrol", "requeue", str(job)])
    site.wait(lambda: site.job(job)["Restarts"] == "1", seeing.LONG, "it is requeued")
    site.wait(lambda: seeing.words(site, job).count("let go") == 2, seeing.LONG, "it is let go again")
    assert len(seeing.imports_of(site, place)) == 1
    assert not seeing.has_blob(site, f"jobs/{place}/out.{job}")
    seeing.wait_for_state(site, job, "PENDING")
    start_now(site, job)
    seeing.wait_for_state(site, job, "RUNNING")
    site.run("alice", ["touch", f"{site.mount}/jobs/{place}/go"])
    seeing.wait_until_closed(site, job)
    assert seeing.has_blob(site, f"jobs/{place}/out.{job}")


def test_an_interactive_job_waits_for_its_data(site: Site, place: str) -> None:
    """Srun is held as well, and its task knows where its data is."""
    options = [f"--amlfs-import=/{place}/", f"--amlfs-export=/jobs/{place}/"]
    script = 'cat "$AMLFS_IMPORT_DIR/in"; echo " $AMLFS_EXPORT_DIR"'
    said = site.run("alice", ["srun", *options, "sh", "-c", script])
    assert said.splitlines()[-1] == f"data {site.mount}/jobs/{place}"


@pytest.mark.parametrize(("words", "more", "goes"), [
    ("on=success", "exit 1", False), ("on=failure", "exit 1", True), ("on=success", "", True),
])  # fmt: skip
def test_exports_go_by_how_the_job_ended(site: Site, place: str, words: str, more: str, goes: bool) -> None:  # noqa: FBT001 - drawn
    """As the directive says."""
    job = submit(site, place, words=words, more=more)
    seeing.wait_until_closed(site, job)
    assert seeing.has_blob(site, f"jobs/{place}/out.{job}") is goes


def test_a_cancelled_job_leaves_nothing(site: Site, place: str) -> None:
    """While it is held."""
    with seeing.held(site, "import"):
        job = submit(site, place)
        wait_until_shut(site, job)
        site.wait(lambda: seeing.phase(site, job) == "importing", seeing.LONG, "its import runs")
        site.run("alice", ["scancel", str(job)])
        seeing.wait_until_closed(site, job)
    assert {"import dropped", "export dropped"} <= set(seeing.words(site, job))
    assert not seeing.has_blob(site, f"jobs/{place}/out.{job}")


def test_daemon_and_controller_die(site: Site, place: str) -> None:
    """While a job is held, both are killed; it goes on where it was, and was imported once."""
    with seeing.held(site, "import"):
        job = submit(site, place)
        wait_until_shut(site, job)
        site.wait(lambda: seeing.phase(site, job) == "importing", seeing.LONG, "its import runs")
        site.daemon.kill()
        # What slurmctld was told in its last seconds is lost with it, a whole job too.
        site.run("alice", ["scontrol", "update", f"JobId={job}", f"Comment=mark-{place}"])
        saved = site.folder / "slurmctld" / "job_state"
        site.wait(lambda: f"mark-{place}".encode() in saved.read_bytes(), seeing.LONG, "slurmctld has saved its jobs")
        site.slurmctld.kill()
        site.slurmctld.start()
        site.daemon.start()
    seeing.wait_until_closed(site, job)
    assert site.job(job)["JobState"] == "COMPLETED"
    assert len(seeing.imports_of(site, place)) == 1


def test_a_daemon_without_memory_exports_what_has_ended(site: Site, place: str) -> None:
    """Its database is deleted while a job runs; the note of the job's end has its directives, from its board."""
    wait_for = f"until [ -e {site.mount}/jobs/{place}/go ]; do sleep 0.2; done"
    job = submit(site, place, more=wait_for)
    seeing.wait_for_state(site, job, "RUNNING")
    site.daemon.stop()
    for path in site.state_dir.glob("amlfs.db*"):
        path.unlink()
    site.run("alice", ["touch", f"{site.mount}/jobs/{place}/go"])
    seeing.wait_for_state(site, job, "COMPLETED")
    site.daemon.start()
    seeing.wait_until_closed(site, job)
    assert seeing.has_blob(site, f"jobs/{place}/out.{job}")


def test_many_jobs_and_an_array(site: Site, place: str) -> None:
    """200 jobs at once and an array of 100 tasks: one import serves all, each starts with its data."""
    with seeing.held(site, "import"), ThreadPoolExecutor(2) as pool:
        jobs = list(pool.map(lambda _: site.submit("alice", ONLY_READS.format(name=place)), range(JOBS)))
        array = submit(site, place, f"--array=1-{TASKS}")
        for job in (jobs[0], jobs[-1]):
            wait_until_shut(site, job)
    site.wait(lambda: ended(site, array, jobs) == JOBS + TASKS, MANY, "all have completed")
    assert len(seeing.imports_of(site, place)) == 1
    site.wait(lambda: outputs(site, place) == TASKS, MANY, "all outputs are in Blob")


def ended(site: Site, array: int, jobs: list[int]) -> int:
    """Count jobs and tasks that have ended well."""
    options = ["--noheader", "--array", "--states=all", "--format=%F %T"]
    lines = [line.split() for line in site.run(None, ["squeue", *options]).splitlines()]
    wanted = {str(it) for it in (array, *jobs)}
    return sum(job in wanted and state == "COMPLETED" for job, state in lines)


def outputs(site: Site, place: str) -> int:
    """Count what has been exported."""
    return sum(1 for _ in site.blobs.list_blob_names(name_starts_with=f"jobs/{place}/out."))
