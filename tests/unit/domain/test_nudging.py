"""A job that Slurm sent back for its pre_run, and passes over until somebody updates it, is updated."""

from __future__ import annotations

import pytest

from slurm_amlfs.domain.errand import Comment
from slurm_amlfs.domain.report import Done
from tests.unit.domain.desk import Desk

OLD, NEW = "Burst buffer pre_run error", "burst_buffer/lua: slurm_bb_pre_run failed: Timeout"


def sent_back(reason: str, **more: object) -> Desk:
    """Bring a job to where Slurm has sent it back."""
    desk = Desk()
    desk.stage_in("stage_in prefix=/genomes/")
    desk.show("PENDING", bb_state="complete", reason=reason, restarts=1, **more)
    desk.go()
    return desk


@pytest.mark.parametrize("reason", [OLD, NEW, "BurstBufferOperation"])
def test_it_is_updated_until_slurm_takes_it_up(reason: str) -> None:
    """Every ten seconds at most."""
    desk = sent_back(reason)
    desk.report(desk.wish(Comment), Done(), after=0)
    early = desk.wished(Comment)
    desk.go(after=11)
    again = desk.wished(Comment)
    desk.show("PENDING", bb_state="complete", reason="BeginTime", restarts=1)
    desk.go(after=11)

    assert early == []
    assert "pre_run" in again[0].text
    assert desk.wished(Comment) == []


def test_a_held_job_and_one_that_waits_for_another_reason_are_left() -> None:
    """What is held for its failed stage-in is for an operator to release."""
    assert sent_back(OLD, held=True).wished(Comment) == []
    assert sent_back("BeginTime").wished(Comment) == []
