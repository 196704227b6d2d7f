from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.errand import Comment, DropReceipt, ProveOut
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Life
from slurm_amlfs.domain.report import Done, Examined
from slurm_amlfs.wire import RequestKind
from tests.unit.domain.desk import BUSY, Desk, proved

IN = "stage_in prefix=/a/"
OUT = "stage_out prefix=/jobs/7/"


def announced(desk: Desk) -> list[Comment]:
    """List the nudges of the last pass."""
    return [comment for comment in desk.wished(Comment) if comment.announces]


@pytest.mark.parametrize("state", ["RUNNING", "SUSPENDED", "SIGNALING", "STOPPED", "RESIZING"])
def test_a_job_that_slurm_shows_running_runs(state: str) -> None:
    """The hook's word is not needed."""
    desk = Desk()
    desk.stage_in(IN)
    desk.show(state)
    desk.settle()

    assert desk.job().life is Life.RUNNING
    assert desk.stage().phase is Phase.RUNNING


@pytest.mark.parametrize("state", ["PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "NEW_WORD"])
def test_a_job_that_waits_keeps_its_stage_in(state: str) -> None:
    """Also under a word that we do not know, and on the way to its node."""
    desk = Desk()
    desk.stage_in(IN)
    desk.show(state)
    desk.settle()

    assert desk.job().life is Life.PENDING
    assert desk.stage().phase is Phase.STAGED_IN


@pytest.mark.parametrize("gone", ["CANCELLED", "purged"])
@pytest.mark.parametrize("where", ["waiting", "importing", "restoring", "staged_in", "failed"])
def test_scancel_at_any_point_of_a_stage_in_leaves_nothing(where: str, gone: str) -> None:
    """The stage is dropped, the receipt goes, the job is forgotten with its board; nothing is imported for it."""
    desk = Desk()
    desk.submit(IN, OUT)
    desk.drop_receipts()
    desk.go()
    if where == "failed":
        desk.count(files=0)
    elif where != "waiting":
        desk.count()
        desk.start()
    if where in {"restoring", "staged_in"}:
        desk.land()
    if where == "staged_in":
        desk.prove()
        desk.receipt()
    assert desk.stage().phase.value == where
    desk.show("CANCELLED")
    if gone == "purged":
        assert desk.jobs is not None
        desk.jobs.clear()
    desk.settle(desk.request(RequestKind.TEARDOWN, hurry=True))
    desk.drop_receipts()
    desk.settle()

    assert desk.records.jobs == {}
    assert desk.records.stages == {}
    assert desk.wished(DropReceipt) == []
    assert "import dropped" in desk.words()


def test_a_job_is_not_gone_because_slurm_does_not_answer() -> None:
    """No look, no conclusion."""
    desk = Desk()
    desk.stage_in(IN)
    desk.jobs = None
    desk.go(after=3600)

    assert desk.stage().phase is Phase.STAGED_IN


def test_a_job_that_was_not_asked_for_is_not_gone() -> None:
    """A look from before the job was known says nothing of it."""
    desk = Desk()
    ask = desk.request(RequestKind.DATA_IN, IN)
    desk.go(ask)

    assert desk.job().life is Life.PENDING


def test_slurm_is_nudged_after_it_has_seen_the_stage_in_done() -> None:
    """On 22.05 only an update of the job makes slurmctld schedule at once; once is enough, and not before."""
    desk = Desk()
    desk.stage_in(IN)
    desk.show("PENDING", bb_state="staging-in")
    desk.go()
    early = announced(desk)
    desk.show("PENDING", bb_state="staged-in")
    desk.go()
    [nudge] = announced(desk)
    desk.report(nudge, Done())

    assert early == []
    assert nudge.text == "amlfs: staged in, 3 files, 300 bytes"
    assert announced(desk) == []


def test_a_nudge_that_fails_is_tried_again_soon_but_not_at_once() -> None:
    """Else the job would wait for slurmctld's next round; and a slurmctld that is busy is not hammered at."""
    desk = Desk()
    desk.stage_in(IN)
    desk.show("PENDING", bb_state="staged-in")
    desk.go()
    desk.report(announced(desk)[0], BUSY, after=0)
    at_once = announced(desk)
    assert desk.decision is not None
    wake = desk.decision.wake
    desk.go(after=1)

    assert at_once == []
    assert wake is not None
    assert wake - desk.now <= timedelta(seconds=1)
    assert announced(desk)


def test_missing_blobs_are_counted_in_the_nudge() -> None:
    """The user reads in AdminComment that something is missing, and where it is named."""
    desk = Desk()
    desk.submit(IN)
    desk.drop_receipts()
    desk.go()
    desk.count()
    desk.start()
    desk.land(errors=1)
    desk.prove(Examined(settled=True, files=3, files_done=2, total_bytes=300, bytes_done=200, missing=("a/x",)))
    desk.receipt()
    desk.show("PENDING", bb_state="staged-in")
    desk.go()

    assert announced(desk)[0].text.endswith("; 1 blobs are missing, named in the receipt")


def test_a_job_closes_when_all_is_settled_and_slurm_is_done_with_it() -> None:
    """Its board stays for an hour, so that its owner can read how it went, and then goes."""
    desk = Desk()
    desk.stage_in(IN, OUT)
    desk.run()
    desk.end(IN, OUT)
    desk.prove_out(proved())
    before = desk.job().closed
    desk.free()
    desk.leave()
    desk.drop_receipts()
    desk.settle()
    closed = desk.job().closed
    assert desk.decision is not None
    wake = desk.decision.wake
    desk.go(after=3590)
    kept = 7 in desk.records.jobs
    desk.go(after=20)

    assert before is None
    assert closed is not None
    assert wake == closed + desk.rules.keep_board
    assert kept
    assert desk.decision.closed == (7,)
    assert desk.records.jobs == {}
    assert desk.words()[-1] == "closed"


def test_a_job_is_not_forgotten_before_its_receipt_is_gone() -> None:
    """With the mount away it waits, without hammering."""
    desk = Desk()
    desk.stage_in(IN)
    desk.show("CANCELLED")
    desk.settle()
    desk.report(desk.wish(DropReceipt), BUSY, after=0)
    at_once = desk.wished(DropReceipt)
    kept = 7 in desk.records.jobs
    desk.go(after=2)
    desk.report(desk.wish(DropReceipt), Done())

    assert at_once == []
    assert kept
    assert desk.records.jobs == {}


def test_a_job_that_slurm_purged_still_exports() -> None:
    """The duty is the daemon's once it was asked for."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    assert desk.jobs is not None
    desk.jobs.clear()
    desk.go(after=10)

    assert desk.wish(ProveOut)
    assert desk.job().life is Life.GONE


def test_an_export_that_slurm_never_asked_for_is_dropped_with_the_job() -> None:
    """A job that never ran has no outputs."""
    desk = Desk()
    desk.submit(OUT)
    desk.show("CANCELLED")
    desk.settle()

    assert "export dropped" in desk.words()
    assert desk.records.jobs == {}


@pytest.mark.parametrize(("on", "state", "code", "exports"), [
    ("always", "COMPLETED", 0, True), ("success", "COMPLETED", 0, True), ("failure", "TIMEOUT", 0, True),
    ("always", "OUT_OF_MEMORY", 0, True), ("success", "FAILED", 1, False), ("always", "CANCELLED", 0, False),
    ("always", "NODE_FAIL", 0, False),
])  # fmt: skip
def test_a_memory_from_before_the_start_loses_no_export(on: str, state: str, code: int, exports: bool) -> None:  # noqa: FBT001 - drawn
    """An older copy of the database is back, and all that the hooks told since is used up: the record tells the end.

    Cancelled, or ended for its nodes, the job may never have begun: what begins then has told so by its pre_run.
    """
    desk = Desk()
    desk.submit(f"{OUT} on={on}")
    desk.show(state, exit_code=code)
    desk.settle()

    assert bool(desk.wished(ProveOut)) is exports


def test_slurms_record_corrects_the_hooks_exit_code() -> None:
    """The latest look at the job's end is the one that counts."""
    desk = Desk()
    desk.submit(f"{OUT} on=failure")
    desk.run()
    desk.show("STAGE_OUT", exit_signal=9)
    desk.settle(
        desk.request(RequestKind.POST_RUN, code=0), desk.request(RequestKind.DATA_OUT, f"{OUT} on=failure", code=0)
    )
    desk.settle()

    assert desk.job().succeeded is False
    assert desk.wish(ProveOut)


def test_a_file_system_that_is_no_longer_configured_keeps_its_stages() -> None:
    """After a restart with another configuration nothing breaks, and the board says what to do."""
    desk = Desk()
    desk.stage_in(IN)
    desk.rules = replace(desk.rules, file_systems={"other": replace(desk.rules.file_systems["amlfs"], name="other")})
    desk.settle()
    board = desk.board()
    desk.show("CANCELLED")
    desk.settle()

    assert board.message == "the file system amlfs is no longer configured; put it back, or cancel the job"
    assert board.env == ()
    assert desk.records.jobs == {}
