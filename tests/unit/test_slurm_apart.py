"""The port by pyslurm in a process apart: what it tells, and what comes of a process that dies, hangs or is silent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from pyslurm_bed import ARGV, PyslurmBed, bed

from sandbox.watch import until
from slurm_amlfs.adapters.slurm_apart import REST_SECONDS, SlurmApart
from slurm_amlfs.domain.view import JobName, JobView, LivingJob, QueuedJob
from slurm_amlfs.errors import TemporaryError
from tests.fakes.slurm import FakeSlurm

__all__ = ["bed"]

LONG = 60.0
LINES = "#AMLFS stage_in prefix=/a/\n#AMLFS stage_out prefix=/jobs/a/"
JOB = {"id": 7, "user_id": 0, "group_id": 0, "state": "PENDING", "state_reason": "Priority", "priority": 5,
       "burst_buffer": LINES, "burst_buffer_state": "staging-in", "submit_time": 100, "start_time": 200,
       "account": "lab"}  # fmt: skip
ASKED = datetime.fromtimestamp(100, UTC)
NUMBERS = list(range(1, 20))
"""More than are asked for one by one."""


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def commands() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slurm(bed: PyslurmBed, commands: FakeSlurm, clock: Clock) -> Iterator[SlurmApart]:
    assert bed.asked() == 0
    made = SlurmApart(ARGV, commands, LONG, now=clock)
    yield made
    made.close()


@pytest.mark.parametrize("asked", [[7], NUMBERS])
def test_a_job(slurm: SlurmApart, bed: PyslurmBed, asked: list[int]) -> None:
    """All of its record is told, asked for alone or among many."""
    bed.tell(jobs=[JOB, {**JOB, "id": 99}])
    view = JobView(7, 0, "PENDING", "Priority", "staging-in", account="lab", user="root", priority=5, submitted=ASKED)
    assert slurm.jobs(asked) == {7: view}


@pytest.mark.parametrize("asked", [[7], NUMBERS])
def test_how_a_job_ended_is_squeues_to_tell(
    slurm: SlurmApart, bed: PyslurmBed, commands: FakeSlurm, asked: list[int]
) -> None:
    """To pyslurm exit code 128 is 0."""
    bed.tell(jobs=[{**JOB, "state": "STAGE_OUT"}])
    commands.records[7] = JobView(7, 0, "STAGE_OUT", exit_code=128)
    assert slurm.jobs(asked) == {7: commands.records[7]}


def test_a_job_that_pyslurm_does_not_know_is_asked_of_the_commands(slurm: SlurmApart, commands: FakeSlurm) -> None:
    """They have the last word on what is gone."""
    assert slurm.jobs([7]) == {}
    commands.records[7] = JobView(7, 0, "PENDING")
    assert slurm.jobs([7]) == {7: commands.records[7]}


def test_an_arrays_records(slurm: SlurmApart, bed: PyslurmBed, commands: FakeSlurm) -> None:
    """Task 0 is a task, many in one record are none; another record is not taken for that which was asked for."""
    array = {**JOB, "array_id": 7}
    bed.tell(jobs=[{**array, "id": 8}, {**array, "id": 9, "array_task_id": 3}])
    assert {job_id: job.task for job_id, job in slurm.jobs([8, 9]).items()} == {8: JobName(7, 0), 9: JobName(7, 3)}
    commands.records[7] = JobView(7, 0, "PENDING", "x")
    assert slurm.jobs([7]) == commands.records
    bed.tell(jobs=[{**array, "array_tasks_waiting": "1-4,9"}, {**array, "id": 8, "array_tasks_waiting": "5"}])
    assert {job_id: job.task for job_id, job in slurm.jobs([7, 8]).items()} == {7: None, 8: JobName(7, 5)}
    assert {job.job_id: job.tasks for job in slurm.queue()} == {7: 5, 8: 1}


def test_the_queue(slurm: SlurmApart, bed: PyslurmBed) -> None:
    """It has what waits and has directives, and what waits for another's exports."""
    after = {"afterok": ["3_2(unfulfilled)"], "singleton": False, "satisfy": "all"}
    export = {"afterburstbuffer": ["7(unfulfilled)"]}
    plain = {**JOB, "burst_buffer": None}
    bed.tell(
        jobs=[{**JOB, "dependencies": after}, plain | {"id": 8}, plain | {"id": 9, "dependencies": export},
              {**JOB, "id": 10, "state": "RUNNING"}, plain | {"id": 11, "dependencies": after}]
    )  # fmt: skip
    start = datetime.fromtimestamp(200, UTC)
    lines = ("stage_in prefix=/a/", "stage_out prefix=/jobs/a/")
    common = {"user": "root", "account": "lab", "priority": 5, "expected_start": start}
    assert slurm.queue() == (
        QueuedJob(7, 0, lines, **common, after=frozenset({JobName(3, 2)})),  # type: ignore[arg-type]
        QueuedJob(9, 0, (), **common, after=frozenset({JobName(7)})),  # type: ignore[arg-type]
    )


