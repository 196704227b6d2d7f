"""What the queue's jobs will need is kept until they ask for it themselves."""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.errand import Count
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.world import Foreseen
from slurm_amlfs.wire import RequestKind
from tests.unit.domain.desk import Desk

LINE = "stage_in prefix=/a/"
KEY = LeaseKey("amlfs", "/a/", Conflict.SKIP, 1000)


def foreseen() -> Desk:
    """Let job 7 wait in the queue, and what it will need be counted."""
    desk = Desk()
    desk.foreseen = {KEY: Foreseen(1, 1, frozenset({7}))}
    desk.show("PENDING")
    desk.go()
    desk.count()
    return desk


def test_between_setup_and_data_in_nothing_is_forgotten() -> None:
    """Slurm calls the two hooks one after the other, and what was counted serves the second."""
    desk = foreseen()
    before = desk.lease("/a/")
    desk.settle(desk.request(RequestKind.SETUP, LINE))
    between = desk.lease("/a/")
    desk.settle(desk.request(RequestKind.DATA_IN, LINE))

    assert between == before
    assert desk.wished(Count) == []
    assert replace(desk.lease("/a/"), ahead=True, since=before.since, message="") == replace(before, message="")


def test_what_only_a_job_that_is_gone_needed_is_forgotten() -> None:
    """It was cancelled between the two hooks; the look at the queue is older."""
    desk = foreseen()
    desk.settle(desk.request(RequestKind.SETUP, LINE))
    desk.leave(job_state="CANCELLED")

    assert list(desk.records.leases.values()) == []
