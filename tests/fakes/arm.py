"""The ARM surface of a file system in memory: one slot, string prefixes, states that a test advances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.view import (
    ArchiveState,
    ArchiveView,
    FileSystemView,
    HsmState,
    ImportState,
    ImportView,
)
from slurm_amlfs.errors import AmlfsError, PermanentError, TemporaryError
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre


class FakeArm:
    """The Arm port of the file system between `blobs` and `lustre`.

    An import or archive runs until a test lets it end. `faults` are raised by the next calls, one each, before they
    do anything; `lost_answers` are raised after they have done it.
    """

    def __init__(self, blobs: FakeBlobs | None = None, lustre: FakeLustre | None = None) -> None:
        self.blobs = blobs or FakeBlobs()
        self.lustre = lustre or FakeLustre()
        self.lustre.store = self.blobs.put
        self.jobs: dict[str, ImportView] = {}
        self.conflicts: dict[str, Conflict] = {}
        self.archives: tuple[ArchiveView, ...] = ()
        self.auto: list[str] = []
        self.health = "Available"
        self.faults: list[AmlfsError] = []
        self.lost_answers: list[AmlfsError] = []
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self._calls = 0

    # What a test does to the world.

    def finish(self, name: str, import_state: ImportState | None = None, errors: int = 0) -> None:
        """Let an import end: with what its prefixes and its conflict mode make of it, or as a test says."""
        job = self.jobs[name]
        if job.import_state is ImportState.CANCELLING:
            self._end(replace(job, import_state=ImportState.CANCELED))
            return
        if import_state in {ImportState.FAILED, ImportState.CANCELED}:
            self._end(replace(job, import_state=import_state, errors=errors))
            return
        walked = [blob for prefix in job.prefixes for blob in self.blobs.walk(prefix)]
        imported = conflicts = 0
        for blob in walked:
            path = f"/{blob.name}"
            if self._take(path, blob.size_bytes, self.conflicts[name]):
                imported += 1
            elif self.lustre.files[path].size_bytes != blob.size_bytes:
                conflicts += 1
        partial = conflicts or errors
        ended = ImportState.COMPLETED_PARTIAL if partial else ImportState.COMPLETED
        if conflicts and self.conflicts[name] is Conflict.FAIL:
            ended = ImportState.FAILED
        job = replace(job, blobs_walked=len(walked), blobs_imported=imported, conflicts=conflicts, errors=errors)
        self._end(replace(job, import_state=import_state or ended))

    def finish_archive(self, archive_state: ArchiveState | None = None) -> None:
        """Let the archive end, having copied what is new or dirty, or as a test says, having copied nothing."""
        [archive] = self.archives
        ended = archive_state
        if archive.archive_state is ArchiveState.CANCELLING:
            ended = ArchiveState.CANCELED
        if ended is None:
            for file in list(self.lustre.walk(archive.path)):
                if not self.lustre.states.get(file.path, HsmState.ARCHIVED).clean:
                    self.blobs.put(file.path.removeprefix("/"), file.size_bytes)
                    self.lustre.mark_archived(file.path)
        self.time += timedelta(seconds=1)
        state = ended or ArchiveState.COMPLETED
        self.archives = (replace(archive, archive_state=state, percent=100, completed=self.time),)

    # The port.

    def file_system(self) -> FileSystemView:
        """Read health, provisioning state and archive status."""
        correlation = self._called()
        return FileSystemView(self.health, "", "Succeeded", self.archives, correlation_id=correlation)

    def imports(self) -> tuple[ImportView, ...]:
        """List every import job."""
        self._called()
        return tuple(self.jobs.values())

    def auto_jobs(self) -> tuple[str, ...]:
        """Name the auto jobs that hold the slot."""
        self._called()
        return tuple(self.auto)

    def create_import(self, name: str, prefixes: Sequence[str], conflict: Conflict, max_errors: int) -> ImportView:
        """Take the slot, or meet the first import of that name. Overlapping prefixes make it fail."""
        correlation = self._called()
        if max_errors < -1 or not prefixes:
            raise PermanentError("Azure refused the import (HTTP 400 BadRequest)", code="BadRequest")
        if name not in self.jobs:
            self._hold_slot()
            self.time += timedelta(seconds=1)
            overlap = any(one is not other and other.startswith(one) for one in prefixes for other in prefixes)
            self.conflicts[name] = conflict
            self.jobs[name] = ImportView(
                name,
                ImportState.FAILED if overlap else ImportState.IN_PROGRESS,
                tuple(prefixes),
                "Creating",
                started=self.time,
                completed=self.time if overlap else None,
                correlation_id=correlation,
            )
        self._answer()
        return self.jobs[name]

    def cancel_import(self, name: str) -> None:
        """Ask a running import to stop."""
        self._called()
        job = self.jobs.get(name)
        if job and not job.import_state.over:
            self.jobs[name] = replace(job, import_state=ImportState.CANCELLING)
        self._answer()

    def delete_import(self, name: str) -> None:
        """Delete the record of a finished import."""
        self._called()
        job = self.jobs.get(name)
        if job and not job.import_state.over:
            raise TemporaryError("Azure refused to delete a running import (HTTP 409 Conflict)", code="Conflict")
        self.jobs.pop(name, None)
        self._answer()

    def archive(self, path: str) -> str:
        """Take the slot."""
        correlation = self._called()
        self._hold_slot()
        self.time += timedelta(seconds=1)
        self.archives = (ArchiveView(path, ArchiveState.IN_PROGRESS, started=self.time),)
        self._answer()
        return correlation

    def cancel_archive(self) -> None:
        """Ask the running archive to stop."""
        self._called()
        self.archives = tuple(
            one if one.archive_state.over else replace(one, archive_state=ArchiveState.CANCELLING)
            for one in self.archives
        )
        self._answer()

    def _take(self, path: str, size_bytes: int, conflict: Conflict) -> bool:
        there = self.lustre.files.get(path)
        clean = self.lustre.states.get(path, HsmState.NONE).clean
        if (
            there
            and conflict is not Conflict.OVERWRITE_ALWAYS
            and (clean or conflict is not Conflict.OVERWRITE_IF_DIRTY)
        ):
            return False
        self.lustre.add_released(path, size_bytes)
        return True

    def _end(self, job: ImportView) -> None:
        self.time += timedelta(seconds=1)
        self.jobs[job.name] = replace(job, provisioning_state="Succeeded", completed=self.time)

    def _hold_slot(self) -> None:
        busy = any(not job.import_state.over for job in self.jobs.values())
        if busy or self.auto or any(not archive.archive_state.over for archive in self.archives):
            raise TemporaryError("Azure refused, the slot is held (HTTP 409 Conflict)", code="Conflict")

    def _called(self) -> str:
        if self.faults:
            raise self.faults.pop(0)
        self._calls += 1
        return f"00000000-0000-4000-8000-{self._calls:012d}"

    def _answer(self) -> None:
        if self.lost_answers:
            raise self.lost_answers.pop(0)
