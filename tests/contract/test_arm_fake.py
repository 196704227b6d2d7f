from __future__ import annotations

from collections.abc import Callable

import pytest

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.errors import TemporaryError
from tests.contract.arm_contract import ArmContract
from tests.fakes.arm import FakeArm


class FakeWorld:
    def __init__(self, arm: FakeArm) -> None:
        self._arm = arm

    def upload(self, name: str, size_bytes: int) -> None:
        """Put a blob."""
        self._arm.blobs.put(name, size_bytes)

    def hold(self) -> None:
        """Nothing ends by itself in the fake."""

    def let_end(self) -> None:
        """End whatever runs."""
        for job in list(self._arm.jobs.values()):
            if not job.import_state.over:
                self._arm.finish(job.name)
        if any(not archive.archive_state.over for archive in self._arm.archives):
            self._arm.finish_archive()

    def wait_until(self, seen: Callable[[], bool]) -> None:
        """Nothing takes time in the fake."""
        assert seen()


class TestFakeArm(ArmContract):
    @pytest.fixture
    def arm(self) -> FakeArm:
        """Make an idle file system."""
        return FakeArm()

    @pytest.fixture
    def world(self, arm: FakeArm) -> FakeWorld:
        """Stand behind it."""
        return FakeWorld(arm)

    def test_a_lost_answer_leaves_the_import(self, arm: FakeArm) -> None:
        """What was started before the connection broke is there to be found."""
        arm.lost_answers.append(TemporaryError("no answer"))
        with pytest.raises(TemporaryError):
            arm.create_import("amlfs-one", ["/in/"], Conflict.SKIP, 0)
        assert [job.name for job in arm.imports()] == ["amlfs-one"]
