"""Hold mode: duties found in records, gates, runs and their notes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.errand import Comment, ProveOut, TurnGate
from slurm_amlfs.domain.gate import Gate, Run
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Life, Records
from slurm_amlfs.domain.view import Hold, ImportState, JobName
from slurm_amlfs.wire import Answer, Request, RequestKind
from tests.unit.domain.desk import Desk, proved, unproved
from tests.unit.domain.hold_desk import IN, OUT, HoldDesk


@pytest.fixture
def desk() -> HoldDesk:
    """Make a desk in hold mode."""
    return HoldDesk()


def test_a_job_waits_for_its_data_in_an_admins_hold(desk: HoldDesk) -> None:
    """Seen, it is held for operators at once; let go when its data is proved, and Slurm told of it."""
    desk.come()
    desk.settle()
    assert desk.wish(TurnGate) == TurnGate(7, Hold.ADMIN)
    assert desk.board().token_in == Run(0).token
    desk.bring()
    assert desk.hold_of() is Hold.ADMIN
    assert desk.wish(TurnGate) == TurnGate(7, Hold.NONE)
    desk.act()
    assert desk.hold_of() is Hold.NONE
    desk.go()
    assert desk.wish(Comment).announces
    assert desk.answers()[0] is Answer.DONE
    assert "let go" in desk.words()


def test_who_is_released_too_early_is_held_again(desk: HoldDesk) -> None:
    """By its owner before it was seen, or by an operator."""
    desk.come(hold=Hold.NONE)
    desk.settle()
    assert desk.act() == [TurnGate(7, Hold.ADMIN)]
    desk.go()
    desk.hold(Hold.NONE)
    desk.go()
    assert desk.act() == [TurnGate(7, Hold.ADMIN)]
    assert "held again" in desk.words()
    desk.bring()
    assert desk.wish(TurnGate).hold is Hold.NONE


def test_its_owners_hold_survives(desk: HoldDesk) -> None:
    """Submitted with one, the job is handed to him when its data is there; a hold of later stays, too."""
    desk.come(owner_holds=True)
    desk.bring()
    assert desk.wish(TurnGate).hold is Hold.OWNER
    desk.act()
    desk.settle()
    assert not desk.wished(TurnGate)
    desk.hold(Hold.NONE)
    desk.go(after=60)
    desk.hold(Hold.OWNER)
    desk.go()
    desk.go(after=60)
    assert not desk.wished(TurnGate)
    assert desk.job().run is not None
    assert desk.job().run.owner_holds


def test_an_admins_hold_of_later_stays(desk: HoldDesk) -> None:
    """Once what was opened has been saved by Slurm; before, a crash of slurmctld may have taken it back."""
    desk.come()
    desk.bring()
    desk.act()
    desk.hold(Hold.ADMIN)
    desk.go(after=3600)
    assert desk.act() == [TurnGate(7, Hold.NONE)]
    desk.go(after=60)
    assert desk.job().run is not None
    assert desk.job().run.gate is Gate.LEFT
    desk.hold(Hold.ADMIN)
    desk.go(after=60)
    assert not desk.wished(TurnGate)


def test_a_turn_that_fails_is_wished_again(desk: HoldDesk) -> None:
    """To shut a gate at once, to open one after a wait, and the board says why."""
    desk.come()
    desk.settle()
    desk.act(well=False)
    desk.settle()
    assert desk.wish(TurnGate).hold is Hold.ADMIN
    desk.bring()
    desk.act(well=False)
    assert not desk.wished(TurnGate)
    assert desk.board().message == "Slurm does not answer"
    desk.go(after=60)
    assert desk.wish(TurnGate).hold is Hold.NONE


def test_what_only_exports_is_let_go_when_it_is_known(desk: HoldDesk) -> None:
    """It may not start before: the policy may refuse it, and its variables are in its receipt."""
    desk.come(OUT)
    desk.settle()
    desk.act()
    desk.settle()
    assert not desk.wished(TurnGate)
    desk.receipt()
    desk.settle()
    assert desk.wish(TurnGate).hold is Hold.NONE


def test_a_refused_job_stays_held_until_an_operator_has_it_tried_again(desk: HoldDesk) -> None:
    """The board says why. Released, it is asked about anew, behind a shut gate."""
    desk.come("stage_out prefix=/elsewhere/")
    desk.settle()
    desk.act()
    desk.settle()
    assert "may not export" in desk.board().message
    assert [it.word for it in desk.events].count("refused") == 1
    assert not desk.wished(TurnGate)
    generation = desk.job().generation
    desk.hold(Hold.NONE)
    desk.go()
    assert desk.act() == [TurnGate(7, Hold.ADMIN)]
    desk.settle()
    assert desk.job().generation > generation
    assert not desk.wished(TurnGate)


def test_a_failed_stage_in_is_tried_again_when_an_operator_releases_it(desk: HoldDesk) -> None:
    """And the job does not start meanwhile."""
    desk.come()
    desk.settle()
    desk.act()
    desk.drop_receipts()
    desk.go()
    desk.count(files=0, total_bytes=0)
    desk.settle()
    assert desk.stage().phase is Phase.FAILED
    assert not desk.wished(TurnGate)
    desk.hold(Hold.NONE)
    desk.go()
    assert desk.stage().phase is Phase.WAITING
    assert desk.act() == [TurnGate(7, Hold.ADMIN)]
    assert desk.hold_of() is Hold.ADMIN


def test_its_end_begins_the_export(desk: HoldDesk) -> None:
    """When it has left Slurm, and not while its processes may still write; the note of its end waits so long, too."""
    desk.come()
    desk.bring()
    desk.act()
    desk.start()
    assert desk.stage().phase is Phase.RUNNING
    desk.alter(job_state="COMPLETING")
    note = desk.note(RequestKind.DATA_OUT)
    assert desk.go(note).unheard == (note,)
    desk.settle()
    assert desk.out().phase is Phase.DECLARED
    desk.alter(job_state="COMPLETED")
    desk.settle()
    assert desk.out().phase is Phase.WAITING
    desk.prove_out(proved())
    desk.free()
    desk.settle()
    assert desk.job().closed is not None
    desk.go(desk.note(RequestKind.DATA_OUT))
    desk.settle()
    assert desk.job().closed is not None


@pytest.mark.parametrize(("line", "state", "code", "phase"), [
    ("", "FAILED", 1, Phase.WAITING),
    (" on=success", "COMPLETED", 0, Phase.WAITING),
    (" on=success", "TIMEOUT", 0, Phase.SETTLED),
    (" on=success", "FAILED", 1, Phase.SETTLED),
    (" on=failure", "FAILED", 1, Phase.WAITING),
    (" on=failure", "CANCELLED", 0, Phase.WAITING),
    (" on=failure", "COMPLETED", 0, Phase.SETTLED),
])  # fmt: skip
def test_a_lost_note_loses_no_export(desk: HoldDesk, line: str, state: str, code: int, phase: Phase) -> None:
    """The record of a job that has run says as much."""
    desk.come(IN, OUT + line)
    desk.bring()
    desk.act()
    desk.start()
    desk.alter(job_state=state, exit_code=code)
    desk.settle()
    assert desk.out().phase is phase


def test_a_record_that_is_gone_leaves_the_note(desk: HoldDesk) -> None:
    """Whatever the daemon has missed: with the note, the export begins; without it, too, if the job was seen to run."""
    desk.come(IN, OUT + " on=success")
    desk.bring()
    desk.act()
    desk.start()
    note = desk.note(RequestKind.DATA_OUT, 7, 0)
    del desk.roll[7]
    desk.go(note)
    desk.settle()
    assert desk.out().phase is Phase.WAITING


def test_a_job_that_never_ran_exports_nothing(desk: HoldDesk) -> None:
    """Cancelled while it waits, it leaves nothing behind."""
    desk.come()
    desk.bring()
    desk.alter(job_state="CANCELLED")
    desk.settle()
    assert 7 not in desk.records.jobs or desk.out().phase is Phase.CANCELLED


def test_a_requeued_job_is_held_and_staged_again(desk: HoldDesk) -> None:
    """What it left is not its result; the note of that run, which is named as the next one's, is no end of this one."""
    desk.come()
    desk.bring()
    desk.act()
    desk.start()
    desk.requeue()
    desk.settle(desk.note(RequestKind.DATA_OUT))
    assert desk.board().token_in == Run(1).token
    assert desk.answers()[0] is Answer.BUSY
    assert desk.act() == [TurnGate(7, Hold.ADMIN)]
    desk.settle(desk.note(RequestKind.DATA_OUT))
    assert desk.job().life is Life.PENDING
    desk.drop_receipts()
    desk.settle()
    desk.count(there=True)
    desk.settle()
    desk.prove()
    desk.receipt()
    desk.settle()
    assert desk.wish(TurnGate).hold is Hold.NONE


