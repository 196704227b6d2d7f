"""A run that Slurm ends to run the job again: what it leaves is exported only for on=each-run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_amlfs.domain.ask import ExportOn
from slurm_amlfs.domain.errand import ProveOut
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Life
from slurm_amlfs.wire import Answer, Request, RequestKind
from tests.unit.domain.desk import Desk

OUT = "stage_out prefix=/jobs/7/"


def end_run(line: str) -> Desk:
    """Let a run end whose node still cleans up, and have Slurm ask for the export of what it left."""
    desk = Desk()
    desk.submit(line)
    desk.run()
    desk.show("COMPLETING")
    desk.go(desk.request(RequestKind.POST_RUN), desk.request(RequestKind.DATA_OUT, line))
    desk.settle()
    return desk


@pytest.mark.parametrize("on", ExportOn)
def test_nothing_is_exported_while_the_node_cleans_up(on: ExportOn) -> None:
    """Its processes may write yet, for KillWait and more, and whether the job is requeued does not show."""
    desk = end_run(f"{OUT} on={on.value}")

    assert desk.out().phase is Phase.DECLARED
    assert desk.wished(ProveOut) == []
    assert desk.answers()[1] is Answer.BUSY


def test_each_run_exports_what_a_requeued_run_left() -> None:
    """Its owner has asked for it; Slurm waits for the answer before it stages the job again."""
    desk = end_run(f"{OUT} on=each-run")
    desk.show("PENDING", restarts=1)
    desk.settle()

    assert desk.wish(ProveOut)
    assert desk.answers()[1] is Answer.BUSY


@pytest.mark.parametrize("on", [it for it in ExportOn if it is not ExportOn.EACH_RUN])
def test_the_other_words_speak_of_the_end_of_the_job(on: ExportOn) -> None:
    """The same for a job that its owner, a node that failed or another job sent back."""
    desk = end_run(f"{OUT} on={on.value}")
    desk.show("PENDING", restarts=1)
    desk.settle()

    assert desk.out().phase is Phase.SETTLED
    assert desk.answers()[1] is Answer.DONE
    assert desk.words()[-1] == "not exported"


@pytest.mark.parametrize("code", [0, 1])
def test_each_run_exports_at_the_end_as_always_does(code: int) -> None:
    """However the job ended."""
    desk = end_run(f"{OUT} on=each-run")
    desk.show("STAGE_OUT", exit_code=code)
    desk.settle()

    assert desk.wish(ProveOut)


def late_note(desk: Desk, run: int | None) -> Request:
    """Write the note of a run's end as EpilogSlurmctld does; one of an older hook does not name the run."""
    token = "" if run is None else f"run-{run}"
    return replace(desk.request(RequestKind.ENDED, code=3), token=token)


@pytest.mark.parametrize(("run", "exports"), [(0, True), (1, False), (None, False)])
def test_a_late_end_of_a_run_is_not_that_of_the_next(run: int | None, exports: bool) -> None:  # noqa: FBT001 - drawn
    """How the job ended is for its own notes to tell, when Slurm has forgotten it."""
    line = f"{OUT} on=success"
    desk = Desk()
    desk.submit(line)
    desk.run()
    desk.show("PENDING", restarts=1)
    desk.settle(desk.request(RequestKind.SETUP, line))
    desk.show("RUNNING", restarts=1)
    desk.settle(desk.request(RequestKind.PRE_RUN))
    desk.settle(late_note(desk, run))
    assert desk.jobs is not None
    desk.jobs.clear()
    desk.settle(desk.request(RequestKind.POST_RUN, code=0), desk.request(RequestKind.DATA_OUT, line))

    assert bool(desk.wished(ProveOut)) is exports


def test_a_late_end_waits_for_a_look_that_is_younger_than_the_setup() -> None:
    """An older one shows the count of the run before."""
    desk = Desk()
    desk.submit(f"{OUT} on=success")
    desk.run()
    desk.show("RUNNING")
    note = late_note(desk, 0)
    decision = desk.go(desk.request(RequestKind.SETUP, f"{OUT} on=success"), note)
    desk.show("RUNNING", restarts=1)
    desk.settle(note)

    assert decision.unheard == (note,)
    assert (desk.job().life, desk.job().exit_note) == (Life.RUNNING, -1)
