"""One lease from wanted to proved, where the figures are odd."""

from __future__ import annotations

import pytest

from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.errand import Count, Probe, ProveIn, Start
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Counted, Probed, Report
from slurm_amlfs.domain.tempo import Tempo
from tests.unit.domain.desk import BUSY, Desk

NO_BLOBS = (Cut("/a/x/", 0, 0), Cut("/a/y/", 0, 0))
ONE_OF_NONE = (Cut("/a/x/", 3, 0), Cut("/a/y/", 0, 0))


@pytest.mark.parametrize("cuts", [(), NO_BLOBS, ONE_OF_NONE])
@pytest.mark.parametrize("rate", [0.0, 1e-9, 1e12])
def test_parts_of_no_blobs_and_rates_that_cannot_be_are_carried_all_the_same(
    cuts: tuple[Cut, ...], rate: float
) -> None:
    """An estimate may say nothing; the import is asked for, and proved."""
    desk = Desk()
    desk.records.tempos["amlfs"] = Tempo.assume(0.0, rate)
    desk.submit("stage_in prefix=/a/")
    assert desk.wish(Count).target_blobs >= 1
    desk.report(desk.wish(Count), Counted(3, 0, cuts))
    carried = []
    while not desk.lease("/a/").landed:
        carried += desk.start().prefixes
        desk.land()
    desk.prove()

    assert sorted(carried) == ([it.prefix for it in cuts] or ["/a/"])
    assert desk.stage().phase is Phase.STAGED_IN


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_wait_ends_also_when_the_clock_is_set_anew(hours: int) -> None:
    """It was to be a second, and does not become five hours."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/")
    desk.report(desk.wish(Count), BUSY)
    waits = desk.wished(Count)
    desk.go(after=hours * 3600)

    assert waits == []
    assert desk.wish(Count).lease.prefix == "/a/"


def test_what_is_there_while_the_batch_still_runs_is_proved_before_it_ends() -> None:
    """The first look is when it can be there at the earliest, and what is not there is looked at again later."""
    desk = Desk()
    for job_id, prefix in ((1, "/a/"), (2, "/b/")):
        desk.submit(f"stage_in prefix={prefix}", job_id=job_id)
    desk.count()
    desk.start()
    early = desk.wished(Probe)
    desk.go(after=6)
    probes = desk.wished(Probe)
    desk.go(reports=tuple(Report(it, Probed(there=it.lease.prefix == "/a/")) for it in probes), after=0.1)
    desk.settle()
    soon = desk.wished(Probe)
    desk.go(after=3)

    assert early == soon == []
    assert [it.lease.prefix for it in probes] == ["/a/", "/b/"]
    assert [it.lease.prefix for it in desk.wished(ProveIn)] == ["/a/"]
    assert [it.lease.prefix for it in desk.wished(Probe)] == ["/b/"]
    assert desk.wished(Start) == []
