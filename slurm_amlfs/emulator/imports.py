"""Import jobs as resources: create, list, cancel, delete, and the thread that runs one."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from slurm_amlfs.domain.view import ImportState
from slurm_amlfs.emulator.conflict import Mode
from slurm_amlfs.emulator.importing import Importer, Outcome, Run
from slurm_amlfs.emulator.jobs import ImportJob, Operation
from slurm_amlfs.emulator.lustre import Lustre
from slurm_amlfs.emulator.refusal import RefusalError
from slurm_amlfs.emulator.service import NEVER, Service

log = logging.getLogger(__name__)

KIND = "import"


@dataclass(frozen=True, slots=True)
class ImportWish:
    """What a PUT asks for. The defaults are the service's own in the recorded answers."""

    name: str
    location: str
    prefixes: tuple[str, ...] = ("/",)
    mode: Mode = Mode.FAIL
    max_errors: int = 0
    admin_status: str = "Active"
    tags: dict[str, str] = field(default_factory=dict)


class Imports:
    """The import jobs of one file system."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._runs: dict[str, Run] = {}

    def resume(self) -> None:
        """Take up what ran when the emulator was stopped: an import walks again from the start."""
        with self._service.lock:
            for job in list(self._service.imports.values()):
                if job.import_state is ImportState.CANCELLING:
                    Marker(self._service.tree, job.started).show(ImportState.CANCELED)
                    self._service.imports[job.name] = replace(
                        job, import_state=ImportState.CANCELED, completed=datetime.now(UTC)
                    )
                elif job.import_state is ImportState.IN_PROGRESS:
                    self._start(job)

    def find(self, name: str) -> ImportJob | None:
        """Read one job with its counters of this moment."""
        with self._service.lock:
            return self._live(name)

    def all(self) -> tuple[ImportJob, ...]:
        """List all jobs.

        Finished ones stay until they are deleted (recorded: importJobInitialAmlfsPut of the day before).
        """
        with self._service.lock:
            found = [self._live(name) for name in list(self._service.imports)]
            return tuple(job for job in found if job is not None)

    def create(self, wish: ImportWish) -> tuple[ImportJob, Operation | None]:
        """Create and start a job; asked again with the same values, answer the existing one and no operation.

        Raises:
            RefusalError: the slot is taken, or a job of that name has other values.
        """
        with self._service.lock:
            there = self._live(wish.name)
            if there is not None:
                return self._again(there, wish), None
            self._service.take_slot(f"importJobs/{wish.name}")
            operation = self._service.begin_operation("importJobs.put")
            job = ImportJob(
                wish.name,
                wish.location,
                wish.prefixes,
                wish.mode,
                wish.max_errors,
                operation.started,
                operation.ends or NEVER,
                wish.tags,
            )
            self._service.imports[job.name] = job
            if operation.error_code:
                self._end(job, Outcome(ImportState.FAILED, operation.error_message))
            else:
                self._start(job, taken=True)
            self._service.save()
            return self._service.imports[job.name], operation

    def tag(self, name: str, tags: dict[str, str]) -> ImportJob | None:
        """Replace a job's tags (recorded for auto jobs: answered 200 at once)."""
        with self._service.lock:
            if self._live(name) is None:
                return None
            self._service.imports[name] = replace(self._service.imports[name], tags=tags)
            self._service.save()
            return self._live(name)

    def cancel(self, name: str) -> tuple[ImportJob | None, Operation | None]:
        """Wish a job cancelled (adminStatus Cancel): Cancelling, then Canceled. A finished job stays as it ended."""
        with self._service.lock:
            job = self._live(name)
            if job is None or job.import_state is not ImportState.IN_PROGRESS:
                return job, None
            self._service.imports[name] = replace(
                self._service.imports[name], import_state=ImportState.CANCELLING, admin_status="Cancel"
            )
            operation = self._service.begin_operation("importJobs.patch")
            self._runs[name].stop.set()
            self._service.save()
            return self._live(name), operation

    def delete(self, name: str) -> Operation | None:
        """Delete a finished job; None when it is not there.

        "The job must be completed or cancelled before it can be deleted" (microsoft/mcp, ImportJobDeleteCommand.cs).

        Raises:
            RefusalError: it is still running.
        """
        with self._service.lock:
            job = self._live(name)
            if job is None:
                return None
            if not job.import_state.over:
                raise RefusalError(
                    409, "Conflict", f"Import job {name} is {job.import_state}; cancel it or wait for its end."
                )
            operation = self._service.begin_operation("importJobs.delete")
            self._service.imports[name] = replace(job, gone=operation.ends or NEVER)
            self._service.save()
            return operation

    def stop(self) -> None:
        """Stop all runs without an end, so that a restart takes them up."""
        with self._service.lock:
            for run in self._runs.values():
                run.stop.set()

    def _live(self, name: str) -> ImportJob | None:
        job = self._service.imports.get(name)
        if job is None:
            return None
        if job.gone is not None and job.gone <= datetime.now(UTC):
            del self._service.imports[name]
            return None
        run = self._runs.get(name)
        return replace(job, counts=run.tally.counts(time.monotonic() - run.started)) if run else job

    def _again(self, there: ImportJob, wish: ImportWish) -> ImportJob:
        same = (there.prefixes, there.mode, there.max_errors) == (wish.prefixes, wish.mode, wish.max_errors)
        if there.gone is not None or not same:
            state = "is being deleted" if there.gone is not None else "has other values, which cannot be changed"
            raise RefusalError(409, "Conflict", f"Import job {wish.name} exists and {state}.")
        return there

    def _start(self, job: ImportJob, *, taken: bool = False) -> None:
        service = self._service
        if not taken:
            service.take_slot(f"importJobs/{job.name}")
        self._runs[job.name] = run = Run(job.prefixes, job.mode, job.max_errors, KIND)
        number = service.journal.begin(KIND, job.name, job.prefixes)
        service.spawn(f"amlfs-import-{job.name}", lambda: self._work(job, run, number))

    def _work(self, job: ImportJob, run: Run, number: int) -> None:
        service = self._service
        marker = Marker(service.tree, job.started)
        marker.show(ImportState.IN_PROGRESS)
        importer = Importer(service.tree, service.contents, service.faults, service.rates, service.hierarchical)
        try:
            outcome = importer.run(run)
        except Exception as error:
            log.exception("import failed job=%s", job.name)
            outcome = Outcome(ImportState.FAILED, f"The import job failed: {error}")
        if outcome.import_state is ImportState.IN_PROGRESS:
            if service.closing.is_set():
                service.journal.end(number, "stopped")
                return
            marker.show(ImportState.CANCELLING)
            service.closing.wait(service.rates.cancel_seconds)
            outcome = Outcome(ImportState.CANCELED)
        marker.show(outcome.import_state)
        with service.lock:
            service.journal.end(number, outcome.import_state)
            self._end(job, outcome)
            service.save()

    def _end(self, job: ImportJob, outcome: Outcome) -> None:
        run = self._runs.pop(job.name, None)
        current = self._service.imports[job.name]
        self._service.imports[job.name] = replace(
            current,
            import_state=outcome.import_state,
            message=outcome.message,
            completed=datetime.now(UTC),
            counts=run.tally.counts(time.monotonic() - run.started) if run else current.counts,
        )
        self._service.free_slot(KIND)


class Marker:
    """The file IMPORT_<state>.<timestamp_start> in the root during an import, deleted on success (blob-integration.md).

    The form of the timestamp is not recorded; ISO 8601 without separators is used.
    """

    def __init__(self, tree: Lustre, started: datetime) -> None:
        self._tree = tree
        self._stamp = started.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

    def show(self, import_state: ImportState) -> None:
        """Put the marker of this state in the place of any other of this import; none after Completed."""
        with contextlib.suppress(OSError):
            for other in ImportState:
                there = self._tree.look(self._name(other)) is not None
                if there and (other is not import_state or other is ImportState.COMPLETED):
                    self._tree.remove(self._name(other))
            if import_state is not ImportState.COMPLETED and self._tree.look(self._name(import_state)) is None:
                self._tree.add_marker(self._name(import_state))

    def _name(self, import_state: ImportState) -> str:
        return f"IMPORT_{import_state}.{self._stamp}"
