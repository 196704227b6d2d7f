"""Jobs that Slurm has left behind are told of, and mended if the site wants that; jobs that wait for us never are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_amlfs.domain.errand import Behind, Mend, ProveOut
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Life
from slurm_amlfs.domain.report import Done, Fault, Trouble
from slurm_amlfs.domain.view import JobName
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import RULES, Desk, proved

IN = "stage_in prefix=/genomes/"
OUT = "stage_out prefix=/jobs/7/"
AFTER = RULES.left_behind.total_seconds()
MENDING = replace(RULES, mend=True)


def staged_in(rules: object = RULES, **more: object) -> Desk:
    """Bring a job to where its answer is there, while Slurm goes on to show it staging in."""
    desk = Desk(rules)  # type: ignore[arg-type]
    desk.stage_in(IN, OUT)
    desk.show("PENDING", bb_state="staging-in", **more)
    return desk


def wait(desk: Desk, seconds: float = AFTER) -> None:
    """Let that long go by twice: until it is noticed, and from then on."""
    for _ in range(2):
        desk.go(after=seconds)


def test_a_stage_in_whose_answer_nobody_fetches_is_told() -> None:
    """On the board with the commands that help, once in the timeline, and Slurm is left alone."""
    desk = staged_in()
    wait(desk)
    wait(desk)

    assert "run: scontrol update JobId=7 Requeue=1 && scancel 7 && scontrol requeue 7" in desk.board().message
    assert desk.words().count("left behind") == 1
    assert desk.wished(Mend) == []
    assert desk.answers()[0] is Answer.DONE


def test_of_an_array_the_task_is_named() -> None:
    """By the array's id, which its last task has, the commands would take every task, those that run too."""
    desk = staged_in(task=JobName(7, 3))
    wait(desk)

    assert "run: scontrol update JobId=7_3 Requeue=1 && scancel 7_3 && scontrol requeue 7_3" in desk.board().message


def test_the_alarm_goes_when_slurm_takes_the_job_up_again() -> None:
    """An admin has done it."""
    desk = staged_in()
    wait(desk)
    desk.show("PENDING", bb_state="staged-in")
    desk.go()

    assert desk.board().message == ""
    assert desk.words()[-1] == "taken up again"
    assert desk.job().behind is None


@pytest.mark.parametrize("seconds", [1, AFTER / 2])
def test_nothing_is_told_before_its_time(seconds: float) -> None:
    """A hook needs a while to fetch its answer, and a slurmctld to come back."""
    desk = staged_in(MENDING)
    wait(desk, seconds)
    desk.show("PENDING", bb_state="staged-in")
    desk.go()
    desk.show("PENDING", bb_state="staging-in")
    wait(desk, AFTER / 4)

    assert "left behind" not in desk.words()
    assert desk.wished(Mend) == []


@pytest.mark.parametrize("phase", ["asked", "importing", "proving", "receipt"])
def test_a_job_that_waits_for_us_is_never_left_behind(phase: str) -> None:
    """However long: Slurm waits for an answer that is not there."""
    desk = Desk(MENDING)
    desk.submit(IN, OUT)
    desk.show("PENDING", bb_state="staging-in")
    if phase != "asked":
        desk.drop_receipts()
        desk.go()
        desk.count()
        desk.start()
    if phase in {"proving", "receipt"}:
        desk.land()
    if phase == "receipt":
        desk.prove()
    for _ in range(5):
        desk.go(after=AFTER)

    assert "left behind" not in desk.words()
    assert desk.job().behind is None


def test_slurm_that_does_not_answer_leaves_nobody_behind() -> None:
    """What was seen before it went down says nothing."""
    desk = staged_in(MENDING)
    desk.go()
    desk.jobs = None
    wait(desk)

    assert desk.wished(Mend) == []


def test_a_stage_in_that_was_never_asked_for_is_told() -> None:
    """As when slurmctld died between setup and data_in."""
    desk = Desk()
    desk.show("PENDING", bb_state="staging-in")
    desk.go(desk.request(RequestKind.SETUP, IN))
    wait(desk)

    assert "left behind" in desk.words()


