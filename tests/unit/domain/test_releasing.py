"""Space is given back when a stage is over, around what others need."""

from __future__ import annotations

import pytest

from slurm_amlfs.domain.errand import Free, ProveIn, ProveOut
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Fault, Freed, Trouble
from slurm_amlfs.wire import Answer
from tests.unit.domain.desk import BUSY, Desk, looked_at, proved

LINE = "stage_in prefix=/genomes/"
OUT = "stage_out prefix=/jobs/7/"


def ended(line: str = OUT, code: int = 0) -> Desk:
    """Bring a job to where its data_out hook waits."""
    desk = Desk()
    desk.submit(line)
    desk.run()
    desk.end(line, code=code)
    return desk


def test_inputs_are_given_back_when_asked() -> None:
    """release=yes on inputs frees them after the job, but not what living jobs or its own release=no lines need."""
    desk = Desk()
    lines = ("stage_in prefix=/genomes/ release=yes", "stage_in prefix=/genomes/keep/ release=no")
    desk.submit(*lines)
    desk.submit("stage_in prefix=/genomes/human/", job_id=8)
    desk.submit("stage_in prefix=/other/", job_id=9)
    desk.count()
    desk.start()
    desk.land()
    for errand in desk.wished(ProveIn):
        if errand.lease.prefix in {"/genomes/", "/genomes/keep/"}:
            desk.report(errand, looked_at())
    desk.run()
    desk.leave()
    free = desk.wish(Free)

    assert free.prefixes == ("/genomes/",)
    assert set(free.spare) == {"/genomes/human/", "/other/", "/genomes/keep/"}


def test_inputs_stay_by_default() -> None:
    """Without release=yes inputs stay on Lustre after the job."""
    desk = Desk()
    desk.stage_in(LINE)
    desk.run()
    desk.leave()

    assert desk.wished(Free) == []
    assert desk.stage().phase is Phase.SETTLED


@pytest.mark.parametrize(
    ("trouble", "phase"),
    [(BUSY, Phase.RELEASING), (Trouble(Fault.PERMANENT, "root is squashed"), Phase.SETTLED)],
)
def test_space_that_cannot_be_given_back_loses_nothing(trouble: Trouble, phase: Phase) -> None:
    """The export is proved: what waiting can mend is waited for, and what it cannot is no failure of the export."""
    desk = ended()
    desk.prove_out(proved())
    desk.report(desk.wish(Free), trouble)

    assert desk.out().phase is phase
    assert desk.answers()[1] is not Answer.ERROR


def test_files_that_others_need_are_spared() -> None:
    """Space is given back around what living jobs of others need, and around the job's own release=no lines."""
    lines = ("stage_out prefix=/jobs/7/", "stage_out prefix=/jobs/7/keep/ release=no")
    desk = Desk()
    desk.submit(*lines)
    desk.submit("stage_in prefix=/jobs/7/shared/", job_id=8)
    desk.submit("stage_in prefix=/jobs/7/dropped/", job_id=9)
    desk.run()
    desk.show("CANCELLED", 9)
    desk.end(*lines)
    desk.report(next(it for it in desk.wished(ProveOut) if it.stage.line == 0), proved())
    free = desk.wish(Free)
    desk.report(free, Freed(2, 200, needed=2, unproved=1))

    detail = "2 files, 200 bytes; 3 kept: 2 needed by another job or kept by release=no, 1 not proved to be in Blob"
    assert set(free.spare) == {"/jobs/7/shared/", "/jobs/7/keep/"}
    assert desk.out().phase is Phase.SETTLED
    assert any(event.word == "released" and event.detail == detail for event in desk.events)
