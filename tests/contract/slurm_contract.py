"""What every Slurm port keeps, the fake and the real adapter on a real slurmctld alike.

A subclass gives the fixtures `slurm`, and `world`, which does what users do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from slurm_amlfs.application.ports import Slurm
from slurm_amlfs.domain import directive
from slurm_amlfs.domain.view import Hold, JobName, QueuedJob
from slurm_amlfs.errors import TemporaryError

NOBODYS_JOB = 2_000_000_000
NO_IDS = (4_000_000_000, 2**31, 0, -1)
"""What no job can have; a request may name it all the same."""
ODD = '/it\'s 100 % new, so "to say"/'
"""Characters that a directive cannot carry as they are."""
LINES = (f"stage_in prefix={directive.encode(ODD)} prefix=/data/ max_errors=0", "stage_out prefix=/jobs/ on=always")


class SlurmWorld(Protocol):
    """What users do."""

    def fail(self, exit_code: int) -> int:
        """Submit a job that ends with this code; return its id."""

    def hold(self, *, requeue: bool = True) -> int:
        """Submit a job that its user holds, and that Slurm may requeue or not; return its id."""

    def may_requeue(self, job_id: int) -> bool:
        """Say whether Slurm may requeue a job."""

    def hold_with(self, directives: Sequence[str], tasks: int = 1) -> int:
        """Submit a held job with these directives, an array of several tasks; return its id."""

    def wait_for(self, job_id: int, word: str, directives: Sequence[str] = ()) -> int:
        """Submit a job that depends on another by this word; return its id."""

    def cancel(self, job_id: int) -> None:
        """Cancel a job."""

    def uid(self) -> int:
        """Name the user's uid."""

    def comment_of(self, job_id: int) -> str:
        """Read a job's AdminComment."""

    def wait_until(self, seen: Callable[[], bool]) -> None:
        """Wait, within a bound, for what Slurm does in its own time."""


