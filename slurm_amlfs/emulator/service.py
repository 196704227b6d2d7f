"""What the three kinds of actions share: the one slot, the records, the operations, and the lock over them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from slurm_amlfs.emulator.contents import Contents
from slurm_amlfs.emulator.faults import Faults, Name
from slurm_amlfs.emulator.jobs import Archive, AutoJob, AutoKind, ImportJob, Operation
from slurm_amlfs.emulator.journal import Journal
from slurm_amlfs.emulator.ledger import KEPT_OPERATIONS, Ledger, Memory
from slurm_amlfs.emulator.lustre import Lustre
from slurm_amlfs.emulator.rates import Rates
from slurm_amlfs.emulator.refusal import Conflict, RefusalError

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class Service:
    """One file system's state. Everything mutable here is read and changed under `lock`.

    One slot: "no more than one blob integration job (like manual export, auto-export, and import) can run at a time"
    (auto-export.md; the same in blob-integration.md and auto-import.md).
    """

    def __init__(  # noqa: PLR0913 - it is put together in one place, by name
        self,
        *,
        tree: Lustre,
        contents: Contents,
        rates: Rates,
        faults: Faults,
        journal: Journal,
        ledger: Ledger,
        hierarchical: bool = False,
        conflict: Conflict | None = None,
    ) -> None:
        self.tree = tree
        self.contents = contents
        self.rates = rates
        self.faults = faults
        self.journal = journal
        self.hierarchical = hierarchical
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self._ledger = ledger
        self._conflict = conflict or Conflict()
        self._holder = ""
        self._free_at = 0.0
        self._threads: list[threading.Thread] = []
        memory = ledger.load()
        self.imports: dict[str, ImportJob] = {job.name: job for job in memory.imports}
        self.archive: Archive | None = memory.archive
        self.autos: dict[tuple[AutoKind, str], AutoJob] = {(job.kind, job.name): job for job in memory.autos}
        self.operations: dict[str, Operation] = {one.id: one for one in memory.operations}

    def save(self) -> None:
        """Write the records to disk (lock held)."""
        while len(self.operations) > KEPT_OPERATIONS:
            del self.operations[next(iter(self.operations))]
        self._ledger.save(
            Memory(
                tuple(self.imports.values()),
                self.archive,
                tuple(self.autos.values()),
                tuple(self.operations.values()),
            )
        )

    def take_slot(self, who: str) -> None:
        """Take the slot (lock held).

        Raises:
            RefusalError: somebody has it.
        """
        if self._holder or time.monotonic() < self._free_at:
            holder = self._holder or "an action that is being wound up"
            raise RefusalError(
                self._conflict.status,
                self._conflict.code,
                f"Only one import or export action can run at a time; {holder} is running.",
            )
        self._holder = who

    def free_slot(self, kind: str) -> None:
        """Give the slot back (lock held); later, when SLOW_RELEASE is set."""
        fault = self.faults.take(Name.SLOW_RELEASE, kind)
        self._holder = ""
        self._free_at = time.monotonic() + (fault.seconds if fault else 0.0)

    def begin_operation(self, request: str) -> Operation:
        """Make the operation of a request (lock held).

        It succeeds when the action has been started, not when it is done: in the recorded Azure PowerShell traffic the
        operation ended 20:35:36.25 and the import 20:35:38.31.
        """
        now = datetime.now(UTC)
        ends: datetime | None = now + timedelta(seconds=self.rates.operation_seconds)
        if self.faults.take(Name.ENDLESS, request):
            ends = None
        made = Operation(str(uuid.uuid4()), now, ends)
        fault = self.faults.take(Name.FAIL_OPERATION, request)
        if fault:
            message = fault.message or "The operation failed"
            made = replace(made, error_code="InternalServerError", error_message=message)
        self.operations[made.id] = made
        return made

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        """Run an action in a thread of its own."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait for all actions to notice that they were stopped."""
        for thread in self._threads:
            thread.join()
