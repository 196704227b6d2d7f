"""Whole lives of jobs in hold mode, drawn by hypothesis: whatever happens, nobody is let go too early or forgotten."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_amlfs.domain.errand import (
    Comment,
    Count,
    DropReceipt,
    Free,
    ProveIn,
    ProveOut,
    Start,
    TurnGate,
    WriteReceipt,
)
from slurm_amlfs.domain.holding import has_ended
from slurm_amlfs.domain.records import Life as Stretch
from slurm_amlfs.domain.report import Done, Freed, Report
from slurm_amlfs.domain.view import Hold
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import Desk, counted, looked_at, proved
from tests.unit.domain.hold_desk import IN, HoldDesk

OUT = "stage_out prefix=/jobs/7/"
LINES = ((IN,), (OUT,), (IN, OUT))
EVENTS = st.lists(
    st.sampled_from([
        "pass", "act", "work", "owner releases", "owner holds", "operator releases", "start", "requeue", "requeuehold",
        "slurmctld loses its last seconds", "slurmctld forgets a run", "end", "note", "silence",
    ]),
    max_size=30,
)  # fmt: skip


class Life(HoldDesk):
    """One job, Slurm, its users, and a daemon whose wishes come true one kind at a time."""

    def __init__(self, lines: tuple[str, ...], *, owner_holds: bool) -> None:
        super().__init__()
        self.come(*lines, owner_holds=owner_holds)
        self.somebody_holds = owner_holds
        self.exports = OUT in lines
        self.exported = False
        self.go()

    def step(self, event: str) -> None:
        """Let something happen."""
        if self.roll[7].job.job_state == "PENDING":
            self.happen_pending(event, self.hold_of())
        elif event in {"requeue", "requeuehold"}:
            self.requeue(hold=Hold.OWNER if event == "requeuehold" else Hold.NONE)
            self.somebody_holds = event == "requeuehold"
        elif event == "slurmctld forgets a run":
            # From before its start, which it had not saved.
            self.alter(job_state="PENDING")
            self.hold(Hold.NONE)
        elif event == "end":
            self.alter(job_state="COMPLETED")
        match event:
            case "act":
                self.act()
            case "work":
                self.work()
            case "note":
                self.go(self.note(RequestKind.DATA_OUT))
            case "silence":
                self.silent = True
                self.go()
                self.silent = False
        self.go()
        self.check()

    def happen_pending(self, event: str, hold: Hold) -> None:
        """Do what can be done to a pending job."""
        match event, hold:
            case ("owner releases", Hold.OWNER) | ("operator releases", Hold.ADMIN | Hold.OWNER):
                self.hold(Hold.NONE)
                self.somebody_holds = False
            case "owner holds", Hold.NONE if self.opened():
                self.hold(Hold.OWNER)
                self.somebody_holds = True
            case "start", Hold.NONE if self.passes():
                self.exported = False
                self.alter(job_state="RUNNING")
            case "slurmctld loses its last seconds", Hold.NONE if self.opened(recently=True):
                self.hold(Hold.ADMIN)

    def opened(self, *, recently: bool = False) -> bool:
        """Say whether the daemon has opened the present run's gate, and Slurm may still forget it."""
        run = self.records.jobs[7].run if 7 in self.records.jobs else None
        if run is None or run.number != self.roll[7].job.restarts or run.turned is None or has_ended(self.job()):
            return False
        return not recently or run.gate.value == "opened"

    def passes(self) -> bool:
        """Say what PrologSlurmctld does."""
        if 7 not in self.records.jobs:
            return False
        board = self.board()
        return board.answer_in is Answer.DONE and board.token_in == f"run-{self.roll[7].job.restarts}"

    def work(self) -> None:
        """Let everything else that the last pass wished for come true."""
        reports = [Report(it, Done()) for kind in (DropReceipt, WriteReceipt, Comment) for it in self.wished(kind)]
        reports += [Report(it, counted(it, there=True)) for it in self.wished(Count)]
        reports += [Report(it, looked_at()) for it in self.wished(ProveIn)]
        reports += [Report(it, proved()) for it in self.wished(ProveOut)]
        reports += [Report(it, Freed(3, 300)) for it in self.wished(Free)]
        self.exported |= bool(self.wished(ProveOut)) and self.roll[7].job.job_state == "COMPLETED"
        self.go(reports=tuple(reports))
        if self.wished(Start):
            Desk.start(self)
            self.land()

    def check(self) -> None:
        """Nobody is let go unproved."""
        for it in self.wished(TurnGate):
            if it.hold is not Hold.ADMIN:
                assert self.passes()

    def come_to_an_end(self, rounds: int = 40) -> None:
        """Let the daemon do all it wants."""
        for _ in range(rounds):
            self.work()
            self.act()
            self.go(after=40)


