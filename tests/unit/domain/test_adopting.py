"""A daemon whose memory is lost, among jobs that it has never heard of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from desk import ALICE, Desk, looked_at

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.errand import Evict, Free, ProveIn, ProveOut, Start, WriteReceipt
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Life
from slurm_amlfs.domain.report import Done
from slurm_amlfs.domain.view import LivingJob, SpaceView
from slurm_amlfs.wire import Answer, Request, RequestKind

IN, OUT = "stage_in prefix=/a/", "stage_out prefix=/jobs/7/"
ASK = "9-9"
EVICT = Request(RequestKind.EVICT, 0, fs="amlfs", prefix="/a/", sender_uid=0)


def lives(job_state: str, bb_state: str = "", *lines: str, job_id: int = 7) -> LivingJob:
    """Make a job as Slurm shows it."""
    return LivingJob(job_id, ALICE, ALICE, lines or (IN, OUT), job_state, bb_state)


def adopted(desk: Desk, living: LivingJob) -> None:
    """Let Slurm tell of a job."""
    desk.show(living.job_state, living.job_id, bb_state=living.bb_state)
    desk.living = (living,)
    desk.go()
    desk.living = ()
    desk.settle()


def brought(desk: Desk, *lines: str, job_id: int) -> None:
    """Let a job have its data brought in and proved, and end."""
    desk.submit(*lines, job_id=job_id)
    desk.settle()
    desk.count()
    desk.start()
    desk.land()
    desk.prove()
    desk.settle()
    desk.leave(job_id)


@pytest.mark.parametrize("job_state", ["RUNNING", "SUSPENDED", "CONFIGURING", "COMPLETING", "STAGE_OUT"])
def test_what_a_running_job_needs_is_not_evicted(job_state: str) -> None:
    """A later job of another memory brought the same prefix in, and an operator wants it gone."""
    desk = Desk()
    adopted(desk, lives(job_state))
    assert desk.stage().phase is Phase.RUNNING
    assert desk.out().phase is Phase.DECLARED
    assert desk.job().life is (Life.ENDED if job_state == "STAGE_OUT" else Life.RUNNING)
    brought(desk, IN, job_id=8)
    desk.go(EVICT)
    assert not desk.wished(Evict)
    assert "needed by job 7" in [it.detail.partition(": ")[2] for it in desk.remarks][-1]


def test_its_outputs_go_out_when_slurm_asks() -> None:
    """As if the daemon had known it all the time."""
    desk = Desk()
    adopted(desk, lives("RUNNING"))
    desk.end(IN, OUT)
    assert desk.wish(ProveOut).prefixes == ("/jobs/7/",)
    assert desk.words() == ["adopted", "ended"]


def test_a_pending_job_is_proved_again_before_it_may_start() -> None:
    """Its receipt is not taken away meanwhile: Slurm may start it at any moment."""
    desk = Desk()
    adopted(desk, lives("PENDING", "staged-in", IN))
    assert desk.stage().phase is Phase.WAITING
    assert not desk.job().stale_receipt
    desk.count(there=True)
    desk.settle()
    desk.prove(looked_at())
    desk.settle()
    assert desk.stage().phase is Phase.STAGED_IN


def test_an_adopted_job_is_answered_by_the_ask_that_it_made() -> None:
    """Its hook and PrologSlurmctld believe no board that names another one."""
    desk = Desk()
    adopted(desk, replace(lives("PENDING", "staged-in", IN), token_in=ASK))
    desk.count(there=True)
    desk.settle()
    desk.prove(looked_at())
    desk.settle()
    desk.report(desk.wish(WriteReceipt), Done())
    board = desk.board()
    assert (board.token_in, board.answer_in) == (ASK, Answer.DONE)


@pytest.mark.parametrize(
    ("job_state", "bb_state"), [("PENDING", ""), ("PENDING", "pending"), ("COMPLETED", ""), ("CANCELLED", "staged-in")]
)
def test_who_uses_nothing_is_not_adopted(job_state: str, bb_state: str) -> None:
    """Slurm asks for those that it has still to stage; what is over is over."""
    desk = Desk()
    adopted(desk, lives(job_state, bb_state))
    assert not desk.records.jobs


def test_a_job_that_is_known_stays_as_it_is() -> None:
    """Seen once more, whatever Slurm shows of it."""
    desk = Desk()
    desk.submit(IN)
    desk.settle()
    before = desk.records
    desk.living = (lives("RUNNING", "", IN),)
    desk.go(after=0)
    assert desk.records.jobs == before.jobs
    assert desk.records.stages == before.stages


def test_the_hook_of_an_adopted_job_is_heard() -> None:
    """Slurm's setup and data_in come after it, and it is one job."""
    desk = Desk()
    adopted(desk, lives("PENDING", "staging-in", IN))
    desk.submit(IN)
    desk.settle()
    assert desk.words() == ["adopted"]
    assert desk.job().token_in
    assert len(list(desk.records.of_job(7, Direction.IN))) == 1


def test_a_job_that_is_not_granted_any_more_does_not_stop_others() -> None:
    """It is said, and the next is adopted."""
    desk = Desk()
    desk.living = (lives("RUNNING", "", "stage_out prefix=/elsewhere/", job_id=6), lives("RUNNING"))
    desk.show("RUNNING", 6)
    desk.show("RUNNING", 7)
    desk.go()
    assert set(desk.records.jobs) == {7}
    assert any(it.word == "not-adopted" for it in desk.remarks)


def test_nothing_is_given_back_before_slurm_has_told_who_runs() -> None:
    """Neither for an operator, nor for room, nor after an export; then at once."""
    desk = Desk()
    brought(desk, IN, job_id=8)
    desk.unadopted = True
    desk.go(EVICT)
    desk.settle()
    assert not desk.wished(Evict)
    desk.unadopted = False
    desk.go()
    assert desk.wish(Evict).lease.prefix == "/a/"


def test_no_room_is_made_before_slurm_has_told_who_runs() -> None:
    """Nobody's stage is taken back for it either."""
    desk = Desk()
    brought(desk, IN, job_id=8)
    desk.unadopted, desk.space = True, SpaceView(1000, 10)
    desk.submit("stage_in prefix=/b/", job_id=9)
    desk.settle()
    desk.count(3, 900)
    for _ in range(5):
        desk.go()
    assert not desk.wished(Evict)
    assert not desk.wished(Free)


def test_nothing_is_overwritten_before_slurm_has_told_who_runs() -> None:
    """A running job may use the files; the board says what is waited for."""
    desk = Desk()
    desk.unadopted = True
    desk.submit("stage_in prefix=/a/ conflict=overwrite-if-dirty", job_id=9)
    desk.settle()
    desk.count()
    desk.settle()
    assert not desk.wished(Start)
    assert "Slurm has not told yet" in desk.stage(9).message
    desk.unadopted = False
    desk.living = (lives("RUNNING", "", IN),)
    desk.show("RUNNING")
    desk.go()
    desk.living = ()
    desk.settle()
    assert not desk.wished(Start)
    assert "job 7" in desk.stage(9).message


def test_only_what_gives_back_waits() -> None:
    """Stage-ins go on meanwhile."""
    desk = Desk()
    desk.unadopted = True
    desk.submit(IN, job_id=9)
    desk.settle()
    desk.count()
    assert desk.wish(Start)
    desk.start()
    desk.land()
    assert desk.wished(ProveIn)
