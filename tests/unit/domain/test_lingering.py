"""Jobs that are over, and whose burst buffers Slurm does not tear down: all that is ours ends, and an admin is told."""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain.errand import Behind, DropReceipt, Mend, ProveOut
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Done, Fault, Trouble
from slurm_amlfs.wire import RequestKind
from tests.unit.domain.desk import RULES, Desk

IN = "stage_in prefix=/genomes/"
OUT = "stage_out prefix=/jobs/7/"
AFTER = RULES.left_behind.total_seconds()
MENDING = replace(RULES, mend=True)


def cancelled(rules: object = RULES, **more: object) -> Desk:
    """Bring a job to where it was cancelled staged in, and Slurm shows its teardown, of which no hook tells."""
    desk = Desk(rules)  # type: ignore[arg-type]
    desk.stage_in(IN, OUT)
    desk.show("CANCELLED", bb_state="teardown", **more)
    desk.go()
    desk.settle()
    desk.drop_receipts()
    desk.settle()
    return desk


def test_everything_of_ours_ends() -> None:
    """The stages, the receipt, the lease's need; the board stays to tell what Slurm has left."""
    desk = cancelled()

    assert [stage.phase for stage in desk.records.stages.values()] == [Phase.CANCELLED, Phase.CANCELLED]
    assert "closed" in desk.words()
    assert not desk.job().receipt
    assert desk.wished(DropReceipt) == []
    assert desk.records.leases == {}
    assert desk.records.resting.of_prefix("amlfs", "/genomes/")
    assert desk.board().message == "the job is gone"


def test_an_admin_is_told_what_helps() -> None:
    """Once, when it has been so for long; Slurm is left alone."""
    desk = cancelled()
    desk.go(after=AFTER)
    desk.go(after=AFTER)

    assert "run: scontrol requeuehold 7 && scancel 7, or restart slurmctld" in desk.board().message
    assert desk.words().count("left behind") == 1
    assert desk.wished(Mend) == []


def test_of_an_interactive_job_only_a_restart_helps() -> None:
    """Slurm requeues no other than batch jobs."""
    desk = cancelled(MENDING, interactive=True)
    desk.go(after=AFTER)

    assert desk.board().message.endswith("a restart of slurmctld frees it")
    assert "requeue" not in desk.board().message
    assert desk.wished(Mend) == []


def test_a_teardown_that_comes_to_its_end_is_no_news() -> None:
    """The job is forgotten as soon as Slurm says so, or has forgotten it."""
    for view in ("complete", None):
        desk = cancelled()
        if view is None:
            assert desk.jobs is not None
            del desk.jobs[7]
        else:
            desk.show("CANCELLED", bb_state=view)
        desk.go()

        assert 7 not in desk.records.jobs
        assert "left behind" not in desk.words()


def test_a_slurm_that_does_not_answer_has_not_torn_down() -> None:
    """The job is not forgotten for that."""
    desk = cancelled()
    jobs, desk.jobs = desk.jobs, None
    desk.go(after=AFTER)
    desk.go(after=AFTER)
    told = desk.words()
    desk.jobs = jobs
    desk.go()

    assert "left behind" not in told
    assert "left behind" in desk.words()


def test_it_is_mended_where_the_site_wants_that() -> None:
    """The job is requeued, held, and cancelled; it is not forgotten before."""
    desk = cancelled(MENDING)
    desk.go(after=AFTER)
    mend = desk.wish(Mend)
    desk.show("PENDING", bb_state="complete", held=True, restarts=1)
    desk.report(mend, Trouble(Fault.TEMPORARY, "requeued, and cancelled next"))
    desk.go()
    again = desk.wish(Mend)
    desk.show("CANCELLED", bb_state="complete", restarts=1)
    desk.report(again, Done())
    desk.go()

    assert mend.behind is again.behind is Behind.TEARDOWN
    assert desk.words()[-2:] == ["mended", "torn down"]
    assert 7 not in desk.records.jobs


def test_what_slurm_refuses_is_said_and_tried_again_later() -> None:
    """As for a job of `--no-requeue`."""
    desk = cancelled(MENDING)
    desk.go(after=AFTER)
    desk.report(desk.wish(Mend), Trouble(Fault.PERMANENT, "Slurm refuses"))
    early = desk.wished(Mend)
    desk.go(after=AFTER)

    assert early == []
    assert "not mended" in desk.words()
    assert desk.wished(Mend)


def test_one_that_its_owner_lets_go_meanwhile_runs() -> None:
    """It is another run, and nobody cancels it."""
    desk = cancelled(MENDING)
    desk.go(after=AFTER)
    desk.report(desk.wish(Mend), Trouble(Fault.TEMPORARY, "requeued, and cancelled next"))
    desk.show("PENDING", bb_state="staging-in", held=False, restarts=1)
    desk.go(desk.request(RequestKind.SETUP, IN, OUT), desk.request(RequestKind.DATA_IN, IN, OUT))
    desk.settle()

    assert desk.wished(Mend) == []
    assert not desk.stage().phase.over


def test_one_that_slurm_begins_to_stage_between_the_two_commands_is_cancelled_all_the_same() -> None:
    """It stages held jobs too, whenever another job waits; that is no wish of the owner's."""
    desk = cancelled(MENDING)
    desk.go(after=AFTER)
    asks = (desk.request(RequestKind.SETUP, IN, OUT), desk.request(RequestKind.DATA_IN, IN, OUT))
    stale = desk.go(*asks)
    desk.report(desk.wish(Mend), Trouble(Fault.TEMPORARY, "requeued, and cancelled next"))
    desk.show("PENDING", bb_state="staging-in", held=True, restarts=1)
    between = desk.go(*asks, after=30)
    mend = desk.wish(Mend)
    desk.show("CANCELLED", bb_state="teardown", restarts=1)
    desk.report(mend, Done())
    after = desk.go(*asks)
    still = desk.job()
    desk.show("CANCELLED", bb_state="complete", restarts=1)
    desk.settle()

    assert stale.unheard == between.unheard == asks
    assert after.unheard == ()
    assert still.behind is not None
    assert "mended" in desk.words()
    assert desk.words().count("submitted") == 1
    assert 7 not in desk.records.jobs


def test_one_that_is_let_go_after_it_was_staged_meanwhile_runs() -> None:
    """What was asked in between is heard then."""
    desk = cancelled(MENDING)
    desk.go(after=AFTER)
    desk.report(desk.wish(Mend), Trouble(Fault.TEMPORARY, "requeued, and cancelled next"))
    asks = (desk.request(RequestKind.SETUP, IN, OUT), desk.request(RequestKind.DATA_IN, IN, OUT))
    desk.show("PENDING", bb_state="staging-in", held=True, restarts=1)
    between = desk.go(*asks)
    desk.show("PENDING", bb_state="staging-in", held=False, restarts=1)
    desk.settle(*between.unheard)

    assert between.unheard == asks
    assert not desk.stage().phase.over
    assert desk.wished(Mend) == []


def test_the_hurry_of_a_job_that_has_run_is_waited_for_and_not_for_ever() -> None:
    """Its teardown may tell that the outputs are to be dropped; a lost one tells nothing, and they are brought out."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.show("CANCELLED", bb_state="teardown")
    desk.go()
    desk.settle()
    early = desk.wished(ProveOut)
    desk.go(after=AFTER)
    desk.settle()

    assert early == []
    assert desk.wish(ProveOut)
