from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from slurm_amlfs.domain.view import JobName, JobView, QueuedJob
from tests.contract.slurm_contract import SlurmContract
from tests.fakes.slurm import FakeSlurm


class FakeCluster:
    def __init__(self, slurm: FakeSlurm) -> None:
        self._slurm = slurm

    def fail(self, exit_code: int) -> int:
        """Add a failed job."""
        return self._add(JobView(1, self.uid(), "FAILED", "NonZeroExitCode", exit_code=exit_code))

    def hold(self, *, requeue: bool = True) -> int:
        """Add a held job."""
        job_id = self._add(JobView(2, self.uid(), "PENDING", "JobHeldUser", held=True, priority=0))
        if not requeue:
            self._slurm.no_requeue.add(job_id)
        return job_id

    def may_requeue(self, job_id: int) -> bool:
        """Look it up."""
        return job_id not in self._slurm.no_requeue

    def hold_with(self, directives: Sequence[str], tasks: int = 1) -> int:
        """Add a held job to the queue."""
        job_id = 10 + len(self._slurm.queued)
        self._slurm.queued[job_id] = QueuedJob(
            job_id, self.uid(), tuple(directives), "alice", priority=0, held=True, tasks=tasks
        )
        return self._add(JobView(job_id, self.uid(), "PENDING", "JobHeldUser", user="alice", held=True, priority=0))

    def wait_for(self, job_id: int, word: str, directives: Sequence[str] = ()) -> int:
        """Add a job that waits for another to the queue."""
        mine = 100 + len(self._slurm.queued)
        after = frozenset({JobName(job_id)}) if directives or word == "afterburstbuffer" else frozenset()
        self._slurm.queued[mine] = QueuedJob(mine, self.uid(), tuple(directives), "alice", after=after)
        return self._add(JobView(mine, self.uid(), "PENDING", "Dependency", user="alice"))

    def cancel(self, job_id: int) -> None:
        """End a job."""
        self._add(replace(self._slurm.records[job_id], job_state="CANCELLED"))

    def uid(self) -> int:
        """Name a user."""
        return 61001

    def comment_of(self, job_id: int) -> str:
        """Read the latest comment."""
        return self._slurm.comments[job_id][-1]

    def wait_until(self, seen: Callable[[], bool]) -> None:
        """Nothing takes time in the fake."""
        assert seen()

    def _add(self, job: JobView) -> int:
        self._slurm.records[job.job_id] = replace(job, submitted=datetime.now(UTC))
        return job.job_id


class TestFakeSlurm(SlurmContract):
    @pytest.fixture
    def slurm(self) -> FakeSlurm:
        """Make an empty cluster."""
        return FakeSlurm()

    @pytest.fixture
    def world(self, slurm: FakeSlurm) -> FakeCluster:
        """Stand behind it."""
        return FakeCluster(slurm)