def test_a_job_that_its_owner_requeued_held_is_handed_to_him(desk: HoldDesk) -> None:
    """Scontrol requeuehold."""
    desk.come(OUT)
    desk.let_go()
    desk.requeue(hold=Hold.OWNER)
    desk.settle()
    desk.act()
    desk.settle()
    desk.receipt()
    desk.settle()
    desk.act()
    desk.settle()
    assert desk.hold_of() is Hold.OWNER
    assert not desk.wished(TurnGate)


def test_a_job_that_slurm_holds_for_failing_is_its_admins_to_release(desk: HoldDesk) -> None:
    """After too many requeues (WAIT_MAX_REQUEUE). Released, it keeps its state, and waits for its data like others."""
    desk.come(OUT)
    desk.let_go()
    desk.requeue(hold=Hold.ADMIN)
    desk.alter(job_state="REQUEUE_HOLD", reason="JobHoldMaxRequeue")
    desk.settle()
    assert not desk.wished(TurnGate)
    desk.hold(Hold.NONE)
    desk.settle()
    assert desk.wished(TurnGate)[0].hold is Hold.ADMIN
    desk.hold(Hold.ADMIN)
    desk.settle()
    desk.receipt()
    desk.settle()
    assert desk.wish(TurnGate).hold is Hold.NONE
    assert desk.board().token_in == Run(1).token


