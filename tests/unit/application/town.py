"""A small town for the daemon to live in: jobs, hooks, a slot that others use too, a daemon that can die at any line.

The daemon's own parts (decide, Performer, the proofs) are the real ones; Azure, Blob and Lustre are the fakes; Slurm is
modelled here by what burst_buffer_lua.c does. Time goes by only when the town says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from slurm_amlfs.application.performing import FileSystem, Performer
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.bulletin import compose
from slurm_amlfs.domain.errand import Errand, Free, Report
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.reconcile import decide
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.view import ArchiveState, HsmState, ImportState, JobView
from slurm_amlfs.domain.world import FsRules, FsSeen, Rules, Seen
from slurm_amlfs.errors import TemporaryError
from slurm_amlfs.wire import Answer, Board, Request, RequestKind
from tests.fakes.arm import FakeArm
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre
from tests.fakes.slurm import FakeSlurm

ALICE = 61001
RULES = Rules(
    file_systems={"amlfs": FsRules("amlfs", "/lustre", Namespace.FLAT)},
    grants=(Grant("*", None, ("/",), ("/",)),),
    epoch="e1",
    # Azure's own failures are to be outlived here, however often the town makes them; a user's are not.
    attempts=1000,
)
BAD = "/in/bad/"
INPUTS = ("/in/a/", "/in/b/", BAD)


@dataclass
class TownJob:
    """A job as Slurm has it. `place` is where it is: pending, staging, staged, held, running, out, over or purged."""

    job_id: int
    lines: tuple[str, ...]
    place: str = "pending"
    token: str = ""
    again: bool = False
    held: bool = False
    code: int = 0
    runs: int = 0
    dropped: bool = False
    written: set[str] = field(default_factory=set)

    @property
    def imports(self) -> list[str]:
        """List the prefixes that come in."""
        return [line.split("prefix=")[1].split()[0] for line in self.lines if line.startswith("stage_in")]

    @property
    def exports(self) -> bool:
        """Say whether something is to go out."""
        return any(line.startswith("stage_out") for line in self.lines)

    @property
    def folder(self) -> str:
        """Name the job's own folder."""
        return f"/jobs/{self.job_id}/"

    def wanted_out(self) -> bool:
        """Say whether this end of the job is one whose outputs go out."""
        [line] = [line for line in self.lines if line.startswith("stage_out")]
        return not ("on=success" in line and self.code) and not ("on=failure" in line and not self.code)

    def view(self) -> JobView:
        """Show the job as squeue does."""
        states = {"running": "RUNNING", "out": "STAGE_OUT", "over": "CANCELLED" if self.code else "COMPLETED"}
        bb_states = {"staging": "staging-in", "staged": "staged-in"}
        return JobView(
            self.job_id,
            ALICE,
            states.get(self.place, "PENDING"),
            bb_state=bb_states.get(self.place, ""),
            exit_code=self.code if self.place in {"out", "over"} else 0,
            held=self.held,
        )


