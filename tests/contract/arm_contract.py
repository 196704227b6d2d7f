"""What every Arm keeps, the fake and the real adapter on the emulator alike.

A subclass gives the fixture `arm`, and `world`, which lets things happen behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from slurm_amlfs.application.ports import Arm
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.view import ArchiveState, ImportState, ImportView
from slurm_amlfs.errors import TemporaryError


class ArmWorld(Protocol):
    """What goes on behind the port. Each returns when it has happened."""

    def upload(self, name: str, size_bytes: int) -> None:
        """Put a blob into the container."""

    def hold(self) -> None:
        """Keep imports and archives from ending."""

    def let_end(self) -> None:
        """Let the running import or archive end, and wait until it has."""

    def wait_until(self, seen: Callable[[], bool]) -> None:
        """Wait, within a bound, for what ARM does in its own time."""


class ArmContract:
    """The promises of the Arm port."""

    def one(self, arm: Arm, name: str) -> ImportView:
        """Find an import by its name."""
        [job] = [job for job in arm.imports() if job.name == name]
        return job

    def test_file_system_is_well(self, arm: Arm) -> None:
        """A file system that nothing is wrong with says so."""
        view = arm.file_system()
        assert (view.health, view.provisioning_state) == ("Available", "Succeeded")
        assert all(archive.archive_state.over for archive in view.archives)

    def test_nothing_holds_an_idle_slot(self, arm: Arm) -> None:
        """No auto job is named where none is."""
        assert arm.auto_jobs() == ()

    def test_import_runs_and_ends(self, arm: Arm, world: ArmWorld) -> None:
        """An import is seen running under its name, and Completed with its counts when it has ended."""
        world.upload("in/a", 10)
        world.upload("in/b", 20)
        world.hold()
        created = arm.create_import("amlfs-one", ["/in/"], Conflict.SKIP, 0)
        assert (created.name, created.import_state.over, created.correlation_id != "") == ("amlfs-one", False, True)
        assert self.one(arm, "amlfs-one").prefixes == ("/in/",)
        world.let_end()
        ended = self.one(arm, "amlfs-one")
        assert (ended.import_state, ended.blobs_imported, ended.errors) == (ImportState.COMPLETED, 2, 0)
        assert ended.started is not None
        assert ended.completed is not None
        assert ended.started <= ended.completed

    def test_created_again_meets_the_first(self, arm: Arm, world: ArmWorld) -> None:
        """Creating under the same name makes no second import."""
        world.hold()
        first = arm.create_import("amlfs-one", ["/in/"], Conflict.SKIP, 0)
        again = arm.create_import("amlfs-one", ["/in/"], Conflict.SKIP, 0)
        assert (again.name, again.started) == (first.name, first.started)
        assert [job.name for job in arm.imports()].count("amlfs-one") == 1

    def test_one_slot_for_imports(self, arm: Arm, world: ArmWorld) -> None:
        """While an import runs, neither another one nor an archive is taken; waiting mends it."""
        world.hold()
        arm.create_import("amlfs-one", ["/in/"], Conflict.SKIP, 0)
        with pytest.raises(TemporaryError):
            arm.create_import("amlfs-two", ["/other/"], Conflict.SKIP, 0)
        with pytest.raises(TemporaryError):
            arm.archive("/jobs/")
        world.let_end()
        arm.create_import("amlfs-two", ["/other/"], Conflict.SKIP, 0)
        assert "amlfs-two" in {job.name for job in arm.imports()}

    def test_overlapping_prefixes_fail(self, arm: Arm, world: ArmWorld) -> None:
        """Prefixes are strings: /data takes /data2 with it, and the import fails."""
        arm.create_import("amlfs-one", ["/data", "/data2"], Conflict.SKIP, 0)
        world.let_end()
        assert self.one(arm, "amlfs-one").import_state is ImportState.FAILED

    def test_cancelled_import_ends(self, arm: Arm, world: ArmWorld) -> None:
        """A cancelled import holds the slot until it is Canceled."""
        world.hold()
        arm.create_import("amlfs-one", ["/in/"], Conflict.SKIP, 0)
        arm.cancel_import("amlfs-one")
        world.let_end()
        assert self.one(arm, "amlfs-one").import_state is ImportState.CANCELED

    def test_cancel_of_what_is_over_is_success(self, arm: Arm, world: ArmWorld) -> None:
        """Cancelling an import that is finished or unknown changes nothing."""
        arm.cancel_import("amlfs-never")
        world.hold()
        arm.create_import("amlfs-one", ["/in/"], Conflict.SKIP, 0)
        world.let_end()
        arm.cancel_import("amlfs-one")
        assert self.one(arm, "amlfs-one").import_state is ImportState.COMPLETED

    def test_only_finished_imports_are_deleted(self, arm: Arm, world: ArmWorld) -> None:
        """Deleting a running import is refused for now; a finished one goes; a gone one is success."""
        world.hold()
        arm.create_import("amlfs-one", ["/in/"], Conflict.SKIP, 0)
        with pytest.raises(TemporaryError):
            arm.delete_import("amlfs-one")
        world.let_end()
        arm.delete_import("amlfs-one")
        arm.delete_import("amlfs-one")
        world.wait_until(lambda: not any(job.name == "amlfs-one" for job in arm.imports()))
        arm.delete_import("amlfs-one")

    def test_archive_runs_and_ends(self, arm: Arm, world: ArmWorld) -> None:
        """An archive is seen by its path, and Completed when it has ended."""
        world.hold()
        assert arm.archive("/jobs/") != ""
        [running] = arm.file_system().archives
        assert (running.path, running.archive_state.over) == ("/jobs/", False)
        world.let_end()
        [ended] = arm.file_system().archives
        assert ended.archive_state is ArchiveState.COMPLETED
        assert ended.started is not None

    def test_cancelled_archive_ends(self, arm: Arm, world: ArmWorld) -> None:
        """A cancelled archive ends as Canceled; cancelling again, or with none running, is success."""
        arm.cancel_archive()
        world.hold()
        arm.archive("/jobs/")
        arm.cancel_archive()
        world.let_end()
        assert [archive.archive_state for archive in arm.file_system().archives] == [ArchiveState.CANCELED]
        arm.cancel_archive()
