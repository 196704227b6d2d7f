"""A desk on which tests pass requests, reports and looks to `decide`, and keep the records that come back.

The world that it shows is kind unless a test says otherwise: Slurm answers, the slot is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.bulletin import answer_in, answer_out, compose
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.errand import Count, DropReceipt, Errand, Evict, Free, ProveIn, ProveOut, Start, WriteReceipt
from slurm_amlfs.domain.foreseeing import foresee
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.reconcile import Decision, decide
from slurm_amlfs.domain.records import Event, Job, Records, Stage, StageKey, Transfer
from slurm_amlfs.domain.report import Counted, Done, Examined, Exported, Fault, Freed, Report, Result, Started, Trouble
from slurm_amlfs.domain.view import (
    ArchiveState,
    ArchiveView,
    FileSystemView,
    ImportState,
    ImportView,
    JobName,
    JobView,
    LivingJob,
    QueuedJob,
    SpaceView,
)
from slurm_amlfs.domain.world import Foreseen, FsRules, FsSeen, Rules, Seen
from slurm_amlfs.wire import Answer, Board, Request, RequestKind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALICE = 61001
BOB = 61002
RULES = Rules(
    file_systems={"amlfs": FsRules("amlfs", "/lustre", Namespace.FLAT)},
    grants=(Grant("*", None, ("/",), ("/jobs/", "/shared/")),),
    epoch="e1",
)
BUSY = Trouble(Fault.TEMPORARY, "Azure refused (HTTP 409 Conflict); it goes on by itself")

E = TypeVar("E", bound=Errand)


class Desk:
    """Records, a clock, and what the world shows."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.now = NOON
        self.records = Records()
        self.decision: Decision | None = None
        self.events: list[Event] = []
        self.jobs: dict[int, JobView] | None = {}
        self.imports: dict[str, ImportView] = {}
        self.archives: tuple[ArchiveView, ...] = ()
        self.auto_jobs: tuple[str, ...] = ()
        self.health = "Available"
        self.provisioning_state = "Succeeded"
        self.trouble = ""
        self.looked = True
        self.running: set[str] = set()
        self.space: SpaceView | None = SpaceView(10**15, 10**15)
        self.spaceless: dict[str, str] = {}
        self.queue: list[QueuedJob] = []
        self.foreseen: dict[LeaseKey, Foreseen] = {}
        self.awaited: Mapping[JobName, tuple[QueuedJob, ...]] = {}
        self.living: tuple[LivingJob, ...] = ()
        self.unadopted = False
        self.remarks: list[Event] = []
        self._tokens = 0

    # One pass.

    def go(self, *requests: Request, reports: tuple[Report, ...] = (), after: float = 1) -> Decision:
        """Let some seconds go by and make a pass."""
        self.now += timedelta(seconds=after)
        asked = frozenset(self.records.jobs) | frozenset(request.job_id for request in requests)
        view = FileSystemView(self.health, "planned", self.provisioning_state, self.archives)
        seen = FsSeen(self.now, tuple(self.imports.values()), view, self.auto_jobs)
        if self.trouble:
            seen = FsSeen(self.now, trouble=self.trouble)
        file_systems = dict.fromkeys(self.rules.file_systems, seen) if self.looked else {}
        jobs = self.jobs
        known = frozenset() if jobs is None else asked
        spaces = {} if self.space is None else dict.fromkeys(self.rules.file_systems, self.space)
        world = Seen(
            self.now,
            frozenset(self.running),
            jobs,
            known,
            file_systems,
            foreseen={**foresee(self.queue, self.rules), **self.foreseen},
            awaited=self.awaited,
            spaces=spaces,
            spaceless=self.spaceless,
            living=self.living,
            unadopted=self.unadopted,
        )
        self.decision = decide(self.records, self.rules, world, requests, reports)
        self.records = self.decision.records
        self.events += self.decision.events
        self.remarks += self.decision.remarks
        return self.decision

    def report(self, errand: Errand, result: Result, *, after: float = 1) -> Decision:
        """Report what came of an errand, and make a pass."""
        return self.go(reports=(Report(errand, result),), after=after)

    def settle(self, *requests: Request) -> None:
        """Make passes, as the loop does, until none is wanted at once."""
        for _ in range(9):
            decision = self.go(*requests, after=0)
            requests = ()
            if decision.wake is None or decision.wake > self.now:
                return
        raise AssertionError("passes are wanted without end")

    # What was decided.

    def wished(self, kind: type[E]) -> list[E]:
        """List the wishes of one kind of the last pass."""
        assert self.decision is not None
        return [errand for errand in self.decision.errands if isinstance(errand, kind)]

    def wish(self, kind: type[E]) -> E:
        """Give the one wish of a kind of the last pass."""
        [errand] = self.wished(kind)
        return errand

    def job(self, job_id: int = 7) -> Job:
        """Give a job's record."""
        return self.records.jobs[job_id]

    def stage(self, job_id: int = 7, direction: Direction = Direction.IN, line: int = 0) -> Stage:
        """Give a stage."""
        return self.records.stages[StageKey(job_id, direction, line)]

    def lease(self, prefix: str) -> Lease:
        """Give the one lease of a prefix."""
        [held] = [it for it in self.records.all_leases() if it.key.prefix == prefix]
        return held

    def out(self, job_id: int = 7, line: int = 0) -> Stage:
        """Give a stage-out."""
        return self.stage(job_id, Direction.OUT, line)

    def transfer(self) -> Transfer:
        """Give the one transfer that holds the slot."""
        [transfer] = [it for it in self.records.transfers.values() if it.holds_slot]
        return transfer

    def board(self, job_id: int = 7) -> Board:
        """Give what the job's board says."""
        return compose(self.records, self.rules, self.job(job_id), self.now, ())

    def answers(self, job_id: int = 7) -> tuple[Answer, Answer]:
        """Give what the hooks of both directions would answer Slurm now."""
        ins, outs = (list(self.records.of_job(job_id, it)) for it in Direction)
        return answer_in(self.job(job_id), ins), answer_out(self.job(job_id), outs)

    def words(self, job_id: int = 7) -> list[str]:
        """List the words of a job's timeline."""
        return [event.word for event in self.events if event.job_id == job_id]

    # What Slurm does.

    def token(self) -> str:
        """Make the token of a new ask."""
        self._tokens += 1
        return f"{self._tokens}-1"

    def request(self, kind: RequestKind, *lines: str, job_id: int = 7, hurry: bool = False, code: int = -1) -> Request:
        """Make a request of a hook."""
        token = self.token() if kind in {RequestKind.DATA_IN, RequestKind.DATA_OUT} else ""
        return Request(kind, job_id, token, ALICE, ALICE, hurry=hurry, exit_code=code, directives=lines, sender_uid=0)

    def show(self, job_state: str, job_id: int = 7, **more: object) -> None:
        """Let Slurm show a job."""
        assert self.jobs is not None
        self.jobs[job_id] = replace(JobView(job_id, ALICE, job_state), **more)  # type: ignore[arg-type]

    def submit(self, *lines: str, job_id: int = 7) -> Request:
        """Let Slurm begin to stage a job; give the data_in request."""
        if self.jobs is not None:
            self.show("PENDING", job_id)
        ask = self.request(RequestKind.DATA_IN, *lines, job_id=job_id)
        self.go(self.request(RequestKind.SETUP, *lines, job_id=job_id), ask)
        return ask

    def end(self, *lines: str, job_id: int = 7, code: int = 0) -> Request:
        """Let a job end; give the data_out request."""
        self.show("STAGE_OUT", job_id, exit_code=code)
        ask = self.request(RequestKind.DATA_OUT, *lines, job_id=job_id)
        self.go(self.request(RequestKind.POST_RUN, job_id=job_id, code=code), ask)
        self.go()
        self.settle()
        return ask

    def leave(self, job_id: int = 7, job_state: str = "COMPLETED") -> None:
        """Let a job leave Slurm."""
        self.show(job_state, job_id)
        self.go()
        self.settle(self.request(RequestKind.TEARDOWN, job_id=job_id))

    # What the world does.

    def count(self, files: int = 3, total_bytes: int = 300, *, there: bool = False) -> None:
        """Answer every wish to count: each prefix is one part."""
        self.go(reports=tuple(Report(it, counted(it, files, total_bytes, there=there)) for it in self.wished(Count)))

    def start(self) -> Transfer:
        """Let Azure take the transfer that is wished for, and show it under way."""
        errand = self.wish(Start)
        self.show_transfer(errand.transfer)
        self.report(errand, Started("corr-1"))
        return self.records.transfers[errand.transfer.transfer_id]

    def show_transfer(
        self, transfer: Transfer, state: ImportState = ImportState.IN_PROGRESS, **figures: object
    ) -> None:
        """Show a transfer under way, or an import as a test says."""
        if transfer.transfer_id.startswith("archive-"):
            self.archives = (ArchiveView(transfer.prefixes[0], ArchiveState.IN_PROGRESS, started=self.now),)
        else:
            shown = ImportView(transfer.transfer_id, state, transfer.prefixes, started=transfer.created)
            self.imports[transfer.transfer_id] = replace(shown, **figures)  # type: ignore[arg-type]

    def land(self, state: ImportState = ImportState.COMPLETED, **figures: object) -> None:
        """End the import under way, and let its stages land."""
        self.show_transfer(self.transfer(), state, **figures)
        self.settle()

    def archived(self, state: ArchiveState = ArchiveState.COMPLETED, error: str = "") -> None:
        """End the archive under way, and let its stage land."""
        [archive] = self.archives
        self.archives = (replace(archive, archive_state=state, error=error, percent=100),)
        self.settle()

    def prove(self, examined: Examined | None = None) -> None:
        """Answer every wish to prove a stage-in: all is there, or as a test says."""
        result = examined or looked_at()
        self.go(reports=tuple(Report(it, result) for it in self.wished(ProveIn)))

    def prove_out(self, exported: Exported) -> None:
        """Answer the wish to prove a stage-out."""
        self.report(self.wish(ProveOut), exported)

    def receipt(self) -> None:
        """Write the receipt that is wished for; first drop what may lie there."""
        self.drop_receipts()
        self.report(self.wish(WriteReceipt), Done())

    def drop_receipts(self) -> None:
        """Answer every wish to drop a receipt."""
        assert self.decision is not None
        for errand in self.decision.errands:
            if isinstance(errand, DropReceipt):
                self.report(errand, Done())

    def free(self) -> None:
        """Answer every wish to free space."""
        self.go(reports=tuple(Report(it, Freed(3, 300)) for it in self.wished(Free)))

    def evict(self) -> None:
        """Answer every wish to give a lease's bytes back, until there are no more."""
        while wished := self.wished(Evict):
            self.go(reports=tuple(Report(it, Freed(3, 300)) for it in wished))
            self.settle()

    # Whole stretches of a job's life.

    def stage_in(self, *lines: str, job_id: int = 7) -> Request:
        """Bring a job to where its stage-in is proved and its nodes can see it."""
        ask = self.submit(*lines, job_id=job_id)
        self.drop_receipts()
        self.go()
        self.count()
        self.start()
        self.land()
        self.prove()
        self.receipt()
        return ask

    def run(self, job_id: int = 7) -> None:
        """Let a job run."""
        self.show("RUNNING", job_id)
        self.settle(self.request(RequestKind.PRE_RUN, job_id=job_id))


def counted(errand: Count, files: int = 3, total_bytes: int = 300, **more: object) -> Counted:
    """Make what a count found: one part, nothing there yet unless said otherwise."""
    cuts = (Cut(errand.lease.prefix, files, total_bytes),) if files else ()
    found = Counted(files, total_bytes, cuts, wanted=errand.wanted)
    return replace(found, **more)  # type: ignore[arg-type]


def unproved(*todo: str, files: int = 3, done: int = 0, under_way: int = 0) -> Exported:
    """Say that an export is not there yet."""
    parts = tuple(Cut(path, files, 100 * files) for path in todo)
    return Exported(files, done, 100 * files, 100 * done, under_way, parts, ("/jobs/7/a",))


def proved(files: int = 3) -> Exported:
    """Say that an export is proved."""
    return Exported(files, files, 100 * files, 100 * files)


def looked_at(**more: object) -> Examined:
    """Make what a proof found, all well unless said otherwise."""
    whole = Examined(settled=True, files=3, files_done=3, total_bytes=300, bytes_done=300)
    return replace(whole, **more)  # type: ignore[arg-type]
