"""The loop on fakes and a real store, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from datetime import UTC, datetime, timedelta
from pathlib import Path

from slurm_amlfs.adapters.store import SqliteStore
from slurm_amlfs.application.looking import Pace
from slurm_amlfs.application.loop import Loop, Outside
from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import Event, Records
from slurm_amlfs.domain.view import JobView
from slurm_amlfs.domain.world import FsRules, Rules
from slurm_amlfs.errors import TemporaryError
from slurm_amlfs.wire import Answer, Request, RequestKind
from tests.fakes.arm import FakeArm
from tests.fakes.board import FakeBoard
from tests.fakes.inbox import FakeInbox
from tests.fakes.slurm import FakeSlurm

ALICE = 61001
LINES = ("stage_in prefix=/a/", "stage_out prefix=/jobs/7/")
RULES = Rules(
    {"amlfs": FsRules("amlfs", "/lustre", Namespace.FLAT)}, (Grant("*", None, ("/",), ("/jobs/",)),), epoch="e1"
)


class FlakyStore(SqliteStore):
    """A store whose disk can be full."""

    full = False
    saved = False

    def save(self, before: Records, after: Records, events: tuple[Event, ...]) -> None:
        """Save, or fail."""
        if self.full:
            raise TemporaryError("no room")
        super().save(before, after, events)
        self.saved = self.saved or before != after


class Site:
    """The loop on fakes and a real store; the clock is the test's."""

    def __init__(self, folder: Path, rules: Rules = RULES) -> None:
        self.rules = rules
        self.arm = FakeArm()
        self.blobs, self.lustre = self.arm.blobs, self.arm.lustre
        self.arm.time = datetime(2026, 6, 1, tzinfo=UTC)
        self.slurm, self.inbox, self.board = FakeSlurm(), FakeInbox(), FakeBoard()
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.path = folder / "amlfs.db"
        for name in ("a/x", "a/y"):
            self.blobs.put(name, 10)
        self.begin()

    def begin(self) -> None:
        """Start the daemon."""
        self.store = FlakyStore(self.path)
        systems = {"amlfs": FileSystem(self.arm, self.blobs, self.lustre, Namespace.FLAT)}
        outside = Outside(systems, self.slurm, self.inbox, self.board, self.store)
        self.loop = Loop(outside, self.rules, Pace(), workers=2, restore_window=10)
        self.loop.start()

    def end(self) -> None:
        """Stop the daemon."""
        self.loop.close()
        self.store.close()

    def turn(self, seconds: float = 0.3) -> None:
        """Let what is under way end, some time go by, and make a turn."""
        wait(list(self.loop._running.futures.values()), timeout=30)  # noqa: SLF001 - nothing else tells when a thread is done
        self.now += timedelta(seconds=seconds)
        self.loop.turn(self.now)

    def until(self, reached: Callable[[], bool], turns: int = 60) -> None:
        """Turn until something is so."""
        for _ in range(turns):
            if reached():
                return
            self.turn()
        raise AssertionError("it does not come to that")

    def ask(self, kind: RequestKind, token: str = "", uid: int = ALICE, job_id: int = 7) -> str:
        """Drop a hook's request; give its handle."""
        lines = LINES if kind in {RequestKind.SETUP, RequestKind.DATA_IN, RequestKind.DATA_OUT} else ()
        return self.inbox.drop(Request(kind, job_id, token, uid, uid, directives=lines, sender_uid=0))

    def answer(self, token: str) -> Answer | None:
        """Read the board as a hook does; None while it does not answer this ask."""
        board = self.board.boards.get(7)
        if board is not None and board.token_in == token:
            return board.answer_in
        return board.answer_out if board is not None and board.token_out == token else None

    def submit(self) -> None:
        """Let Slurm begin to stage a job."""
        self.slurm.records[7] = JobView(7, ALICE, "PENDING", bb_state="staging-in")
        self.ask(RequestKind.SETUP)
        self.ask(RequestKind.DATA_IN, "1-1")

    def bring_in(self) -> None:
        """Let the import and its restores happen."""
        self.until(lambda: bool(self.arm.jobs))
        self.arm.finish(next(iter(self.arm.jobs)))
        for _ in range(40):
            self.turn(1)
            self.lustre.finish_restores()
            if self.answer("1-1") is Answer.DONE:
                return
        raise AssertionError("the stage-in is not done")
