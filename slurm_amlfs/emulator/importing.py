"""One import: walk the blobs under the prefixes, and make each one's name and attributes on the emulated Lustre.

Only names and attributes come; contents are pulled at first access (blob-integration.md, create-import-job.md).
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import queue
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field

from slurm_amlfs.domain.view import FileKind, ImportState
from slurm_amlfs.emulator import metadata, names
from slurm_amlfs.emulator.conflict import Decision, Mode, Step, Wanted, decide, wanted
from slurm_amlfs.emulator.contents import Blob, Contents
from slurm_amlfs.emulator.faults import Faults, Name
from slurm_amlfs.emulator.jobs import Tally
from slurm_amlfs.emulator.lustre import Lustre
from slurm_amlfs.emulator.rates import Pace, Rates

log = logging.getLogger(__name__)

BATCH = 250
"""Blobs handed from the walk to the import at once: few enough for smooth counters, enough to cost nothing."""

BATCH_SECONDS = 0.02
"""How long a blob waits for its batch to fill."""

WAITING_BATCHES = 400
"""How far the walk may be ahead of the import (100,000 blobs), which bounds the memory."""

LOGGED_ERRORS = 1000
"""Errors of one import that are logged one by one."""

PARENT_ERRORS = frozenset({errno.ENOTDIR, errno.EEXIST, errno.EISDIR})


@dataclass(slots=True)
class Run:
    """A running import, shared with whoever watches it. `stop` ends it early: cancelled, or the emulator ends."""

    prefixes: tuple[str, ...]
    mode: Mode
    max_errors: int
    action: str = "import"
    tally: Tally = field(default_factory=Tally)
    stop: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)
    listing_error: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an import ended; IN_PROGRESS when it was stopped."""

    import_state: ImportState
    message: str = ""