class Town:
    """Everything at once."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.arm = FakeArm(FakeBlobs(), FakeLustre())
        self.arm.time = datetime(2026, 6, 1, tzinfo=UTC)
        self.blobs, self.lustre = self.arm.blobs, self.arm.lustre
        for prefix in INPUTS:
            for name in "xy":
                self.blobs.put(f"{prefix[1:]}{name}", 100)
        self.jobs: dict[int, TownJob] = {}
        self.inbox: dict[int, Request] = {}
        self.boards: dict[int, Board] = {}
        self.failed: set[int] = set()
        self.database_was_lost = False
        # While it is, hooks that only tell cannot; those that wait for an answer ask again.
        self.deaf = False
        self._arrived = 0
        self.size = 100
        self.stored = Records()
        self.begin()

    # The daemon.

    def begin(self) -> None:
        """Start the daemon: all it has is what was stored."""
        self.records = self.stored
        slurm = FakeSlurm()
        self.performer = Performer(
            {"amlfs": FileSystem(self.arm, self.blobs, self.lustre, Namespace.FLAT)}, slurm, restore_window=10
        )
        self.running: dict[str, Errand] = {}
        self.reports: list[Report] = []
        self.shown: dict[int, JobView] | None = None
        self.asked: frozenset[int] = frozenset()
        self.doubted: set[int] = set()
        self.look: tuple[frozenset[int], dict[int, JobView]] | None = None
        self.slot: FsSeen | None = None
        self.waiting: set[int] = set()
        self.wake: datetime | None = None

    def turn(self, *, dies_after_save: bool = False) -> None:
        """Make a pass as the loop does; it may die after its records are stored."""
        seen = self._seen()
        reports, self.reports = self.reports, []
        heard = dict(self.inbox)
        decision = decide(self.records, RULES, seen, list(heard.values()), reports)
        self.stored = self.records = decision.records
        if dies_after_save:
            self.begin()
            return
        self.wake = decision.wake
        unheard = {id(request) for request in decision.unheard}
        for handle, request in heard.items():
            if id(request) not in unheard:
                del self.inbox[handle]
        spoken_of = {request.job_id for handle, request in heard.items() if handle not in self.waiting}
        self.waiting = set(self.inbox)
        self.asked -= spoken_of
        self.doubted |= spoken_of
        for job_id in set(self.boards) - set(self.records.jobs):
            del self.boards[job_id]
        for job_id, job in self.records.jobs.items():
            self.boards[job_id] = compose(self.records, RULES, job, self.now, ())
        for errand in decision.errands:
            self.running.setdefault(errand.key, errand)
        if decision.wake is None or decision.wake > self.now:
            self._rests(replace(seen, asked_jobs=self.asked))

    def _seen(self) -> Seen:
        slots = {} if self.slot is None else {"amlfs": self.slot}
        return Seen(self.now, frozenset(self.running), self.shown, self.asked, slots)

    def _rests(self, seen: Seen) -> None:
        """A pass that wants no other at once has left nothing to do: with nothing new, another changes nothing."""
        again = decide(self.records, RULES, seen, [], []).records
        assert again == self.records, "a pass had more to do and asked for no other"

    def work(self, errand: Errand) -> None:
        """Let an errand that is under way happen, and be reported."""
        self._do(errand)
        self.reports.append(self._done)

    def keep_up(self, *, slow: bool) -> None:
        """Look around, pass, do what is wanted and pass again; what walks for long may stay under way."""
        self.look_begin()
        self.look_end()
        self.look_at_slot()
        self.turn()
        for errand in list(self.running.values()):
            if not (slow and isinstance(errand, Free)):
                self.work(errand)
        self.turn()

    def lose_database(self) -> None:
        """Start the daemon with a new database; all boards of jobs that it does not know go."""
        self.stored = Records()
        self.boards.clear()
        self.database_was_lost = True
        self.begin()

    def work_unreported(self, errand: Errand) -> None:
        """Let an errand happen whose report is lost, since the daemon dies."""
        self._do(errand)
        self.begin()

    def _do(self, errand: Errand) -> None:
        before = dict(self.lustre.states)
        self._done = self.performer.perform(errand)
        del self.running[errand.key]
        if isinstance(errand, Free):
            for path, state in self.lustre.states.items():
                if state & HsmState.RELEASED and not before[path] & HsmState.RELEASED:
                    assert before[path].clean, f"{path} was released although it is not clean"
                    blob = self.blobs.find(path)
                    assert blob is not None, f"{path} was released although it is not in Blob"
                    assert blob.size_bytes == self.lustre.files[path].size_bytes

    def look_begin(self) -> None:
        """Read Slurm; the answer arrives later."""
        ids = frozenset(job_id for job_id, job in self.records.jobs.items() if job.closed is None)
        ids |= frozenset(request.job_id for request in self.inbox.values())
        self.doubted.clear()
        there = {it: self.jobs[it].view() for it in ids if it in self.jobs and self.jobs[it].place != "purged"}
        self.look = ids, there

    def look_end(self) -> None:
        """Let the answer of the look at Slurm arrive."""
        if self.look is not None:
            ids, self.shown = self.look
            self.asked = ids - self.doubted
            self.look = None

    def look_at_slot(self) -> None:
        """Read ARM."""
        with self._well():
            self.slot = FsSeen(self.now, self.arm.imports(), self.arm.file_system(), self.arm.auto_jobs())

    @contextmanager
    def _well(self) -> Iterator[None]:
        """Keep the faults for the daemon's own doings."""
        faults, lost, mounted = self.arm.faults, self.arm.lost_answers, self.lustre.is_mounted
        self.arm.faults, self.arm.lost_answers, self.lustre.is_mounted = [], [], True
        yield
        self.arm.faults, self.arm.lost_answers, self.lustre.is_mounted = faults, lost, mounted

    # Slurm and its hooks.

    def submit(self, *lines: str) -> TownJob:
        """Put a job into the queue."""
        job_id = len(self.jobs) + 1
        self.jobs[job_id] = TownJob(job_id, tuple(line.replace("OWN", f"/jobs/{job_id}/") for line in lines))
        return self.jobs[job_id]

    def _drop(self, job: TownJob, kind: RequestKind, *, token: str = "", hurry: bool = False) -> None:
        if self.deaf and kind not in {RequestKind.DATA_IN, RequestKind.DATA_OUT}:
            return
        self._arrived += 1
        lines = job.lines if kind in {RequestKind.SETUP, RequestKind.DATA_IN, RequestKind.DATA_OUT} else ()
        code = job.code if kind in {RequestKind.POST_RUN, RequestKind.DATA_OUT} else -1
        # On 22.05 only setup knows the uid.
        uid = ALICE if kind is RequestKind.SETUP else -1
        self.inbox[self._arrived] = Request(kind, job.job_id, token, uid, uid, hurry, code, lines)

    def _token(self) -> str:
        return f"{self._arrived + 1}-1"

    def stage(self, job: TownJob) -> None:
        """Let Slurm begin to stage a pending job."""
        self._drop(job, RequestKind.SETUP)
        job.place, job.token = "staged", ""
        if job.imports:
            job.place, job.token = "staging", self._token()
            self._drop(job, RequestKind.DATA_IN, token=job.token)

    def poll(self, job: TownJob) -> None:
        """Let the hook that waits read the board."""
        board = self.boards.get(job.job_id)
        if job.place == "staging":
            if board is None or board.token_in != job.token:
                self._again(job, RequestKind.DATA_IN)
            elif board.answer_in is Answer.DONE:
                self._check_staged(job)
                job.place = "staged"
            elif board.answer_in is Answer.ERROR:
                assert BAD in job.imports, f"job {job.job_id} failed: {board.message}"
                self.failed.add(job.job_id)
                job.place, job.held = "held", True
                self._drop(job, RequestKind.TEARDOWN, hurry=True)
        elif job.place == "out":
            if board is None or board.token_out != job.token:
                self._again(job, RequestKind.DATA_OUT)
            elif board.answer_out is not Answer.BUSY:
                assert board.answer_out is Answer.DONE, board.message
                self.check_exported(job)
                self._torn_down(job)

    def _again(self, job: TownJob, kind: RequestKind) -> None:
        if not any(request.token == job.token for request in self.inbox.values()):
            self._drop(job, kind, token=job.token)

    def start(self, job: TownJob) -> None:
        """Let Slurm start a job on a node, through PrologSlurmctld's gate."""
        if job.held:
            return
        if job.imports:
            board = self.boards.get(job.job_id)
            if board is None or board.token_in != job.token or board.answer_in is not Answer.DONE:
                job.again = True
                self._torn_down(job)
                return
            self._check_staged(job)
            assert job.job_id in self.lustre.receipts, "a node would not find the receipt"
        job.place = "running"
        job.runs += 1
        self._drop(job, RequestKind.PRE_RUN)

    def end(self, job: TownJob, code: int, *, again: bool = False) -> None:
        """Let a running job end, or be sent back; it has written by then."""
        self.check_inputs(job)
        self.write(job)
        job.place, job.code, job.again = "out", code, again
        self._drop(job, RequestKind.POST_RUN)
        if job.exports:
            job.token = self._token()
            self._drop(job, RequestKind.DATA_OUT, token=job.token)
        else:
            self._torn_down(job)

    def write(self, job: TownJob) -> None:
        """Write a file, and another version of one that was there."""
        for name in ("out", f"run{job.runs}"):
            self.size += 1
            self.lustre.write(f"{job.folder}{name}", self.size)
            job.written.add(f"{job.folder}{name}")

    def _torn_down(self, job: TownJob) -> None:
        self._drop(job, RequestKind.TEARDOWN)
        job.place = "pending" if job.again else "over"
        job.again = False

    def release(self, job: TownJob) -> None:
        """Let an operator release a job whose stage-in failed; Slurm stages it again."""
        job.held = False
        if job.place == "held":
            self.stage(job)

    def cancel(self, job: TownJob, *, hurry: bool = False) -> None:
        """Scancel a job."""
        if job.place == "running" and not hurry:
            self.end(job, code=15)
        elif job.place in {"running", "out"} and hurry:
            job.place, job.code, job.dropped = "over", 15, True
            self._drop(job, RequestKind.TEARDOWN, hurry=True)
        elif job.place in {"pending", "staging", "staged", "held"}:
            told = job.place != "pending"
            job.place, job.code = "over", 15
            if told:
                self._drop(job, RequestKind.TEARDOWN, hurry=True)

    def restart_slurmctld(self) -> None:
        """Kill slurmctld and start it again (_recover_job_bb)."""
        for job in self.jobs.values():
            if job.place in {"staging", "staged"}:
                job.place = "pending"
                self._drop(job, RequestKind.TEARDOWN, hurry=True)
            elif job.place == "out":
                self._drop(job, RequestKind.POST_RUN)
                job.token = self._token()
                self._drop(job, RequestKind.DATA_OUT, token=job.token)

    # What has to be true.

    def _check_staged(self, job: TownJob) -> None:
        assert BAD not in job.imports, "a job was let go although its import fails"
        self.check_inputs(job)

    def check_inputs(self, job: TownJob) -> None:
        """A job that was let go has its inputs whole."""
        for prefix in job.imports:
            for blob in self.blobs.walk(prefix):
                file = self.lustre.files.get(f"/{blob.name}")
                assert file is not None, f"job {job.job_id} misses {blob.name}"
                assert not self.lustre.states[file.path] & HsmState.RELEASED, (
                    f"{file.path} is released under job {job.job_id}"
                )

    def check_exported(self, job: TownJob) -> None:
        """A job whose export is called done has every file of its own in Blob, as it is on Lustre."""
        if job.wanted_out():
            for path in job.written:
                self._check_blob(path)

    def _check_blob(self, path: str) -> None:
        blob = self.blobs.find(path)
        assert blob is not None, f"{path} is called exported and has no blob"
        assert blob.size_bytes == self.lustre.files[path].size_bytes, f"{path} is older in Blob"

    def check(self) -> None:
        """What holds after every step."""
        assert sum(it.holds_slot for it in self.records.transfers.values()) <= 1
        for job in self.jobs.values():
            if job.place in {"staged", "running"} and self._let_go(job):
                self.check_inputs(job)

    def _let_go(self, job: TownJob) -> bool:
        board = self.boards.get(job.job_id)
        return job.place == "running" or bool(
            job.imports and board and board.token_in == job.token and board.answer_in is Answer.DONE
        )

    # Azure.

    def clear_space(self) -> None:
        """Let an admin release the inputs that no job uses or is about to."""
        used = {it for job in self.jobs.values() if job.place in {"staging", "staged", "running"} for it in job.imports}
        with self._well():
            for prefix in set(INPUTS) - used:
                self.lustre.release([file.path for file in self.lustre.walk(prefix)])

    def end_transfer(self, *, well: bool) -> None:
        """Let what holds the slot end; an import of the bad prefix cannot end well."""
        for name, view in list(self.arm.jobs.items()):
            if not view.import_state.over:
                if BAD in view.prefixes:
                    self.arm.finish(name, ImportState.FAILED, errors=1)
                else:
                    self.arm.finish(name, None if well else ImportState.FAILED)
                return
        if any(not it.archive_state.over for it in self.arm.archives):
            with self._well():
                self.arm.finish_archive(None if well else ArchiveState.FAILED)

    def hold_slot(self) -> None:
        """Let somebody else start an import, if the slot is free."""
        busy = any(not it.import_state.over for it in self.arm.jobs.values())
        if not busy and all(it.archive_state.over for it in self.arm.archives):
            self.arm.jobs.pop("portal", None)
            with self._well():
                self.arm.create_import("portal", ("/elsewhere/",), Conflict.SKIP, 0)

    def refuse(self, *, after_taking: bool) -> None:
        """Let Azure's next call fail, before or after it took effect."""
        error = TemporaryError("Azure gave no answer; it goes on by itself")
        (self.arm.lost_answers if after_taking else self.arm.faults).append(error)

    def be_kind(self) -> None:
        """Let everything go well from here on, until all is settled; raise if it never is."""
        self.arm.faults.clear()
        self.arm.lost_answers.clear()
        self.lustre.is_mounted = True
        self.deaf = False
        for _ in range(400):
            self.go_well()
            if all(job.place == "purged" for job in self.jobs.values()) and not self._open():
                break
        else:
            raise AssertionError(f"not settled: {self._open()}, {[job.place for job in self.jobs.values()]}")
        self.now += timedelta(hours=2)
        self.turn()
        assert self.records == Records()
        if not self.database_was_lost:
            assert self.lustre.receipts == {}
            assert [name for name in self.arm.jobs if name.startswith("amlfs-")] == []

    def go_well(self, *, slow: bool = False, jobs_go_on: bool = True) -> None:
        """Let everything come forward by a step."""
        self.now += timedelta(seconds=5)
        for job in list(self.jobs.values()) if jobs_go_on else []:
            self.go_on(job)
        self.end_transfer(well=True)
        self.arm.jobs.pop("portal", None)
        self.lustre.finish_restores()
        self.keep_up(slow=slow)

    def _open(self) -> Sequence[object]:
        alive = [job for job in self.records.jobs.values() if job.closed is None or job.stale_receipt]
        return [*alive, *self.records.transfers.values(), *self.inbox.values(), *self.running]

    def go_on(self, job: TownJob) -> None:
        """Let a job take the next step of an undisturbed life."""
        match job.place:
            case "pending":
                self.stage(job)
            case "staging" | "out":
                self.poll(job)
            case "staged":
                job.held = False
                self.start(job)
            case "held":
                self.cancel(job)
            case "running":
                self.end(job, code=0)
            case "over":
                job.place = "purged"
