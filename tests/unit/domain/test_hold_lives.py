"""Whole lives of jobs in hold mode, drawn by hypothesis: whatever happens, nobody is let go too early or forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.errand import Comment, Count, DropReceipt, ProveIn, ProveOut, Start, TurnGate, WriteReceipt
from slurm_amlfs.domain.report import Done, Report
from slurm_amlfs.domain.view import Hold
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import Desk, counted, looked_at, proved
from tests.unit.domain.hold_desk import IN, HoldDesk

OUT = "stage_out prefix=/jobs/7/"
LINES = ((IN,), (OUT,), (IN, OUT))
EVENTS = st.lists(
    st.sampled_from([
        "pass", "act", "work", "owner releases", "owner holds", "operator releases", "start", "requeue", "requeuehold",
        "slurmctld loses its last seconds", "note", "silence",
    ]),
    max_size=30,
)  # fmt: skip


class Life(HoldDesk):
    """One job, Slurm, its users, and a daemon whose wishes come true one kind at a time."""

    def __init__(self, lines: tuple[str, ...], *, owner_holds: bool) -> None:
        super().__init__()
        self.come(*lines, owner_holds=owner_holds)
        self.somebody_holds = owner_holds
        self.go()

    def step(self, event: str) -> None:
        """Let something happen."""
        if self.roll[7].job.job_state == "PENDING":
            self.happen_pending(event, self.hold_of())
        elif event in {"requeue", "requeuehold"}:
            self.requeue(hold=Hold.OWNER if event == "requeuehold" else Hold.NONE)
            self.somebody_holds = event == "requeuehold"
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
                self.alter(job_state="RUNNING")
            case "slurmctld loses its last seconds", Hold.NONE if self.opened(recently=True):
                self.hold(Hold.ADMIN)

    def opened(self, *, recently: bool = False) -> bool:
        """Say whether the daemon has opened the present run's gate, and Slurm may still forget it."""
        run = self.records.jobs[7].run if 7 in self.records.jobs else None
        if run is None or run.number != self.roll[7].job.restarts or run.turned is None:
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
        self.go(reports=tuple(reports))
        if self.wished(Start):
            Desk.start(self)
            self.land()

    def check(self) -> None:
        """Nobody is let go unproved."""
        for it in self.wished(TurnGate):
            if it.hold is not Hold.ADMIN:
                assert self.passes()

    def come_to_an_end(self) -> None:
        """Let the daemon do all it wants."""
        for _ in range(40):
            self.work()
            self.act()
            self.go(after=40)


@given(events=EVENTS, lines=st.sampled_from(LINES), owner_holds=st.booleans())
def test_nobody_is_let_go_unproved_and_nobody_waits_for_ever(
    events: list[str],
    lines: tuple[str, ...],
    owner_holds: bool,  # noqa: FBT001 - drawn
) -> None:
    """In the end a pending job is held only by its owner's wish, and a running one's gate is nobody's business."""
    life = Life(lines, owner_holds=owner_holds)
    for event in events:
        life.step(event)
    life.come_to_an_end()
    life.check()
    view = life.roll[7].job
    if view.job_state == "PENDING":
        assert life.passes()
        assert view.hold is (Hold.OWNER if life.somebody_holds else Hold.NONE)
    else:
        assert not life.wished(TurnGate)
