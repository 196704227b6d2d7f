from __future__ import annotations

from collections.abc import Callable

import pytest

from slurm_amlfs.domain.view import JobView
from tests.contract.slurm_contract import SlurmContract
from tests.fakes.slurm import FakeSlurm


class FakeCluster:
    def __init__(self, slurm: FakeSlurm) -> None:
        self._slurm = slurm

    def fail(self, exit_code: int) -> int:
        """Add a failed job."""
        return self._add(JobView(1, self.uid(), "FAILED", "NonZeroExitCode", exit_code=exit_code))

    def hold(self) -> int:
        """Add a held job."""
        return self._add(JobView(2, self.uid(), "PENDING", "JobHeldUser"))

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
        self._slurm.records[job.job_id] = job
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