@dataclass(frozen=True, slots=True)
class Importer:
    """What every import needs."""

    tree: Lustre
    contents: Contents
    faults: Faults
    rates: Rates
    hierarchical: bool

    def run(self, run: Run) -> Outcome:  # noqa: PLR0911 - one per outcome
        """Import until the end, the first conflict under Fail, or one error more than `max_errors`.

        Completed: every blob found was imported or was there already. CompletedPartial: there were errors or
        conflicts that stayed. Failed: fatal (specification, ImportStatusType).
        """
        both = names.overlap(run.prefixes, hierarchical=self.hierarchical)
        if both:
            return Outcome(ImportState.FAILED, f"Import prefixes {both[0]} and {both[1]} overlap")
        run.stop.wait(self.rates.import_overhead_seconds)
        pace = Pace(self.rates.import_per_second)
        with contextlib.closing(self._walked(run)) as blobs:
            for number, blob in enumerate(blobs):
                pace.postpone(self.faults.hold(run.action, run.stop))
                pace.wait(number, run.stop)
                if run.stop.is_set():
                    break
                fatal = self._one(run, blob)
                if fatal:
                    return Outcome(ImportState.FAILED, fatal)
        self.faults.hold(run.action, run.stop)
        if run.stop.is_set():
            return Outcome(ImportState.IN_PROGRESS)
        if run.listing_error:
            return Outcome(ImportState.FAILED, run.listing_error)
        if self.faults.take(Name.FAIL, run.action):
            return Outcome(ImportState.FAILED, "The import job failed")
        if run.tally.errors or run.tally.skipped:
            return Outcome(ImportState.COMPLETED_PARTIAL, "Import job completed with errors or conflicts")
        return Outcome(ImportState.COMPLETED)

    def _one(self, run: Run, blob: Blob) -> str:
        """Import one blob; return why the whole job fails, or ""."""
        fault = self.faults.peek(Name.FAIL, run.action)
        if fault and run.tally.imported >= fault.after and self.faults.take(Name.FAIL, run.action):
            return fault.message or "The import job failed"
        try:
            return self._import(run, blob)
        except (OSError, ValueError) as error:
            run.tally.errors += 1
            if run.tally.errors <= LOGGED_ERRORS:
                log.warning("import error blob=%r error=%s", blob.name, error)
            if 0 <= run.max_errors < run.tally.errors:
                return f"The import job had more errors than its limit of {run.max_errors}; the last: {error}"
            return ""

    def _import(self, run: Run, blob: Blob) -> str:
        posix = metadata.read(blob.metadata)
        path = blob.name.rstrip("/") if posix.kind is FileKind.DIRECTORY else blob.name
        problem = names.why_no_path(path)
        if problem:
            raise ValueError(f"the blob's name cannot be a path: {problem}")
        if self.faults.strikes(run.action, blob.name):
            raise OSError(errno.EIO, "the emulator was asked to fail this blob")
        target = posix.target
        if posix.kind is FileKind.SYMLINK and not target:
            target = self._content(blob.name)
        want = wanted(blob, posix, target)
        made = decide(self.tree.look(path), want, run.mode)
        if made.step is not Step.KEEP and made.step is not Step.SKIP and made.step is not Step.ABORT:
            made = self._make(path, want, made, run.mode)
        _count(run.tally, want.kind, made)
        if made.step is Step.ABORT:
            return f"The import job found a conflict at /{path}"
        return ""

    def _make(self, path: str, want: Wanted, made: Decision, mode: Mode) -> Decision:
        """Do it; a file in the place of one of the parents is a conflict like any other.

        A directory that is to be replaced and is not empty cannot be removed, which counts as an error.
        """
        if made.step is Step.REFRESH:
            self.tree.update_attributes(path, want.mtime_ns, want.uid, want.gid, want.mode)
            return made
        if made.step is Step.REPLACE:
            self.tree.remove(path)
        try:
            self._create(path, want)
        except OSError as error:
            obstacle = self._obstacle(path) if error.errno in PARENT_ERRORS else ""
            if not obstacle:
                raise
            if mode in {Mode.FAIL, Mode.SKIP}:
                return Decision(Step.ABORT if mode is Mode.FAIL else Step.SKIP, conflict=True)
            self.tree.remove(obstacle)
            self._create(path, want)
            return Decision(Step.REPLACE, conflict=True)
        return made

    def _obstacle(self, path: str) -> str:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            there = self.tree.look(above)
            if there is not None and there.kind is not FileKind.DIRECTORY:
                return above
        return ""

    def _create(self, path: str, want: Wanted) -> None:
        if want.kind is FileKind.DIRECTORY:
            self.tree.add_directory(path, want.uid, want.gid, want.mode)
        elif want.kind is FileKind.SYMLINK:
            self.tree.add_symlink(path, want.target, want.uid, want.gid)
        else:
            self.tree.add_released(path, want.size, want.mtime_ns, want.uid, want.gid, want.mode)

    def _content(self, name: str) -> str:
        into = io.BytesIO()
        self.contents.fetch(name, into)
        return into.getvalue().decode("utf-8", "surrogateescape")

    def _walked(self, run: Run) -> Generator[Blob, None, None]:
        """Stream the blobs while another thread lists them at the walk's own rate."""
        batches: queue.Queue[list[Blob] | None] = queue.Queue(WAITING_BATCHES)
        done = threading.Event()
        walker = threading.Thread(target=self._walk, args=(run, batches, done), name="amlfs-walk", daemon=True)
        walker.start()
        try:
            while (batch := batches.get()) is not None:
                yield from batch
        finally:
            done.set()
            while walker.is_alive():
                with contextlib.suppress(queue.Empty):
                    batches.get(timeout=0.01)
            walker.join()

    def _walk(self, run: Run, batches: queue.Queue[list[Blob] | None], done: threading.Event) -> None:
        pace = Pace(self.rates.walk_per_second)
        batch: list[Blob] = []
        handed = time.monotonic()
        try:
            for prefix in run.prefixes:
                for blob in self.contents.walk(names.normal(prefix)[1:]):
                    if not names.taken(prefix, blob.name, hierarchical=self.hierarchical):
                        continue
                    run.tally.walked += 1
                    batch.append(blob)
                    if len(batch) >= BATCH or time.monotonic() - handed > BATCH_SECONDS:
                        batches.put(batch)
                        batch, handed = [], time.monotonic()
                    pace.wait(run.tally.walked, run.stop)
                    if run.stop.is_set() or done.is_set():
                        return
        except OSError as error:
            run.listing_error = str(error)
        finally:
            batches.put(batch)
            batches.put(None)


def _count(tally: Tally, kind: FileKind, made: Decision) -> None:
    if made.conflict:
        tally.conflicts += 1
    if made.step is Step.SKIP:
        tally.skipped += 1
    if made.step is Step.SKIP or made.step is Step.ABORT:
        return
    tally.imported += 1
    if kind is FileKind.REGULAR and not made.preexisting:
        tally.files += 1
        return
    word = {FileKind.DIRECTORY: "directories", FileKind.SYMLINK: "symlinks"}.get(kind, "files")
    name = f"preexisting_{word}" if made.preexisting else word
    setattr(tally, name, getattr(tally, name) + 1)