class SlurmContract:
    """The promises of the Slurm port."""

    def test_unknown_jobs_are_absent(self, slurm: Slurm, world: SlurmWorld) -> None:
        """One that is unknown is no error, alone or beside one that is known."""
        job = world.hold()
        assert slurm.jobs([]) == {}
        assert slurm.jobs([NOBODYS_JOB]) == {}
        assert set(slurm.jobs([NOBODYS_JOB, job])) == {job}
        assert set(slurm.jobs([*NO_IDS, job])) == {job}
        assert set(slurm.jobs([job])) == {job}

    def test_a_job_that_waits(self, slurm: Slurm, world: SlurmWorld) -> None:
        """A held job is pending, is its user's, and has no end."""
        job_id = world.hold()
        job = slurm.jobs([job_id])[job_id]
        assert (job.job_state, job.reason, job.uid) == ("PENDING", "JobHeldUser", world.uid())
        assert (job.bb_state, job.exit_code, job.exit_signal, job.restarts) == ("", 0, 0, 0)

        assert (job.held, job.priority) == (True, 0)
        assert job.submitted is not None
        assert abs(datetime.now(UTC) - job.submitted) < timedelta(minutes=10)

    def test_the_queue(self, slurm: Slurm, world: SlurmWorld) -> None:
        """It has the pending jobs with directives, as they were written, and no others."""
        plain, job_id, other = world.hold(), world.hold_with(LINES), world.hold_with(LINES[1:])
        queue = {job.job_id: job for job in slurm.queue()}
        assert plain not in queue
        assert queue[job_id] == QueuedJob(job_id, world.uid(), LINES, "alice", priority=0, held=True)
        assert queue[other].directives == LINES[1:]
        assert directive.parse(queue[job_id].directives[0]).prefixes == (ODD, "/data/")
        world.cancel(other)
        world.wait_until(lambda: other not in {job.job_id for job in slurm.queue()})
        assert job_id in {job.job_id for job in slurm.queue()}

    def test_records_with_directives(self, slurm: Slurm, world: SlurmWorld) -> None:
        """They have the same of a job as the two other looks, in one; over or not, but for jobs without directives."""
        plain, job_id = world.hold(), world.hold_with(LINES)
        second = world.wait_for(job_id, "afterok", LINES)
        array = world.hold_with(LINES, tasks=9)
        records = slurm.declared()
        assert plain not in records
        assert records[job_id].job == slurm.jobs([job_id])[job_id]
        assert records[job_id].directives == LINES
        assert (records[job_id].after, records[second].after) == (frozenset(), {JobName(job_id)})
        assert records[array].job.hold is Hold.OWNER
        tasks = sum(it.tasks for it in records.values() if it.job.job_id >= array and it.directives == LINES)
        assert tasks >= 9
        world.cancel(job_id)
        world.wait_until(lambda: slurm.declared()[job_id].job.job_state == "CANCELLED")

    def test_who_waits_for_exports(self, slurm: Slurm, world: SlurmWorld) -> None:
        """A dependency is told; without directives only one that waits for a burst buffer."""
        first = world.hold()
        second = world.wait_for(first, "afterok", LINES)
        third = world.wait_for(first, "afterburstbuffer")
        fourth = world.wait_for(first, "afterany")
        queue = {job.job_id: job for job in slurm.queue()}
        assert queue[second].after == queue[third].after == {JobName(first)}
        assert queue[third].directives == ()
        assert fourth not in queue

    def test_an_array_in_the_queue(self, slurm: Slurm, world: SlurmWorld) -> None:
        """Each of its tasks counts once, whether it has a record of its own or is one of many in one."""
        before = {job.job_id for job in slurm.queue()}
        job_id = world.hold_with(LINES, tasks=1000)
        records = [job for job in slurm.queue() if job.job_id not in before]
        assert job_id in {job.job_id for job in records}
        assert sum(job.tasks for job in records) == 1000
        assert len(records) < 50
        assert {job.directives for job in records} == {LINES}

    def test_a_job_that_failed(self, slurm: Slurm, world: SlurmWorld) -> None:
        """Its exit code is told."""
        job_id = world.fail(3)
        world.wait_until(lambda: slurm.jobs([job_id])[job_id].job_state == "FAILED")
        job = slurm.jobs([job_id])[job_id]
        assert (job.exit_code, job.exit_signal) == (3, 0)

    def test_a_job_that_waits_is_staged_anew(self, slurm: Slurm, world: SlurmWorld) -> None:
        """It is pending again with its script, as after a requeue, and also if the cancel had been made already."""
        job_id = world.hold()
        slurm.restage(job_id)
        world.wait_until(lambda: slurm.jobs([job_id])[job_id].restarts == 1)
        world.wait_until(lambda: slurm.jobs([job_id])[job_id].job_state == "PENDING")
        world.cancel(job_id)
        world.wait_until(lambda: slurm.jobs([job_id])[job_id].job_state == "CANCELLED")
        slurm.restage(job_id)
        world.wait_until(lambda: slurm.jobs([job_id])[job_id].job_state == "PENDING")

    def test_a_job_that_may_not_be_requeued_is_staged_anew(self, slurm: Slurm, world: SlurmWorld) -> None:
        """It is changed to one that may, before it is cancelled."""
        job_id = world.hold(requeue=False)
        assert not world.may_requeue(job_id)
        slurm.restage(job_id)
        world.wait_until(lambda: slurm.jobs([job_id])[job_id].restarts == 1)
        world.wait_until(lambda: slurm.jobs([job_id])[job_id].job_state == "PENDING")
        assert world.may_requeue(job_id)

    def test_what_is_over_or_waits_is_not_hurried(self, slurm: Slurm, world: SlurmWorld) -> None:
        """Only a stage-out is ended; a job that is over is not staged anew; a gone one is passed over."""
        waits, over = world.hold(), world.fail(3)
        world.wait_until(lambda: slurm.jobs([over])[over].job_state == "FAILED")
        for job_id in (waits, over, NOBODYS_JOB):
            slurm.end_stage_out(job_id)
        for job_id in (over, NOBODYS_JOB):
            slurm.restage(job_id)
        assert slurm.jobs([over])[over].job_state == "FAILED"
        assert slurm.jobs([waits])[waits].job_state == "PENDING"

    def test_a_batch_job_has_no_terminal(self, slurm: Slurm, world: SlurmWorld) -> None:
        """It is told from srun's and salloc's; to say something there is an error, as for a job that is not there."""
        job_id = world.hold()
        assert not slurm.jobs([job_id])[job_id].interactive
        for nowhere in (job_id, NOBODYS_JOB):
            with pytest.raises(TemporaryError, match="nobody who waits for job"):
                slurm.notify(nowhere, "x")

    def test_the_gate(self, slurm: Slurm, world: SlurmWorld) -> None:
        """A job held by its owner is held for operators alone, and back; released, it waits for its turn as any other.

        Said twice it is the same, and of a job that is gone or over there is nothing to say.
        """
        job_id = world.hold()
        assert slurm.jobs([job_id])[job_id].hold is Hold.OWNER
        for hold in (Hold.ADMIN, Hold.ADMIN, Hold.OWNER, Hold.ADMIN):
            slurm.turn_gate(job_id, hold)
            assert slurm.jobs([job_id])[job_id].hold is hold
        slurm.turn_gate(job_id, Hold.NONE)
        slurm.turn_gate(job_id, Hold.NONE)
        job = slurm.jobs([job_id])[job_id]
        assert job.job_state != "PENDING" or job.hold is Hold.NONE
        over = world.fail(3)
        world.wait_until(lambda: slurm.jobs([over])[over].job_state == "FAILED")
        for gone in (over, NOBODYS_JOB, *NO_IDS):
            for hold in Hold:
                slurm.turn_gate(gone, hold)

    def test_comment(self, slurm: Slurm, world: SlurmWorld) -> None:
        """The latest comment is the job's; on a job that is gone it is success."""
        job_id = world.hold()
        slurm.comment(job_id, "importing, 3 of 9 files")
        slurm.comment(job_id, "it's 100 % done; JobId=1 Priority=0")
        assert world.comment_of(job_id) == "it's 100 % done; JobId=1 Priority=0"
        for gone in (NOBODYS_JOB, *NO_IDS):
            slurm.comment(gone, "x")
