"""A desk in hold mode: Slurm as it treats held jobs, seen only through its records."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from slurm_amlfs.domain.errand import TurnGate, WriteReceipt
from slurm_amlfs.domain.reconcile import Decision, decide
from slurm_amlfs.domain.report import Done, Fault, Report, Trouble
from slurm_amlfs.domain.view import FileSystemView, Hold, JobName, JobRecord, JobView, SpaceView
from slurm_amlfs.domain.world import FsSeen, Mode, Seen
from slurm_amlfs.wire import Request, RequestKind
from tests.unit.domain.desk import ALICE, RULES, Desk

HOLDING = replace(RULES, mode=Mode.HOLD)
IN, OUT = "stage_in prefix=/a/", "stage_out prefix=/jobs/7/"
TROUBLE = Trouble(Fault.TEMPORARY, "Slurm does not answer")
REASONS = {Hold.NONE: "Priority", Hold.OWNER: "JobHeldUser", Hold.ADMIN: "JobHeldAdmin"}


class HoldDesk(Desk):
    """Records of a Slurm without burst buffer plugin; a pass sees them all, and what it wishes for waits for `act`."""

    def __init__(self) -> None:
        super().__init__(HOLDING)
        self.roll: dict[int, JobRecord] = {}
        self.silent = False

    def go(self, *requests: Request, reports: tuple[Report, ...] = (), after: float = 1) -> Decision:
        """Let some seconds go by and make a pass, with a look at Slurm that is younger than all before."""
        self.now += timedelta(seconds=after)
        view = FileSystemView(self.health, "planned", "Succeeded", self.archives)
        slot = FsSeen(self.now, tuple(self.imports.values()), view)
        roll = {} if self.silent else self.roll
        asked = frozenset() if self.silent else frozenset({*self.records.jobs, *roll, *(it.job_id for it in requests)})
        world = Seen(
            self.now,
            frozenset(self.running),
            None if self.silent else {job_id: it.job for job_id, it in roll.items()},
            asked,
            {"amlfs": slot},
            spaces={"amlfs": SpaceView(10**15, 10**15)},
            declared=dict(roll),
        )
        self.decision = decide(self.records, self.rules, world, requests, reports)
        self.records = self.decision.records
        self.events += self.decision.events
        return self.decision

    # What Slurm and its users do.

    def come(  # noqa: PLR0913 - what a record can have
        self,
        *lines: str,
        job_id: int = 7,
        hold: Hold = Hold.OWNER,
        owner_holds: bool = False,
        tasks: int = 1,
        name: str = "",
        after: frozenset[JobName] = frozenset(),
        begins: datetime | None = None,
        leader: int = 0,
    ) -> None:
        """Submit a job; job_submit has held it."""
        job = JobView(job_id, ALICE, "PENDING", REASONS[hold], held=hold is not Hold.NONE, submitted=self.now)
        self.roll[job_id] = JobRecord(job, lines or (IN, OUT), name, tasks, after, begins, leader, owner_holds)

    def alter(self, job_id: int = 7, **more: object) -> None:
        """Change a job's view."""
        record = self.roll[job_id]
        self.roll[job_id] = replace(record, job=replace(record.job, **more))  # type: ignore[arg-type]

    def hold(self, hold: Hold, job_id: int = 7) -> None:
        """Give a pending job this hold."""
        self.alter(job_id, held=hold is not Hold.NONE, reason=REASONS[hold])

    def hold_of(self, job_id: int = 7) -> Hold:
        """Say how a job is held."""
        return self.roll[job_id].job.hold

    def act(self, *, well: bool = True) -> list[TurnGate]:
        """Do every turn of a gate that the last pass wished for, and report."""
        turns = self.wished(TurnGate)
        for it in turns:
            if well and self.roll[it.job_id].job.job_state == "PENDING":
                self.hold(it.hold, it.job_id)
        result = Done() if well else TROUBLE
        if turns:
            self.go(reports=tuple(Report(it, result) for it in turns))
        return turns

    def start(self, job_id: int = 7) -> None:  # type: ignore[override]
        """Let a job that is not held start."""
        assert self.hold_of(job_id) is Hold.NONE
        self.alter(job_id, job_state="RUNNING")
        self.go(self.note(RequestKind.PRE_RUN, job_id))

    def note(self, kind: RequestKind, job_id: int = 7, code: int = -1, *lines: str) -> Request:
        """Write a note as PrologSlurmctld and EpilogSlurmctld do."""
        token = f"run-{self.roll[job_id].job.restarts}"
        return Request(kind, job_id, token, ALICE, ALICE, exit_code=code, directives=lines, sender_uid=0)

    def requeue(self, job_id: int = 7, hold: Hold = Hold.NONE) -> None:
        """Put a job back into the queue."""
        restarts = self.roll[job_id].job.restarts + 1
        self.alter(job_id, job_state="PENDING", restarts=restarts, submitted=self.now)
        self.hold(hold, job_id)

    # Whole stretches.

    def receipt(self) -> None:
        """Write all receipts that are wished for; first drop what may lie there."""
        self.drop_receipts()
        self.go(reports=tuple(Report(it, Done()) for it in self.wished(WriteReceipt)))

    def let_go(self) -> None:
        """Let a job that only exports start, from its first sight on."""
        self.settle()
        self.act()
        self.settle()
        self.receipt()
        self.settle()
        self.act()
        self.start()

    def bring(self) -> None:
        """Bring a job's data in, from its first sight on, to where it is proved and its nodes can see it."""
        self.settle()
        self.act()
        self.drop_receipts()
        self.go()
        self.count()
        Desk.start(self)
        self.land()
        self.prove()
        self.receipt()
        self.settle()
