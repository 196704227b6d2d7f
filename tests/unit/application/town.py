"""A small town for the daemon to live in: jobs, hooks, a slot that others use too, a daemon that can die at any line.

The daemon's own parts (decide, Performer, the proofs) are the real ones; Azure, Blob and Lustre are the fakes; Slurm is
in town_slurm.py. Time goes by only when the town says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from slurm_amlfs.application.performing import FileSystem, Performer
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.bulletin import compose
from slurm_amlfs.domain.errand import Errand, Free, key_of
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.reconcile import decide
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.report import Report
from slurm_amlfs.domain.view import ArchiveState, HsmState, ImportState, JobView, SpaceView
from slurm_amlfs.domain.world import ExportBy, FsRules, FsSeen, Rules, Seen
from slurm_amlfs.errors import TemporaryError
from tests.fakes.arm import FakeArm
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre
from tests.fakes.slurm import FakeSlurm
from tests.unit.application.town_job import BAD
from tests.unit.application.town_slurm import TownSlurm

RULES = Rules(
    file_systems={"amlfs": FsRules("amlfs", "/lustre", Namespace.FLAT)},
    grants=(Grant("*", None, ("/",), ("/",)),),
    epoch="e1",
    # Azure's own failures are to be outlived here, however often the town makes them; a user's are not.
    attempts=1000,
)
INPUTS = ("/in/a/", "/in/b/", BAD)


class Town(TownSlurm):
    """Everything at once."""

    rules = RULES
    names: tuple[str, ...] = ("x", "y")

    def __init__(self, export_by: ExportBy = ExportBy.ARM) -> None:
        amlfs = FsRules("amlfs", "/lustre", Namespace.FLAT, export_by)
        self.rules = replace(type(self).rules, file_systems={"amlfs": amlfs})
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.arm = FakeArm(FakeBlobs(), FakeLustre())
        self.arm.time = datetime(2026, 6, 1, tzinfo=UTC)
        super().__init__(self.arm)
        for prefix in INPUTS:
            for name in self.names if prefix != BAD else ("x",):
                self.blobs.put(f"{prefix[1:]}{name}", 100)
        self.database_was_lost = False
        self.stored = Records()
        self.begin()

    # The daemon.

    def begin(self) -> None:
        """Start the daemon: all it has is what was stored."""
        self.records = self.stored
        slurm = FakeSlurm()
        self.performer = Performer(
            {"amlfs": FileSystem(self.arm, self.blobs, self.lustre, Namespace.FLAT)},
            slurm,
            restore_window=10,
            archive_window=2,
            clock=self.clock,
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

    def clock(self) -> float:
        """Count seconds for the daemon's own waits."""
        return self.now.timestamp()

    def turn(self, *, dies_after_save: bool = False) -> None:
        """Make a pass as the loop does; it may die after its records are stored."""
        seen = self._seen()
        reports, self.reports = self.reports, []
        heard = dict(self.inbox)
        decision = decide(self.records, self.rules, seen, list(heard.values()), reports)
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
            self.boards[job_id] = compose(self.records, self.rules, job, self.now, ())
        for errand in decision.errands:
            self.running.setdefault(key_of(errand), errand)
        if decision.wake is None or decision.wake > self.now:
            self._rests(replace(seen, asked_jobs=self.asked))

    def _seen(self) -> Seen:
        slots = {} if self.slot is None else {"amlfs": self.slot}
        spaces = {"amlfs": SpaceView(10**15, 10**15)}
        return Seen(self.now, frozenset(self.running), self.shown, self.asked, slots, spaces=spaces)

    def _rests(self, seen: Seen) -> None:
        """A pass that wants no other at once has left nothing to do: with nothing new, another changes nothing."""
        again = decide(self.records, self.rules, seen, [], []).records
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
        """Start the daemon with a new database; all boards of jobs that it does not know go.

        It hears again of what waits for an answer, but of no job that runs: nothing keeps that one's inputs whole.
        """
        for job in self.jobs.values():
            job.forgotten = job.place == "running"
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
        del self.running[key_of(errand)]
        if isinstance(errand, Free):
            for path, state in self.lustre.states.items():
                if state & HsmState.RELEASED and not before[path] & HsmState.RELEASED:
                    assert before[path].clean, f"{path} was released although it is not clean"
                    blob = self.blobs.find(path)
                    assert blob is not None, f"{path} was released although it is not in Blob"
                    assert blob.size_bytes == self.lustre.files[path].size_bytes

    def look_begin(self) -> None:
        """Read Slurm; the answer arrives later."""
        ids = frozenset(job_id for job_id, job in self.records.jobs.items() if job.closed is None or job.behind)
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

    def check(self) -> None:
        """What holds after every step."""
        assert sum(it.holds_slot for it in self.records.transfers.values()) <= 1
        self.check_jobs()

    # Azure, and whoever else is about.

    def clear_space(self) -> None:
        """Let an admin release the inputs that no job uses or is about to."""
        used = {it for job in self.jobs.values() if job.place in {"staging", "staged", "running"} for it in job.imports}
        with self._well():
            for prefix in set(INPUTS) - used:
                self.lustre.release([file.path for file in self.lustre.walk(prefix)])

    def change_blob(self, number: int) -> None:
        """Let somebody write a blob of the inputs again, with as many bytes, or a new one."""
        names = sorted(name for name in self.blobs.by_name if name.startswith(("in/a/", "in/b/")))
        name = names[number % len(names)]
        self.blobs.put(name if number % 3 else f"{name[:5]}{number}", 100)

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
        assert (self.records.jobs, self.records.stages, self.records.transfers) == ({}, {}, {})
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
        self.lustre.finish_archives()
        self.keep_up(slow=slow)

    def _open(self) -> Sequence[object]:
        alive = [job for job in self.records.jobs.values() if job.closed is None or job.stale_receipt]
        return [*alive, *self.records.transfers.values(), *self.inbox.values(), *self.running]


class LargeTown(Town):
    """One whose prefixes are larger than what is listed at a time, and cut into many parts."""

    rules = replace(RULES, list_blobs=1, blobs_per_second=0.1)
    names = ("x/1", "x/2", "y/1", "y/2", "z/1", "f")