@example(events=["end", "work", "requeuehold", "act"], lines=(OUT,), owner_holds=False, runs=True)
@example(events=["end", "work", "slurmctld forgets a run", "act"], lines=(OUT,), owner_holds=True, runs=True)
@given(events=EVENTS, lines=st.sampled_from(LINES), owner_holds=st.booleans(), runs=st.booleans())
def test_nobody_is_let_go_unproved_and_nobody_waits_for_ever(
    events: list[str],
    lines: tuple[str, ...],
    owner_holds: bool,  # noqa: FBT001 - drawn
    runs: bool,  # noqa: FBT001 - drawn
) -> None:
    """In the end a pending job is held only by its owner's wish, and a run that has ended has been exported."""
    life = Life(lines, owner_holds=owner_holds)
    if runs:
        life.come_to_an_end(10)
        life.step("owner releases")
        life.step("start")
    for event in events:
        life.step(event)
    life.come_to_an_end()
    life.check()
    end_well(life)
    for event in ("owner releases", "start", "end"):
        life.step(event)
    life.come_to_an_end(10)
    assert life.roll[7].job.job_state == "COMPLETED"
    end_well(life)


def end_well(life: Life) -> None:
    """See that what has to have come of a job has."""
    view = life.roll[7].job
    if view.job_state == "PENDING":
        assert life.passes()
        assert view.hold is (Hold.OWNER if life.somebody_holds else Hold.NONE)
        return
    assert not life.wished(TurnGate)
    if view.job_state == "RUNNING":
        # What it uses counts as needed.
        assert life.job().life is Stretch.RUNNING
        assert life.job().closed is None
    else:
        assert life.exported is life.exports


@pytest.mark.parametrize("lines", LINES)
@pytest.mark.parametrize("ahead", [0, 1, 2, 40], ids=["noted", "seen", "exported", "closed"])
@pytest.mark.parametrize("held", [Hold.NONE, Hold.ADMIN], ids=["opened", "shut"])
def test_a_run_that_slurmctld_forgets_is_not_the_last(lines: tuple[str, ...], ahead: int, held: Hold) -> None:
    """It is killed before it has saved that the job started: the job runs again, by the same number, and is heard."""
    life = Life(lines, owner_holds=False)
    life.come_to_an_end()
    for event in ("start", "end", "note", *["work"] * ahead):
        life.step(event)
    assert not life.passes()
    life.step("slurmctld forgets a run")
    life.hold(held)
    life.come_to_an_end()
    for event in ("start", "work"):
        life.step(event)
    assert life.roll[7].job.job_state == "RUNNING"
    end_well(life)
    for event in ("end", "note"):
        life.step(event)
    life.come_to_an_end()
    assert life.exported is life.exports


def test_a_run_that_starts_before_it_was_seen_to_wait_is_heard_too() -> None:
    """The board that let the forgotten run pass lets nobody pass; should somebody run, the end asks for the export."""
    life = Life((IN, OUT), owner_holds=False)
    life.come_to_an_end()
    for event in ("start", "end", "note", "work"):
        life.step(event)
    assert not life.passes()
    life.alter(job_state="RUNNING")
    life.exported = False
    life.come_to_an_end()
    end_well(life)
    for event in ("end", "note"):
        life.step(event)
    life.come_to_an_end()
    assert life.exported