def test_another_job_by_the_same_id_has_a_gate_of_its_own(desk: HoldDesk) -> None:
    """Slurm has lost its state, and counts from the beginning again."""
    desk.come()
    desk.bring()
    desk.act()
    desk.go(after=60)
    desk.come()
    desk.settle()
    assert desk.hold_of() is Hold.OWNER
    desk.act()
    assert desk.hold_of() is Hold.NONE


def test_an_export_under_way_is_finished_before_the_next_run(desk: HoldDesk) -> None:
    """A finished job that is requeued waits behind its gate."""
    desk.come(OUT)
    desk.let_go()
    desk.alter(job_state="COMPLETED")
    desk.settle()
    desk.prove_out(unproved("/jobs/7/"))
    desk.settle()
    Desk.start(desk)
    assert desk.out().phase is Phase.EXPORTING
    desk.requeue()
    desk.go()
    assert desk.act() == [TurnGate(7, Hold.ADMIN)]
    assert desk.out().phase is Phase.EXPORTING
    assert not desk.wished(TurnGate)
    desk.archived()
    desk.settle()
    assert desk.job().run is not None
    assert desk.job().run.number == 1
    desk.receipt()
    desk.settle()
    assert desk.wish(TurnGate).hold is Hold.NONE


def test_a_job_waits_for_what_it_depends_on(desk: HoldDesk) -> None:
    """For the other's end, and then for the other's exports, which are likely what it brings in."""
    desk.come(OUT)
    desk.let_go()
    desk.come("stage_in prefix=/jobs/7/", job_id=8, after=frozenset({JobName(7)}))
    desk.settle()
    desk.act()
    desk.settle()
    assert desk.stage(8).phase is Phase.DECLARED
    assert desk.board(8).message == "waiting for job 7, which it depends on"
    desk.alter(job_state="COMPLETED")
    desk.roll[8] = replace(desk.roll[8], after=frozenset())
    desk.settle()
    assert desk.stage(8).phase is Phase.DECLARED
    assert desk.board(8).message == "waiting for the exports of job 7, which it depends on"
    desk.prove_out(proved())
    desk.settle()
    assert desk.stage(8).phase is not Phase.DECLARED


def test_a_job_is_staged_shortly_before_its_begin_time(desk: HoldDesk) -> None:
    """And the pass that begins it comes by itself."""
    desk.come(begins=desk.now + timedelta(hours=1))
    desk.settle()
    assert desk.stage().phase is Phase.DECLARED
    assert desk.decision is not None
    assert desk.decision.wake is not None
    desk.go(after=(desk.decision.wake - desk.now).total_seconds())
    assert desk.stage().phase is Phase.WAITING


