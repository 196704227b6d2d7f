"""A stage-in waits for exports of the same paths whose jobs had ended before it was asked for, and for no others."""

from __future__ import annotations

import pytest

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.errand import Count, Free, ProveIn
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Freed
from slurm_amlfs.domain.view import JobName, QueuedJob
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import ALICE, Desk, proved

OUT = "stage_out prefix=/jobs/7/"
IN = "stage_in prefix=/jobs/7/"


def exporting() -> Desk:
    """Bring job 7 to where its export is under way."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    return desk


@pytest.mark.parametrize("prefix", ["/jobs/7/", "/jobs/7/deep/", "/jobs/"])
def test_who_asks_after_the_end_waits_for_the_export(prefix: str) -> None:
    """Nothing is counted before the proof, so no prefix is called misspelt; then it is, and the stage-in goes on."""
    desk = exporting()
    desk.submit(f"stage_in prefix={prefix}", job_id=8)
    desk.settle()
    waited = desk.wished(Count)
    said = desk.stage(8).message
    desk.prove_out(proved())
    desk.settle()

    assert waited == []
    assert said == "waiting for job 7, whose export brings out what is to come in"
    assert desk.wish(Count).lease.prefix == prefix


@pytest.mark.parametrize("prefix", ["/jobs/8/", "/other/"])
def test_other_paths_wait_for_nothing(prefix: str) -> None:
    """Paths that the export does not touch are counted at once."""
    desk = exporting()
    desk.submit(f"stage_in prefix={prefix}", job_id=8)
    assert desk.wish(Count).lease.prefix == prefix


def test_a_job_that_runs_is_not_waited_for() -> None:
    """Its export is not under way, and may be days off; a hook that comes late is waited for by a look at Slurm."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.submit(IN, job_id=8)
    desk.go()
    desk.count(there=True)
    desk.settle()
    desk.prove()

    assert desk.stage(8).phase is Phase.STAGED_IN


@pytest.mark.parametrize(("array", "waits"), [(7, False), (9, True)])
def test_tasks_of_one_array_do_not_wait_for_each_other(array: int, *, waits: bool) -> None:
    """They often work in one folder; a task of another array may build on it."""
    desk = exporting()
    desk.show("STAGE_OUT", 7, task=JobName(7, 1))
    desk.go(after=100)
    ask = desk.request(RequestKind.DATA_IN, IN, job_id=8)
    desk.show("PENDING", 8, task=JobName(array, 2))
    desk.go(desk.request(RequestKind.SETUP, IN, job_id=8), ask)
    desk.settle()

    assert (desk.wished(Count) == []) is waits


def test_a_late_hook_of_the_first_jobs_end_is_waited_for() -> None:
    """Slurm shows the end before the hooks tell of it."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.show("STAGE_OUT", 7)
    desk.submit(IN, job_id=8)
    desk.settle()

    assert desk.wished(Count) == []
    assert desk.stage(8).message.startswith("waiting for job 7")


def test_exports_that_begin_later_are_not_waited_for() -> None:
    """So a prefix under which exports never cease is staged in."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.submit("stage_in prefix=/jobs/", job_id=8)
    desk.go(after=120)
    desk.end(OUT)

    assert desk.out().phase is Phase.WAITING
    assert desk.wish(Count).lease.prefix == "/jobs/"


def test_a_failed_export_is_not_waited_for_unless_nothing_is_in_blob() -> None:
    """Its files are on Lustre, and it is tried again: the job that wants them is told so, and not held."""
    desk = exporting()
    desk.records.stages[desk.out().key] = desk.out().move(Phase.FAILED, desk.now, "two files are not proved")
    desk.submit(IN, job_id=8)
    desk.count(files=0)
    desk.settle()

    assert desk.answers(8)[0] is Answer.BUSY
    assert desk.stage(8).message.startswith("no blobs under /jobs/7/: the export of job 7 has failed")


def test_a_proof_of_before_an_export_serves_nobody_after_it() -> None:
    """However short ago it was: files may have come that it did not see."""
    desk = Desk()
    desk.submit(IN, job_id=6)
    desk.count(there=True)
    desk.settle()
    desk.prove()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    desk.submit(IN, job_id=8)
    desk.prove_out(proved())
    desk.settle()

    assert desk.stage(8).phase is Phase.RESTORING
    assert desk.wish(ProveIn).lease.prefix == "/jobs/7/"


def test_what_a_job_to_come_will_import_is_not_released() -> None:
    """And it is remembered, so that room is made of it should that job never come."""
    desk = exporting()
    desk.queue = [QueuedJob(8, ALICE, (IN,))]
    desk.prove_out(proved())
    desk.settle()
    free = desk.wish(Free)
    desk.queue = []
    desk.report(free, Freed(3, 0, needed=3))
    desk.settle()

    assert free.spare == ("/jobs/7/",)
    assert desk.stage(7, Direction.OUT).phase is Phase.SETTLED
    assert desk.lease("/jobs/7/").held_bytes == desk.out().bytes_done > 0
