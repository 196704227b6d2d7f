"""The archive: one at a time, without a resource or an id; its status is part of the file system's."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

from slurm_amlfs.domain.view import ArchiveState
from slurm_amlfs.emulator.archiving import FAILED_CODE, Export, Exported, Exporter
from slurm_amlfs.emulator.faults import Name
from slurm_amlfs.emulator.jobs import Archive
from slurm_amlfs.emulator.service import Service

log = logging.getLogger(__name__)

KIND = "archive"


class Archives:
    """The archive of one file system."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._export: Export | None = None
        self._behind: list[Export] = []

    def resume(self) -> None:
        """Take up the archive that ran when the emulator was stopped; it scans again."""
        with self._service.lock:
            last = self._service.archive
            if last is None or last.archive_state.over:
                return
            if last.archive_state is ArchiveState.CANCELLING:
                self._service.archive = replace(last, archive_state=ArchiveState.CANCELED, completed=datetime.now(UTC))
                return
            self._service.take_slot("an archive")
            self._start(last)

    def status(self) -> Archive | None:
        """Read the status of the latest archive; None before the first (the list then is not there at all).

        The recorded list never had more than one element, so an archive is known by path and lastStartedTime.
        """
        with self._service.lock:
            last = self._service.archive
            export = self._export
            if last is None or export is None or last.archive_state.over:
                return last
            if last.archive_state is ArchiveState.CANCELLING:
                return replace(last, percent=export.percent)
            return replace(last, archive_state=export.archive_state, percent=export.percent)

    def begin(self, path: str) -> None:
        """Start an archive.

        Raises:
            RefusalError: the slot is taken.
        """
        with self._service.lock:
            self._service.take_slot("an archive")
            self._service.archive = Archive(path, datetime.now(UTC), ArchiveState.SCAN_IN_PROGRESS)
            self._start(self._service.archive)
            self._service.save()

    def cancel(self) -> None:
        """Stop the running archive: Cancelling (recorded for over 10 s), then Canceled. None running is success."""
        with self._service.lock:
            last = self._service.archive
            if last is None or self._export is None or last.archive_state.over:
                return
            self._service.archive = replace(last, archive_state=ArchiveState.CANCELLING)
            self._export.stop.set()
            self._service.save()

    def stop(self) -> None:
        """Stop without an end, so that a restart takes it up."""
        with self._service.lock:
            for export in [self._export, *self._behind]:
                if export is not None:
                    export.stop.set()

    def _start(self, archive: Archive) -> None:
        service = self._service
        self._export = export = Export(archive.path)
        number = service.journal.begin(KIND, "", (archive.path,))
        service.spawn("amlfs-archive", lambda: self._work(export, number))

    def _work(self, export: Export, number: int) -> None:
        service = self._service
        exporter = Exporter(service.tree, service.contents, service.faults, service.rates)
        try:
            outcome = exporter.run(export, lambda: self._scanned(export, number))
        except Exception as error:
            log.exception("archive failed path=%s", export.prefix)
            outcome = Exported(ArchiveState.FAILED, FAILED_CODE, f"The archive failed: {error}")
        if outcome.archive_state is ArchiveState.IN_PROGRESS:
            if service.closing.is_set():
                service.journal.end(number, "stopped")
                return
            service.closing.wait(service.rates.cancel_seconds)
            outcome = Exported(ArchiveState.CANCELED)
        self._finish(export, number, outcome)

    def _scanned(self, export: Export, number: int) -> None:
        """After the scan: EARLY says Completed now, with the files still to come (known-issues-amlfs-preview.md)."""
        if self._service.faults.take(Name.EARLY, KIND):
            self._behind.append(export)
            self._finish(export, number, Exported(ArchiveState.COMPLETED))

    def _finish(self, export: Export, number: int, outcome: Exported) -> None:
        service = self._service
        with service.lock:
            last = service.archive
            if self._export is not export or last is None:
                return
            self._export = None
            service.journal.end(number, outcome.archive_state)
            service.archive = replace(
                last,
                archive_state=outcome.archive_state,
                percent=100 if outcome.archive_state is ArchiveState.COMPLETED else export.percent,
                completed=datetime.now(UTC),
                error_code=outcome.error_code,
                error_message=outcome.error_message,
            )
            service.free_slot(KIND)
            service.save()
