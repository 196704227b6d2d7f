"""The model of the world with jobs in it and a daemon that makes passes, so that whole schedules can be drawn.

Each errand is reported in the pass after it was done, at the earliest; Slurm is as good as it can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from slurm_amlfs.domain import lease
from slurm_amlfs.domain.ask import Direction, Hydrate
from slurm_amlfs.domain.errand import (
    Errand,
    key_of,
)
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Report
from slurm_amlfs.domain.view import QueuedJob, SpaceView
from slurm_amlfs.domain.world import Rules
from slurm_amlfs.wire import Answer, Request, RequestKind
from tests.unit.domain.desk import ALICE, RULES
from tests.unit.domain.model_world import World

PACE = 2.0
"""Seconds between two passes while nothing happens."""

LATENCY = 0.1
"""Seconds that errands take."""


class Model(World):
    """Jobs that come and go. `running_seconds` is how long they run."""

    def __init__(self, blobs: Mapping[str, int], rules: Rules = RULES, total_bytes: int = 10**12) -> None:
        super().__init__(blobs, rules, total_bytes)
        self.running_seconds = 30.0
        self.passes = 0
        self.doing: dict[str, Errand] = {}
        self.reports: list[Report] = []
        self.inbox: list[Request] = []
        self.lines: dict[int, tuple[str, ...]] = {}
        self.all_errands: list[Errand] = []

    # What tests do and ask.

    def come(self, job_id: int, *lines: str, priority: int = 100) -> None:
        """Let Slurm begin to stage a job."""
        self.lines[job_id], self.place[job_id] = lines, "staging"
        self.show("PENDING", job_id, priority=priority)
        kinds = (RequestKind.SETUP, RequestKind.DATA_IN)
        self.inbox += [self.request(kind, *lines, job_id=job_id) for kind in kinds]

    def foresee(self, job_id: int, prefix: str, tasks: int = 1) -> None:
        """Put a job into Slurm's queue that is not staged yet."""
        self.queue.append(QueuedJob(job_id, ALICE, (f"stage_in prefix={prefix}",), tasks=tasks))

    def phases(self) -> dict[int, str]:
        """Say where each job is."""
        return dict(sorted(self.place.items()))

    def run_all(self, most: int) -> None:
        """Go on until every job is over or held, and nothing is under way; raise if that takes too many passes."""
        for _ in range(most):
            self.step()
            if self.is_quiet():
                return
        stages = [(str(it.key), it.phase.value, it.message) for it in self.records.stages.values()]
        raise AssertionError(f"not settled after {most} passes: {stages}, {self.phases()}")

    def is_quiet(self) -> bool:
        """Say whether all jobs are over or held, and nothing goes on."""
        busy = self.doing or self.inbox or self.reports or self.records.transfers
        return not busy and set(self.place.values()) <= {"over", "held"}

    def carried(self) -> set[str]:
        """Give all blobs that imports were begun for."""
        return {path for it in self.turns if it.leases for prefix in it.prefixes for path in self.under(prefix)}

    def needs(self) -> Iterator[tuple[int, str]]:
        """Yield the prefixes that living stages need, with their jobs."""
        for stage in self.records.stages.values():
            if not stage.phase.over:
                yield from ((stage.key.job_id, prefix) for prefix in stage.ask.prefixes)

    def is_promised(self, job_id: int) -> bool:
        """Say whether a job runs, or was let in with all that it needs."""
        if self.place[job_id] != "staging":
            return self.place[job_id] != "held"
        stages = [it for it in self.records.of_job(job_id, Direction.IN) if it.ask.hydrate is Hydrate.ALL]
        keys = [key for it in stages for key in lease.keys(Namespace.FLAT, it.fs, it.ask)]
        return all((held := self.records.leases.get(key)) is not None and held.let_in for key in keys)

    # One pass.

    def step(self, *, late: Iterable[str] = (), jump: float = 0.0) -> None:
        """Let time go by, everything come forward, and make a pass.

        Errands whose key is in `late` stay under way; `jump` is what the daemon's clock is set forward or back.
        """
        wake = None if self.decision is None else self.decision.wake
        soon = (wake is not None and wake <= self.now) or self.doing or self.reports or self.inbox
        seconds = LATENCY if soon else PACE
        self.passed += seconds
        self.passes += 1
        self.azure_goes_on()
        for job_id in list(self.place):
            self._slurm(job_id)
        reports, self.reports = tuple(self.reports), []
        heard, self.inbox = self.inbox, []
        self.running = set(self.doing)
        if self.space is not None:
            self.space = SpaceView(self.total_bytes, self.free_bytes)
        self.decision = self.go(*heard, reports=reports, after=seconds + jump)
        self.inbox = list(self.decision.unheard) + self.inbox
        self.check(self.decision.errands)
        for errand in self.decision.errands:
            self.doing.setdefault(key_of(errand), errand)
        for key in [it for it in self.doing if it not in set(late)]:
            errand = self.doing.pop(key)
            self.reports.append(Report(errand, self.do(errand)))

    def check(self, errands: Iterable[Errand]) -> None:
        """Assert what holds after every pass; tests add to it."""
        assert sum(it.holds_slot for it in self.records.transfers.values()) <= 1
        self.all_errands += errands
        for job_id, where in self.place.items():
            if where == "running":
                self._assert_whole(job_id)

    def _assert_whole(self, job_id: int) -> None:
        for stage in self.records.of_job(job_id, Direction.IN):
            for prefix in stage.ask.prefixes:
                for path in self.under(prefix):
                    lacks = path.startswith(self.lacking) if self.lacking else False
                    whole = stage.ask.hydrate is not Hydrate.ALL or self.files.get(path)
                    assert lacks or (path in self.files and whole), f"{path} is not whole under job {job_id}"

    # Slurm.

    def _slurm(self, job_id: int) -> None:
        known = job_id in self.records.jobs
        match self.place[job_id]:
            case "staging" if known and self.answers(job_id)[0] is Answer.DONE:
                self.place[job_id] = "running"
                self.ends[job_id] = self.passed + self.running_seconds
                self.show("RUNNING", job_id)
                self.inbox.append(self.request(RequestKind.PRE_RUN, job_id=job_id))
            case "staging" if known and self.answers(job_id)[0] is Answer.ERROR:
                self.place[job_id] = "held"
                self.show("PENDING", job_id, held=True)
            case "running" if self.passed >= self.ends[job_id]:
                self._end(job_id)
            case "out" if known and self.answers(job_id)[1] is not Answer.BUSY:
                self.place[job_id] = "over"
                self.show("COMPLETED", job_id)
                self.inbox.append(self.request(RequestKind.TEARDOWN, job_id=job_id))

    def _end(self, job_id: int) -> None:
        self.place[job_id] = "out"
        for stage in self.records.of_job(job_id, Direction.OUT):
            path = f"{stage.ask.prefixes[0]}out{job_id}"
            self.files[path], self.sizes[path] = True, 1
            self.unsaved.add(path)
        self.show("STAGE_OUT", job_id)
        self.inbox.append(self.request(RequestKind.POST_RUN, job_id=job_id, code=0))
        self.inbox.append(self.request(RequestKind.DATA_OUT, *self.lines[job_id], job_id=job_id))