@pytest.mark.parametrize("held", [True, False])
def test_a_failed_stage_in_is_left_only_when_it_was_released(held: bool) -> None:  # noqa: FBT001 - a case
    """A held one waits for who mends its failure; that Slurm goes on to show it staging in is for want of a flag."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/../b/")
    desk.show("PENDING", bb_state="staging-in", held=held)
    wait(desk)

    assert ("left behind" in desk.words()) is not held


def test_it_is_mended_where_the_site_wants_that() -> None:
    """The wish is written down before Slurm is told, so that a crash amid it does not leave the job cancelled."""
    desk = staged_in(MENDING)
    wait(desk)
    mend = desk.wish(Mend)
    mending = desk.job().mending
    desk.show("CANCELLED", bb_state="teardown")
    desk.go()
    amid = desk.wish(Mend)
    desk.show("PENDING", bb_state="complete", restarts=1)
    desk.report(mend, Done())
    desk.go()

    assert mend.behind is Behind.IN
    assert mending is not None
    assert amid == mend
    assert desk.job().life is Life.PENDING
    assert desk.job().mending is None
    assert desk.stage().phase is Phase.STAGED_IN
    assert desk.words()[-2:] == ["mended", "taken up again"]
    assert "the daemon does it" not in desk.board().message


def test_a_look_from_amid_the_mending_ends_nothing() -> None:
    """It shows the job cancelled, and may be taken with the word that the job is mended."""
    desk = staged_in(MENDING)
    wait(desk)
    mend = desk.wish(Mend)
    desk.show("CANCELLED", bb_state="teardown")
    desk.report(mend, Done())
    amid = desk.job().life
    desk.show("PENDING", bb_state="pending", restarts=1)
    desk.go()

    assert (amid, desk.job().life) == (Life.PENDING, Life.PENDING)
    assert desk.stage().phase is Phase.STAGED_IN


def test_a_job_that_its_owner_cancels_is_not_requeued() -> None:
    """Only one that is being mended."""
    desk = staged_in(MENDING)
    desk.go(after=AFTER)
    desk.show("CANCELLED", bb_state="teardown")
    desk.go()

    assert desk.job().life is Life.GONE
    assert desk.wished(Mend) == []


def test_what_mending_does_not_help_is_left_to_an_admin() -> None:
    """After three times."""
    desk = staged_in(MENDING)
    mends = 0
    for _ in range(20):
        desk.go(after=AFTER)
        for errand in desk.wished(Mend):
            mends += 1
            desk.report(errand, Done())

    assert mends == 3
    assert desk.words().count("left behind") == 1


def test_what_cannot_be_mended_is_said() -> None:
    """And tried again after a while."""
    desk = staged_in(MENDING)
    wait(desk)
    desk.report(desk.wish(Mend), Trouble(Fault.PERMANENT, "Slurm refuses"))

    assert desk.words()[-1] == "not mended"
    assert desk.job().mending is None


def test_an_interactive_job_is_not_requeued() -> None:
    """Its srun or salloc would end."""
    desk = staged_in(MENDING, interactive=True)
    wait(desk)

    assert desk.wished(Mend) == []
    assert "srun and salloc cannot be requeued: scancel 7" in desk.board().message


def staged_out(rules: object = RULES) -> Desk:
    """Bring a job to where its exports are over, while Slurm goes on to show it staging out."""
    desk = Desk(rules)  # type: ignore[arg-type]
    desk.submit(f"{OUT} release=no")
    desk.run()
    desk.end(f"{OUT} release=no")
    desk.prove_out(proved())
    desk.show("STAGE_OUT", bb_state="staging-out")
    return desk


def test_a_stage_out_whose_answer_nobody_fetches_is_told() -> None:
    """With the command that helps."""
    desk = staged_out()
    wait(desk)

    assert desk.answers()[1] is Answer.DONE
    assert "scancel --hurry 7" in desk.board().message
    assert desk.wished(Mend) == []


def test_a_stage_out_is_ended_where_the_site_wants_that() -> None:
    """In a hurry: there is nothing left to drop."""
    desk = staged_out(MENDING)
    wait(desk)

    assert desk.wish(Mend).behind is Behind.OUT
    assert desk.out().phase is Phase.SETTLED


def test_an_export_under_way_is_never_left_behind() -> None:
    """Slurm waits for us."""
    desk = Desk(MENDING)
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    desk.show("STAGE_OUT", bb_state="staging-out")
    for _ in range(5):
        desk.go(after=AFTER)

    assert "left behind" not in desk.words()


def ended(desk: Desk, job_state: str | None = "STAGE_OUT") -> None:
    """Let a job end of which Slurm asks no export; None: Slurm has lost it."""
    desk.submit(OUT)
    desk.run()
    if job_state is None:
        assert desk.jobs is not None
        del desk.jobs[7]
    else:
        desk.show(job_state, bb_state="post-run")
    desk.settle(desk.request(RequestKind.ENDED, code=0))


def test_exports_that_slurm_does_not_ask_for_are_made() -> None:
    """As when slurmctld died between post_run and data_out."""
    desk = Desk()
    ended(desk)
    early = desk.wished(ProveOut)
    wait(desk)
    desk.settle()

    assert early == []
    assert desk.wish(ProveOut)
    assert desk.board().message == ""


def test_exports_of_a_job_that_slurm_has_lost_are_made() -> None:
    """It has run, so its outputs are its result, whoever else has forgotten it."""
    desk = Desk()
    ended(desk, None)

    assert desk.job().life is Life.GONE
    assert desk.wish(ProveOut)


def test_a_new_job_of_a_lost_ones_id_waits_for_its_exports() -> None:
    """A slurmctld that lost its state begins to count anew; the outputs of the first job are not forgotten for that."""
    desk = Desk()
    ended(desk, None)
    desk.show("PENDING", bb_state="staging-in")
    requests = (desk.request(RequestKind.SETUP, IN), desk.request(RequestKind.DATA_IN, IN))
    decision = desk.go(*requests)
    meanwhile = desk.job().directives
    desk.prove_out(proved())
    desk.free()
    desk.go(*decision.unheard)

    assert decision.unheard == requests
    assert meanwhile == (OUT,)
    assert "exported" in desk.words()
    assert desk.job().directives == (IN,)


def test_exports_of_a_job_that_was_cancelled_in_a_hurry_are_dropped() -> None:
    """Slurm may show the end before the teardown's hook has told of it."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.show("CANCELLED", bb_state="teardown")
    desk.settle()
    desk.settle(desk.request(RequestKind.TEARDOWN, hurry=True))
    desk.show("CANCELLED", bb_state="complete")
    desk.settle()

    assert "export dropped" in desk.words()
    assert desk.wished(ProveOut) == []
    assert not desk.records.jobs


