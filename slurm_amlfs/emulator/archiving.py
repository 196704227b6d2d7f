"""One archive: find what is new or changed under a path, and write each file as a blob.

`filesystemPath` is a string prefix: "all new or changed files in the file system whose filenames begin with this
string are exported" (export-with-archive-jobs.md). Metadata-only changes and deletions are not exported
(blob-integration.md).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from slurm_amlfs.domain.view import ArchiveState
from slurm_amlfs.emulator.contents import Contents
from slurm_amlfs.emulator.faults import Faults, Name
from slurm_amlfs.emulator.lustre import Lustre
from slurm_amlfs.emulator.names import lustre_prefix
from slurm_amlfs.emulator.rates import Pace, Rates

log = logging.getLogger(__name__)

MOVERS = 8
"""Files stored at once."""

NAMED_FAILURES = 5
"""Files that errorMessage names; the rest are in the log (the service has a logging container)."""

FAILED_CODE = "ArchiveFailed"
"""errorCode of a failed archive. The service's own codes are not documented."""


@dataclass(slots=True)
class Export:
    """A running archive, shared with whoever watches it."""

    prefix: str
    action: str = "archive"
    archive_state: ArchiveState = ArchiveState.SCAN_IN_PROGRESS
    scanned: int = 0
    found: int = 0
    done: int = 0
    done_bytes: int = 0
    failed: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def percent(self) -> int:
        """Whole per cent of the files found that are through."""
        return 100 * (self.done + len(self.failed)) // self.found if self.found else 0


@dataclass(frozen=True, slots=True)
class Exported:
    """How an archive ended; IN_PROGRESS when it was stopped."""

    archive_state: ArchiveState
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class Exporter:
    """What every archive needs."""

    tree: Lustre
    contents: Contents
    faults: Faults
    rates: Rates

    def run(self, export: Export, scanned: Callable[[], None] = lambda: None) -> Exported:
        """Scan (FSScanInProgress), then store file by file. `scanned` is called between the two.

        A file that changes while it is exported makes the archive fail; a new archive then exports only the rest
        (blob-integration.md, "Export on active file systems").
        """
        export.stop.wait(self.rates.archive_overhead_seconds)
        paths = self._scan(export)
        self.faults.hold(export.action, export.stop)
        if export.stop.is_set():
            return Exported(ArchiveState.IN_PROGRESS)
        export.archive_state = ArchiveState.IN_PROGRESS
        scanned()
        fault = self.faults.take(Name.FAIL, export.action)
        self._store_all(export, paths[: fault.after] if fault else paths)
        if export.stop.is_set():
            return Exported(ArchiveState.IN_PROGRESS)
        if fault:
            return Exported(ArchiveState.FAILED, FAILED_CODE, fault.message or "The archive failed")
        if export.failed:
            named = ", ".join(export.failed[:NAMED_FAILURES])
            return Exported(
                ArchiveState.FAILED, FAILED_CODE, f"{len(export.failed)} files were not exported, among them {named}"
            )
        return Exported(ArchiveState.COMPLETED)

    def _scan(self, export: Export) -> list[str]:
        pace = Pace(self.rates.archive_scan_per_second)
        paths: list[str] = []
        for path in self.tree.changed(lustre_prefix(export.prefix)):
            pace.postpone(self.faults.hold(export.action, export.stop))
            pace.wait(export.scanned, export.stop)
            if export.stop.is_set():
                break
            export.scanned += 1
            paths.append(path)
        export.found = len(paths)
        return paths

    def _store_all(self, export: Export, paths: list[str]) -> None:
        self._store_stubs(paths)
        files = Pace(self.rates.archive_files_per_second)
        volume = Pace(self.rates.archive_bytes_per_second)
        given_bytes = 0
        with ThreadPoolExecutor(MOVERS, thread_name_prefix="amlfs-mover") as pool:
            running: set[Future[None]] = set()
            for number, path in enumerate(paths):
                held = self.faults.hold(export.action, export.stop)
                files.postpone(held)
                volume.postpone(held)
                files.wait(number, export.stop)
                volume.wait(given_bytes, export.stop)
                if export.stop.is_set():
                    break
                there = self.tree.look(path)
                given_bytes += there.size if there else 0
                running.add(pool.submit(self._store, export, path))
                running = {one for one in running if not one.done()}
            for one in as_completed(running):
                one.result()
        if not export.stop.is_set():
            volume.wait(given_bytes, export.stop)

    def _store(self, export: Export, path: str) -> None:
        try:
            before = self.tree.look(path)
            if before is None:
                export.done += 1
                return
            stored = self.tree.archive(path)
        except FileNotFoundError:
            export.done += 1
            return
        except OSError as error:
            log.warning("archive error path=%r error=%s", path, error)
            export.failed.append(repr("/" + path))
            return
        if not stored:
            log.warning("archive error path=%r error=changed during the export", path)
            export.failed.append(repr("/" + path))
            return
        export.done += 1
        export.done_bytes += before.size

    def _store_stubs(self, paths: Iterable[str]) -> None:
        """Write the directory stub of each parent (hdi_isfolder), as lemur does when it archives a file."""
        for above in sorted({parent for path in paths for parent in parents(path)}):
            there = self.tree.look(above)
            if there is None:
                continue
            try:
                self.contents.store(above, Path(), there)
            except OSError as error:
                log.warning("directory stub error path=%r error=%s", above, error)


def parents(path: str) -> list[str]:
    """List the directories above a path, the root left out: "a/b/c" has "a" and "a/b"."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