def test_an_arrays_record_stays_shut_and_its_tasks_are_jobs(desk: HoldDesk) -> None:
    """By the names that scontrol takes for just these."""
    desk.come(tasks=90, name="7_[10-99]")
    desk.come(job_id=8)
    desk.settle()
    assert desk.wished(TurnGate) == [TurnGate(7, Hold.ADMIN, "7_[10-99]"), TurnGate(8, Hold.ADMIN)]
    desk.bring()
    assert desk.wish(TurnGate) == TurnGate(8, Hold.NONE)
    assert 7 not in desk.records.jobs


def test_an_array_that_its_owner_holds_is_his_until_he_releases_it(desk: HoldDesk) -> None:
    """Tasks split off before are handed to him; when he has released the rest, later ones are let go like others."""
    desk.come(OUT, tasks=90, name="7_[10-99]", owner_holds=True)
    desk.come(OUT, job_id=8, owner_holds=True)
    desk.alter(8, task=JobName(7, 1))
    desk.settle()
    assert desk.act() == [TurnGate(8, Hold.ADMIN)]
    desk.settle()
    desk.receipt()
    desk.settle()
    assert desk.act() == [TurnGate(8, Hold.OWNER)]
    desk.hold(Hold.NONE)
    desk.hold(Hold.NONE, 8)
    desk.go()
    assert desk.act() == [TurnGate(7, Hold.ADMIN, "7_[10-99]")]
    desk.come(OUT, job_id=9, hold=Hold.ADMIN, owner_holds=True)
    desk.alter(9, task=JobName(7, 2))
    desk.settle()
    desk.receipt()
    desk.settle()
    assert desk.act() == [TurnGate(9, Hold.NONE)]
    assert desk.hold_of(8) is Hold.NONE


def test_a_heterogeneous_job_is_let_go_when_all_its_parts_may(desk: HoldDesk) -> None:
    """To release one is to release all."""
    desk.come(leader=7)
    desk.come(OUT, job_id=8, leader=7)
    desk.settle()
    desk.act()
    desk.settle()
    assert not desk.wished(TurnGate)
    desk.bring()
    assert {it.hold for it in desk.wished(TurnGate)} == {Hold.NONE}


def test_a_daemon_without_memory_knows_running_jobs_again(desk: HoldDesk) -> None:
    """So that their inputs are needed, and their exports known; gates of jobs that run are nobody's business."""
    desk.come(hold=Hold.NONE)
    desk.alter(job_state="RUNNING")
    desk.settle()
    assert desk.job().life is Life.RUNNING
    assert not desk.wished(TurnGate)
    desk.alter(job_state="COMPLETED")
    desk.settle()
    assert desk.out().phase is Phase.WAITING


def test_a_note_with_directives_is_enough(desk: HoldDesk) -> None:
    """Memory and record are gone; one without any, of a job that nobody knows, is passed over."""
    desk.come(hold=Hold.NONE)
    whole, bare = desk.note(RequestKind.DATA_OUT, 7, 0, IN, OUT), desk.note(RequestKind.DATA_OUT)
    del desk.roll[7]
    desk.go(bare)
    assert not desk.records.jobs
    desk.go(whole)
    desk.settle()
    assert desk.wished(ProveOut)


def test_a_note_tells_that_a_cancelled_job_had_run(desk: HoldDesk) -> None:
    """Its record alone does not, when it came and went between two looks."""
    desk.come(IN, OUT)
    desk.bring()
    desk.act()
    desk.alter(job_state="CANCELLED")
    desk.go(desk.note(RequestKind.DATA_OUT))
    desk.settle()
    assert desk.out().phase is Phase.WAITING