def test_a_job_that_was_lost_before_it_ran_has_nothing_to_export() -> None:
    """It is forgotten."""
    desk = Desk()
    desk.submit(OUT)
    assert desk.jobs is not None
    del desk.jobs[7]
    desk.settle()

    assert desk.wished(ProveOut) == []
    assert "export dropped" in desk.words()


def test_a_job_whose_nodes_did_not_come_is_told_of_and_keeps_its_data() -> None:
    """Slurm's note that it has ended is of a run that never began; only a restart of slurmctld starts the job."""
    desk = Desk(MENDING)
    desk.stage_in(IN, OUT)
    desk.show("PENDING", bb_state="complete", reason="Cleaning", restarts=1)
    desk.go(desk.request(RequestKind.ENDED, code=0), desk.request(RequestKind.TEARDOWN, hurry=True))
    desk.settle()
    wait(desk)

    assert desk.job().life is Life.PENDING
    assert desk.stage().phase is Phase.STAGED_IN
    assert "the nodes of this job did not come" in desk.board().message
    assert "restart slurmctld" in desk.board().message
    assert desk.wished(Mend) == []


def test_a_job_cancelled_before_its_nodes_came_exports_nothing() -> None:
    """What lies under its prefix is not its own."""
    desk = Desk()
    desk.stage_in(IN, OUT)
    desk.show("CANCELLED", bb_state="complete")
    desk.go(desk.request(RequestKind.ENDED, code=-1), desk.request(RequestKind.TEARDOWN, hurry=True))
    desk.settle()

    assert desk.wished(ProveOut) == []
    assert "export dropped" in desk.words()
