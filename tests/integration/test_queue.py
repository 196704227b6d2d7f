"""Slurm's queue as the daemon reads it: every way in which a job can wait with directives."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.options import Options
from sandbox.site import Site
from sandbox.slurm import release
from slurm_amlfs.adapters.slurm_cli import MANY, SlurmCommands
from slurm_amlfs.application.ports import Slurm
from slurm_amlfs.domain import directive
from slurm_amlfs.domain.view import JobName, QueuedJob
from tests.integration import seeing
from tests.integration.clients import slurm_client

pytestmark = pytest.mark.integration

ODD = "a\n#AMLFS stage_out prefix=/b/\n%j %% \"'\\|0|"
"""What no line may carry as it is; a file system's name, since no prefix has line ends."""


@pytest.fixture(scope="module")
def quiet(_in_a_cell: None) -> Iterator[Site]:
    """Slurm with our plugins, and nobody who answers them: what waits goes on waiting."""
    with Site.temporary(Options(lustre=False, daemon=False)) as made:
        yield made


@pytest.fixture(scope="module")
def slurm(quiet: Site) -> Iterator[Slurm]:
    """Make the port."""
    with slurm_client(quiet) as made:
        yield made


@pytest.fixture
def queue(quiet: Site, slurm: Slurm) -> Iterator[Callable[[], dict[int, QueuedJob]]]:
    """Give what reads the queue; what is left in it is cancelled."""
    yield lambda: {job.job_id: job for job in slurm.queue()}
    quiet.run(None, ["scancel", "--user=alice", "--state=PENDING"])
    quiet.run(None, ["scancel", "--user=bob", "--state=PENDING"])
    quiet.wait(lambda: not slurm.queue(), seeing.LONG, "an empty queue")


Queue = Callable[[], dict[int, QueuedJob]]


def script(*lines: str) -> str:
    """Write a job script with these directives."""
    return "#!/bin/sh\n" + "".join(f"#AMLFS {line}\n" for line in lines) + "true\n"


def test_what_a_hook_sends_is_what_the_queue_shows(site: Site, name: str) -> None:
    """The daemon hears the same lines from slurm_bb_setup as it reads in the queue."""
    text = (
        f"#!/bin/sh\n#AMLFS  stage_in \tprefix={directive.encode(f'/{name}/100 %/')} \\\n#AMLFS    prefix=/{name}/x\n"
    )
    with seeing.held(site, "import"):
        seeing.put_blob(site, f"{name}/x", b"x")
        job = site.submit("alice", text + "#a note\n\n#AMLFS stage_out prefix=/jobs/ on=always\ntrue\n")
        site.wait(lambda: seeing.has_word(site, job, "submitted"), seeing.LONG, "the daemon knows it")
        [heard] = [it["detail"] for it in site.status(job)["timeline"] if it["word"] == "submitted"]
        with slurm_client(site) as slurm:
            [seen] = [it for it in slurm.queue() if it.job_id == job]
        site.run("alice", ["scancel", str(job)])
    assert "; ".join(seen.directives) == heard
    assert [directive.parse(line).prefixes for line in seen.directives] == [
        (f"/{name}/100 %/", f"/{name}/x"),
        ("/jobs/",),
    ]


def test_texts_that_look_like_more(quiet: Site, queue: Queue) -> None:
    """Line ends, percent signs, quotes and bars in a value come through, and are no line or job of their own."""
    line = f"stage_in prefix=/a/ fs={directive.encode(ODD)}"
    job = quiet.submit("alice", script(line), "--hold", f"--job-name={ODD}", f"--comment={ODD}")
    assert set(queue()) == {job}
    assert queue()[job].directives == (line,)
    assert directive.parse(line).fs == ODD


def test_whose_they_are(quiet: Site, queue: Queue) -> None:
    """Everybody's jobs are there, each its owner's; those without directives are not."""
    mine = quiet.submit("alice", script("stage_in prefix=/a/"), "--hold")
    yours = quiet.submit("bob", script("stage_in prefix=/b/"), "--hold")
    quiet.submit("bob", script(), "--hold")
    assert {job.job_id: (job.user, job.uid) for job in queue().values()} == {
        mine: ("alice", 61001),
        yours: ("bob", 61002),
    }


def test_priority_and_start(quiet: Site, queue: Queue) -> None:
    """A job that may begin tomorrow says so in UTC and has a priority; a held one has neither."""
    before = datetime.now(UTC).replace(microsecond=0)
    job = quiet.submit("alice", script("stage_in prefix=/a/"), "--begin=now+1day")
    after = datetime.now(UTC)
    start = queue()[job].expected_start
    assert start is not None
    assert before <= start - timedelta(days=1) <= after
    assert (queue()[job].held, queue()[job].priority > 0) == (False, True)
    quiet.run("alice", ["scontrol", "hold", str(job)])
    assert (queue()[job].held, queue()[job].priority) == (True, 0)