@pytest.mark.parametrize("state", ["CANCELLED", "NODE_FAIL", "BOOT_FAIL"])
@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("looks_first", [True, False])
def test_a_run_whose_nodes_did_not_come_exports_nothing(
    desk: HoldDesk,
    state: str,
    remembers: bool,  # noqa: FBT001 - drawn
    looks_first: bool,  # noqa: FBT001 - drawn
) -> None:
    """What lies under its prefix is not its own; also where the daemon has lost its memory, and the note comes late."""
    desk.come(IN, OUT)
    desk.bring()
    desk.act()
    desk.alter(job_state="CONFIGURING")
    desk.settle()
    if not remembers:
        desk.records = Records()
    desk.alter(job_state=state)
    if looks_first:
        desk.settle()
        desk.go(after=30)
    for _ in range(2):
        desk.go(absent(desk))
    desk.go(after=90)
    desk.settle()
    assert not desk.wished(ProveOut)
    assert (desk.out().phase if 7 in desk.records.jobs else Phase.CANCELLED) is Phase.CANCELLED


@pytest.mark.parametrize("more", [
    {"exit_signal": 15}, {"exit_code": 1}, {"interactive": True}, {"job_state": "COMPLETED"}, {"job_state": "TIMEOUT"},
])  # fmt: skip
def test_all_else_has_to_say_too_that_the_nodes_did_not_come(desk: HoldDesk, more: dict[str, object]) -> None:
    """One that may have run is exported, and so is one that nobody can be asked about."""
    desk.come(IN, OUT)
    desk.bring()
    desk.act()
    desk.alter(**{"job_state": "CANCELLED", **more})
    desk.go(absent(desk))
    desk.settle()
    assert desk.out().phase is Phase.WAITING


@pytest.mark.parametrize("looks_first", [True, False])
def test_who_was_seen_to_run_had_nodes(desk: HoldDesk, looks_first: bool) -> None:  # noqa: FBT001 - drawn
    """Whatever the note of its end says."""
    desk.come(IN, OUT)
    desk.bring()
    desk.act()
    desk.start()
    desk.alter(job_state="CANCELLED")
    if looks_first:
        desk.settle()
    desk.go(absent(desk))
    desk.settle()
    assert desk.out().phase is Phase.WAITING


@pytest.mark.parametrize("gone", [True, False])
def test_a_lost_sign_exports_what_may_be_a_runs(desk: HoldDesk, gone: bool) -> None:  # noqa: FBT001 - drawn
    """A node failed, and no note says that it never came; or one does, and Slurm has forgotten what job it was."""
    desk.come(IN, OUT)
    desk.bring()
    desk.act()
    note = absent(desk)
    desk.alter(job_state="NODE_FAIL")
    if gone:
        del desk.roll[7]
        desk.go(note)
    desk.settle()
    desk.go(after=90)
    assert desk.out().phase is Phase.WAITING


def test_nodes_that_did_not_come_say_nothing_of_the_next_run(desk: HoldDesk) -> None:
    """The job is sent back for them and runs elsewhere, between two looks; what that run leaves is exported."""
    desk.come(IN, OUT)
    desk.bring()
    desk.act()
    desk.requeue()
    desk.settle(absent(desk))
    assert desk.act() == [TurnGate(7, Hold.ADMIN)]
    desk.drop_receipts()
    desk.settle()
    desk.count(there=True)
    desk.settle()
    desk.prove()
    desk.receipt()
    desk.settle()
    desk.act()
    desk.alter(job_state="FAILED", exit_code=1)
    desk.settle()
    assert desk.out().phase is Phase.WAITING


def absent(desk: HoldDesk) -> Request:
    """Write the note that EpilogSlurmctld does where nodes of the run are not up."""
    return replace(desk.note(RequestKind.DATA_OUT, 7, 0, IN, OUT), absent=True)


def test_silence_turns_nothing(desk: HoldDesk) -> None:
    """While Slurm does not answer, nothing is known."""
    desk.come()
    desk.silent = True
    desk.go()
    assert not desk.wished(TurnGate)
    assert not desk.records.jobs


def test_an_import_that_fails_keeps_the_gate_shut(desk: HoldDesk) -> None:
    """However it ended."""
    desk.come(IN + " conflict=fail")
    desk.settle()
    desk.act()
    desk.drop_receipts()
    desk.go()
    desk.count()
    Desk.start(desk)
    desk.land(ImportState.FAILED, conflicts=3, message="conflicts")
    desk.settle()
    assert all(it.hold is Hold.ADMIN for it in desk.wished(TurnGate))
    assert desk.hold_of() is Hold.ADMIN