def test_the_living(slurm: SlurmApart, bed: PyslurmBed) -> None:
    """They are those with directives that use their files."""
    over = {**JOB, "id": 8, "state": "COMPLETED"}
    bed.tell(jobs=[{**JOB, "state": "RUNNING"}, over, {**JOB, "id": 9, "state": "RUNNING", "burst_buffer": "#X"}])
    lines = ("stage_in prefix=/a/", "stage_out prefix=/jobs/a/")
    assert slurm.living() == (LivingJob(7, 0, 0, lines, "RUNNING", "staging-in"),)


def test_what_is_said_to_a_job(slurm: SlurmApart, bed: PyslurmBed, commands: FakeSlurm) -> None:
    """One line; what pyslurm is refused, and an empty comment, which it would not set, go to the commands."""
    bed.tell(jobs=[JOB])
    slurm.comment(7, 'two\nlines "so"')
    slurm.notify(7, "come in")
    assert bed.said() == {"7": ["two lines 'so'", "come in"]}
    commands.records = {7: JobView(7, 0, "PENDING"), 8: JobView(8, 0, "PENDING")}
    slurm.comment(7, "")
    slurm.comment(8, "x")
    assert commands.comments == {7: [""], 8: ["x"]}


def test_a_text_that_is_no_utf_8(slurm: SlurmApart, bed: PyslurmBed, commands: FakeSlurm) -> None:
    """It is more than pyslurm can read; the commands can."""
    text = (bed.folder / "pyslurm.py").read_text()
    assert text.count('world()["jobs"]') == 1
    (bed.folder / "pyslurm.py").write_text(text.replace('world()["jobs"]', r'[b"\xff".decode()]'))
    commands.queued[7] = QueuedJob(7, 0, ("stage_in prefix=/a/",))
    assert slurm.queue() == (commands.queued[7],)


def test_a_record_that_pyslurm_cannot_read(slurm: SlurmApart, bed: PyslurmBed, commands: FakeSlurm) -> None:
    """It hides no other: the commands are asked, and the process goes on."""
    commands.queued[8] = QueuedJob(8, 0, ("stage_in prefix=/a/",))
    bed.tell(jobs=[JOB, {**JOB, "id": 8, "burst_buffer": None, "dependencies": "odd"}])
    assert slurm.queue() == (commands.queued[8],)
    first = bed.asked()
    assert [job.job_id for job in slurm.living()] == [7]
    assert bed.asked() == first


def test_silence_of_slurmctld_is_an_error(slurm: SlurmApart, bed: PyslurmBed) -> None:
    """The commands would wait for it as long again. The next process reads slurm.conf anew."""
    bed.tell(jobs=[JOB])
    slurm.queue()
    first = bed.asked()
    bed.tell(mishap=1800)
    with pytest.raises(TemporaryError, match="Slurm does not answer: error 1800"):
        slurm.queue()
    bed.tell(mishap=None)
    assert [job.job_id for job in slurm.queue()] == [7]
    assert bed.asked() != first


def test_a_process_that_dies(slurm: SlurmApart, bed: PyslurmBed, commands: FakeSlurm, clock: Clock) -> None:
    """The commands answer, and for a minute after it."""
    commands.queued[8] = QueuedJob(8, 0, ("stage_in prefix=/a/",))
    bed.tell(jobs=[JOB], mishap="exit")
    assert [job.job_id for job in slurm.queue()] == [8]
    bed.tell(mishap=None)
    clock.seconds = REST_SECONDS - 1
    assert [job.job_id for job in slurm.queue()] == [8]
    clock.seconds = REST_SECONDS
    assert [job.job_id for job in slurm.queue()] == [7]


def test_a_process_that_hangs(bed: PyslurmBed, commands: FakeSlurm, clock: Clock) -> None:
    """It is killed, the commands answer for a minute, and then another is asked."""
    bed.tell(jobs=[JOB], mishap="hang")
    commands.queued[8] = QueuedJob(8, 0, ("stage_in prefix=/a/",))
    slurm = SlurmApart(ARGV, commands, 3.0, now=clock)

    def answers() -> bool:
        clock.seconds += REST_SECONDS
        with suppress(TemporaryError):  # a slow machine may not start a Python in three seconds
            return [job.job_id for job in slurm.queue()] == [7]
        return False

    try:
        with pytest.raises(TemporaryError, match="pyslurm did not answer in 3 s"):
            slurm.queue()
        assert [job.job_id for job in slurm.queue()] == [8]
        bed.tell(mishap=None)
        until(answers, LONG, "another process answers")
    finally:
        slurm.close()


def test_it_is_closed(slurm: SlurmApart, bed: PyslurmBed, commands: FakeSlurm) -> None:
    """No process is begun any more, and the commands go on."""
    slurm.close()
    slurm.close()
    commands.queued[8] = QueuedJob(8, 0, ("stage_in prefix=/a/",))
    assert [job.job_id for job in slurm.queue()] == [8]
    assert not bed.asked()