def test_an_array_that_is_being_staged(quiet: Site, slurm: Slurm, queue: Queue) -> None:
    """Tasks that Slurm has begun to stage have ids of their own; together they are still the array."""
    array = quiet.submit("alice", script("stage_in prefix=/a/"), "--array=0-998:2%50")
    quiet.wait(lambda: len(queue()) > 5, seeing.LONG, "tasks of their own")
    jobs = queue()
    # Where squeue prints each task by itself, it leaves out the last of those with a step (bitstring.c: bitfmt2int).
    prints_each = release(quiet.options.slurm_prefix) >= (23, 2) and isinstance(slurm, SlurmCommands)
    lost = 1 if prints_each else 0
    assert jobs[array].tasks >= 400 - lost
    assert sum(job.tasks for job in jobs.values()) == 500 - lost
    assert {job.directives for job in jobs.values()} == {("stage_in prefix=/a/",)}


def test_tasks_among_so_many_ids_that_all_jobs_are_read(quiet: Site, slurm: Slurm, queue: Queue) -> None:
    """A task that waits has a record of its own there too, and is not taken for one that Slurm no longer knows."""
    array = quiet.submit("alice", script("stage_in prefix=/a/"), "--array=0-199")
    quiet.wait(lambda: len(queue()) > 5, seeing.LONG, "tasks of their own")
    tasks = set(queue()) - {array}
    shown = slurm.jobs([*tasks, *range(10**6, 10**6 + MANY)])
    assert set(shown) == tasks
    assert all(view.task and view.task.job_id == array for view in shown.values())


def test_an_array_with_holes(quiet: Site, queue: Queue) -> None:
    """Its tasks take more than the 64 characters that squeue shows by itself."""
    tasks = [number for number in range(200) if number % 7 not in {1, 4}]
    quiet.submit("alice", script("stage_in prefix=/a/"), "--hold", f"--array={','.join(map(str, tasks))}")
    assert sum(job.tasks for job in queue().values()) == len(tasks)


def test_who_waits_for_a_task(quiet: Site, slurm: Slurm, queue: Queue) -> None:
    """A task that has its own job id is known by the name that others wait for it by, and so is the whole array."""
    quiet.run(None, ["scontrol", "update", "PartitionName=main", "State=DOWN"])  # nothing else happens to the tasks
    try:
        lines = script("stage_in prefix=/a/")
        array = quiet.submit("alice", lines, "--array=4-6", "--hold")
        waiting = {
            word: quiet.submit("alice", lines, f"--dependency={word}")
            for word in (f"afterok:{array}_5", f"afterok:{array}")
        }
        same = quiet.submit("alice", lines, "--array=5", f"--dependency=aftercorr:{array}")
        quiet.run("alice", ["scontrol", "update", f"JobId={array}_5", "Nice=1"])
        jobs = queue()
        shown = slurm.jobs(jobs)
    finally:
        quiet.run(None, ["scontrol", "update", "PartitionName=main", "State=UP"])
    named = {view.task: view.names for view in shown.values() if view.task and view.task.job_id == array}
    assert {task.task for task in named} <= {4, 5, 6}
    its = named[JobName(array, 5)]
    assert JobName(array, 4) not in its
    assert [jobs[job].after <= its for job in (*waiting.values(), same)] == [True] * 3
    assert [jobs[job].after for job in (*waiting.values(), same)] == [
        {JobName(array, 5)},
        {JobName(array)},
        {JobName(array, 5)},
    ]


def test_a_heterogeneous_job(quiet: Site, queue: Queue) -> None:
    """Each component has an id and lines of its own: those of its own script, which the hooks read."""
    text = script("stage_in prefix=/a/").replace("true\n", "") + "#SBATCH hetjob\n#AMLFS stage_in prefix=/b/\ntrue\n"
    first = quiet.submit("alice", text, "--hold")
    jobs = queue()
    assert set(jobs) == {first, first + 1}
    assert jobs[first + 1].directives == ("stage_in prefix=/b/",)
    # 22.05 leaves the second component's line in the first one's script; later releases take it out.
    its_script = quiet.run(None, ["scontrol", "write", "batch_script", str(first), "-"])
    lines = [line for line in its_script.splitlines() if line.startswith("#AMLFS ")]
    assert lines[0] == "#AMLFS stage_in prefix=/a/"
    assert jobs[first].directives == tuple(line.removeprefix("#AMLFS ") for line in lines)


@contextmanager
def allocating(site: Site, burst_buffer: Path) -> Iterator[None]:
    """Let alice wait for a held allocation."""
    path = f"{site.options.slurm_prefix}/bin:/usr/bin:/bin"
    argv = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "salloc", "--hold", f"--bbf={burst_buffer}"]
    salloc = subprocess.Popen(
        [*argv, "true"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=site.home("alice"),
        env={"SLURM_CONF": str(site.slurm_conf), "PATH": path, "LC_ALL": "C"},
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(salloc.pid, signal.SIGKILL)
        salloc.wait()


def test_an_allocation(quiet: Site, queue: Queue) -> None:
    """What salloc is given stays as the user wrote it; its lines are found as Slurm and the hooks find them."""
    path = quiet.home("alice") / "bb"
    path.write_text(
        "#AMLFS stage_in prefix=/a/ \\\n#AMLFS   prefix=/b/\n#note\n#AMLFS stage_out prefix=/c/\nx\n#AMLFS y\n"
    )
    with allocating(quiet, path):
        quiet.wait(queue, seeing.LONG, "the allocation in the queue")
        [job] = queue().values()
    assert job.directives == ("stage_in prefix=/a/ prefix=/b/", "stage_out prefix=/c/")
