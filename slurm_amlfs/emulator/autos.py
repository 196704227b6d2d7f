"""Auto-import and auto-export jobs: they hold the slot for as long as they are enabled.

"After auto-import is enabled, you can't create more import or export jobs" (auto-import.md); auto-export runs
iteration after iteration of scan and export (auto-export.md). Here the change feed is a new listing every
`auto_interval_seconds`.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from slurm_amlfs.domain.view import ArchiveState, ImportState
from slurm_amlfs.emulator import names
from slurm_amlfs.emulator.archiving import Export, Exporter
from slurm_amlfs.emulator.conflict import Mode
from slurm_amlfs.emulator.importing import Importer, Run
from slurm_amlfs.emulator.jobs import AutoJob, AutoKind, AutoState, Operation
from slurm_amlfs.emulator.refusal import RefusalError
from slurm_amlfs.emulator.service import NEVER, Service

log = logging.getLogger(__name__)

ACTION = {AutoKind.IMPORT: "autoImport", AutoKind.EXPORT: "autoExport"}


@dataclass(frozen=True, slots=True)
class AutoWish:
    """What a PUT asks for.

    The specification's default for an auto-import's conflict mode is Skip; the recorded answer to a request without
    one says Fail, so Fail it is.
    """

    kind: AutoKind
    name: str
    location: str
    prefixes: tuple[str, ...] = ("/",)
    mode: Mode = Mode.FAIL
    max_errors: int = 0
    enable_deletions: bool = False
    tags: dict[str, str] = field(default_factory=dict)


class Autos:
    """The auto jobs of one file system."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stops: dict[tuple[AutoKind, str], threading.Event] = {}

    def resume(self) -> None:
        """Take up the jobs that were enabled when the emulator was stopped."""
        with self._service.lock:
            for key, job in list(self._service.autos.items()):
                if job.auto_state is AutoState.DISABLING:
                    self._service.autos[key] = replace(job, auto_state=AutoState.DISABLED, completed=datetime.now(UTC))
                elif job.auto_state is AutoState.IN_PROGRESS:
                    self._service.take_slot(f"{job.kind}/{job.name}")
                    self._start(job)

    def find(self, kind: AutoKind, name: str) -> AutoJob | None:
        """Read one job."""
        with self._service.lock:
            job = self._service.autos.get((kind, name))
            if job is not None and job.gone is not None and job.gone <= datetime.now(UTC):
                del self._service.autos[kind, name]
                return None
            return job

    def all(self, kind: AutoKind) -> tuple[AutoJob, ...]:
        """List the jobs of one kind."""
        with self._service.lock:
            found = [self.find(*key) for key in list(self._service.autos) if key[0] is kind]
            return tuple(job for job in found if job is not None)

    def create(self, wish: AutoWish) -> tuple[AutoJob, Operation | None]:
        """Create and enable a job; asked again, answer the existing one and no operation.

        Raises:
            RefusalError: the slot is taken, or a job of that name is being deleted.
        """
        with self._service.lock:
            there = self.find(wish.kind, wish.name)
            if there is not None and there.gone is None:
                return there, None
            if there is not None:
                raise RefusalError(409, "Conflict", f"{wish.kind}/{wish.name} is being deleted.")
            self._service.take_slot(f"{wish.kind}/{wish.name}")
            operation = self._service.begin_operation(f"{wish.kind}.put")
            job = AutoJob(
                wish.kind,
                wish.name,
                wish.location,
                wish.prefixes,
                operation.started,
                operation.ends or NEVER,
                wish.tags,
                wish.mode,
                wish.max_errors,
                wish.enable_deletions,
            )
            self._service.autos[wish.kind, wish.name] = job
            self._start(job)
            self._service.save()
            return job, operation

    def tag(self, kind: AutoKind, name: str, tags: dict[str, str]) -> AutoJob | None:
        """Replace the tags; answered 200 at once (recorded, autoExportJobs PATCH)."""
        with self._service.lock:
            if self.find(kind, name) is None:
                return None
            self._change(kind, name, tags=tags)
            self._service.save()
            return self.find(kind, name)

    def disable(self, kind: AutoKind, name: str) -> tuple[AutoJob | None, Operation | None]:
        """Wish a job disabled: Disabling until what runs is through, then Disabled."""
        with self._service.lock:
            job = self.find(kind, name)
            if job is None or job.auto_state is not AutoState.IN_PROGRESS:
                return job, None
            self._change(kind, name, auto_state=AutoState.DISABLING, admin_status="Disable")
            self._stops[kind, name].set()
            operation = self._service.begin_operation(f"{kind}.patch")
            self._service.save()
            return self.find(kind, name), operation

    def delete(self, kind: AutoKind, name: str) -> Operation | None:
        """Delete a job, an enabled one as well: recorded was a DELETE of an InProgress auto-export, answered 202."""
        with self._service.lock:
            if self.find(kind, name) is None:
                return None
            self.disable(kind, name)
            operation = self._service.begin_operation(f"{kind}.delete")
            self._change(kind, name, gone=operation.ends or NEVER)
            self._service.save()
            return operation

    def stop(self) -> None:
        """Stop without an end, so that a restart takes them up."""
        with self._service.lock:
            for stop in self._stops.values():
                stop.set()

    def _start(self, job: AutoJob) -> None:
        self._stops[job.kind, job.name] = stop = threading.Event()
        action = ACTION[job.kind]
        number = self._service.journal.begin(action, job.name, job.prefixes)
        self._service.spawn(f"amlfs-{action}-{job.name}", lambda: self._work(job, stop, number))

    def _work(self, job: AutoJob, stop: threading.Event, number: int) -> None:
        service = self._service
        message = ""
        try:
            message = self._import(job, stop) if job.kind is AutoKind.IMPORT else self._export(job, stop)
        except Exception as error:
            log.exception("%s failed job=%s", ACTION[job.kind], job.name)
            message = str(error)
        if service.closing.is_set():
            service.journal.end(number, "stopped")
            return
        with service.lock:
            state = AutoState.FAILED if message else AutoState.DISABLED
            service.journal.end(number, state)
            self._change(job.kind, job.name, auto_state=state, message=message, completed=datetime.now(UTC))
            self._stops.pop((job.kind, job.name), None)
            service.free_slot(ACTION[job.kind])
            service.save()

    def _export(self, job: AutoJob, stop: threading.Event) -> str:
        service = self._service
        while not stop.is_set():
            export = Export(job.prefixes[0], ACTION[job.kind], stop=stop)
            rates = replace(service.rates, archive_overhead_seconds=0.0)
            outcome = Exporter(service.tree, service.contents, service.faults, rates).run(export)
            with service.lock:
                now = service.autos[job.kind, job.name]
                done = outcome.archive_state is ArchiveState.COMPLETED
                self._change(
                    job.kind,
                    job.name,
                    iterations=now.iterations + 1,
                    exported_files=now.exported_files + export.done,
                    exported_bytes=now.exported_bytes + export.done_bytes,
                    failed_files=now.failed_files + len(export.failed),
                    iteration_completed=datetime.now(UTC) if done else now.iteration_completed,
                )
            stop.wait(service.rates.auto_interval_seconds)
        return ""

    def _import(self, job: AutoJob, stop: threading.Event) -> str:
        service = self._service
        known: set[str] = set()
        first = True
        while not stop.is_set():
            run = Run(job.prefixes, job.mode, job.max_errors, ACTION[job.kind], stop=stop)
            rates = service.rates if first else replace(service.rates, import_overhead_seconds=0.0)
            importer = Importer(service.tree, service.contents, service.faults, rates, service.hierarchical)
            outcome = importer.run(run)
            counts = run.tally.counts(time.monotonic() - run.started)
            present = self._names(job)
            deleted = self._drop(known - present) if job.enable_deletions else 0
            known = present
            with service.lock:
                now = service.autos[job.kind, job.name]
                if first:
                    self._change(job.kind, job.name, counts=counts)
                else:
                    self._change(job.kind, job.name, synced=counts, deletions=now.deletions + deleted)
            if outcome.import_state is ImportState.FAILED:
                return outcome.message
            first = False
            stop.wait(service.rates.auto_interval_seconds)
        return ""

    def _names(self, job: AutoJob) -> set[str]:
        if not job.enable_deletions:
            return set()
        hierarchical = self._service.hierarchical
        return {
            blob.name
            for prefix in job.prefixes
            for blob in self._service.contents.walk(names.normal(prefix)[1:])
            if names.taken(prefix, blob.name, hierarchical=hierarchical)
        }

    def _drop(self, gone: set[str]) -> int:
        """Remove the files whose blobs were deleted (enableDeletions)."""
        dropped = [name for name in gone if self._service.tree.look(name) is not None]
        for name in dropped:
            self._service.tree.remove(name)
        return len(dropped)

    def _change(self, kind: AutoKind, name: str, **values: object) -> None:
        job = self._service.autos.get((kind, name))
        if job is not None:
            self._service.autos[kind, name] = replace(job, **values)  # type: ignore[arg-type]
