"""How the end of an import is told apart: whose it is, and whose it is not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.errand import Probe, ProveIn, Start
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Probed, Report
from slurm_amlfs.domain.view import ImportState
from tests.examples import examples
from tests.unit.domain.desk import RULES, Desk
from tests.unit.domain.model import Model

FAILED = ImportState.FAILED


def batch(*prefixes: str, more: str = "") -> Desk:
    """Bring jobs 1, 2, ... to where one import for all of them is under way."""
    desk = Desk()
    for number, prefix in enumerate(prefixes, start=1):
        desk.submit(f"stage_in prefix={prefix}{more}", job_id=number)
    desk.count()
    desk.start()
    return desk


def model_of(number: int) -> Model:
    """Make a world of so many prefixes, of two blobs each."""
    model = Model({f"/t/{at:02}/{name}": 100 for at in range(number) for name in "xy"})
    model.running_seconds = 0.0
    return model


@st.composite
def batches(draw: st.DrawFn) -> tuple[int, list[int]]:
    """Draw how many prefixes a batch has, and which of them are bad."""
    number = draw(st.integers(2, 24))
    return number, draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True))


@examples(15)
@given(batches())
def test_a_batch_is_taken_apart_until_only_the_bad_prefixes_fail(drawn: tuple[int, list[int]]) -> None:
    """Their owners, and nobody else, are told, in Azure's words; and it takes about two imports for each halving."""
    number, bad = drawn
    model = model_of(number)
    model.bad = tuple(f"/t/{at:02}/x" for at in bad)
    for at in range(number):
        model.come(at, f"stage_in prefix=/t/{at:02}/")
    model.run_all(4000)

    assert model.phases() == {at: "held" if at in bad else "over" for at in range(number)}
    for at in bad:
        assert model.stage(at).message == f"the import of /t/{at:02}/ failed: cannot read /t/{at:02}/x (3 tries)"
    halvings = math.ceil(math.log2(number))
    assert len(model.turns) <= 1 + len(bad) * (2 * halvings + RULES.attempts - 1)


def test_who_rode_along_with_a_bad_prefix_that_takes_in_his_own_goes_by_himself() -> None:
    """An import of /t/ for both fails for something that only one of them wants: the other's is tried alone."""
    model = model_of(3)
    model.bad = ("/t/00/x",)
    model.come(1, "stage_in prefix=/t/ max_errors=0")
    model.come(2, "stage_in prefix=/t/02/ max_errors=0")
    model.run_all(400)

    assert model.phases() == {1: "held", 2: "over"}
    assert [it.prefixes for it in model.turns] == [("/t/",), ("/t/02/",)]
    assert model.stage(1).message.startswith("the import of /t/ met 1 errors, more than max_errors=0;")


def test_a_prefix_that_failed_alone_fails_no_second_batch() -> None:
    """Until its import has worked it shares a turn with nobody; who comes meanwhile gets a turn of his own."""
    desk = batch("/a/")
    for job_id, prefix in ((2, "/b/"), (3, "/c/")):
        desk.submit(f"stage_in prefix={prefix}", job_id=job_id)
        desk.count()
        desk.land(FAILED if job_id == 2 else ImportState.COMPLETED)
        desk.go()
        desk.start()
    desk.land()
    last = desk.start().prefixes

    carried = [it.prefixes for it in desk.records.transfers.values()]
    assert sorted(carried) == [("/a/",), ("/a/",), ("/b/",), ("/c/",)]
    assert last in {("/a/",), ("/c/",)}


def test_a_lease_whose_files_were_there_already_does_not_hear_of_the_batch_that_failed() -> None:
    """A probe found them while the batch ran; what became of the rest is no news of theirs."""
    desk = batch("/a/", "/b/", "/c/")
    for _ in range(9):
        desk.go(after=3)
        if probes := desk.wished(Probe):
            break
    desk.go(reports=tuple(Report(it, Probed(there=it.lease.prefix == "/a/")) for it in probes))
    desk.land(FAILED, message="cannot read")

    assert [it.lease.prefix for it in desk.wished(ProveIn)] == ["/a/"]
    assert desk.lease("/a/").message == ""
    assert desk.lease("/c/").message == "an import of 3 prefixes failed, and is taken apart: cannot read"


@pytest.mark.parametrize("state", [FAILED, ImportState.CANCELED])
def test_the_halves_of_a_batch_share_no_turn(state: ImportState) -> None:
    """However it ended, each half is imported by itself, and halved again if it fails."""
    desk = batch("/a/", "/b/", "/c/")
    seen = []
    for _ in range(3):
        desk.land(state)
        seen.append(desk.start().prefixes)

    assert seen == [("/a/", "/b/"), ("/a/",), ("/b/",)] or seen[0] == ("/c/",)
    assert all(len(it) < 3 for it in seen)


def test_an_import_that_took_in_what_another_wants_serves_it_too() -> None:
    """Also one that had not asked when it began, if it keeps what is there; it is proved like any other."""
    desk = batch("/t/")
    desk.submit("stage_in prefix=/t/02/ max_errors=7", job_id=2)
    desk.submit("stage_in prefix=/t/03/ conflict=fail", job_id=3)
    desk.count()
    desk.land()

    assert sorted(it.lease.prefix for it in desk.wished(ProveIn)) == ["/t/", "/t/02/"]
    assert desk.stage(2).phase is Phase.RESTORING
    assert desk.wish(Start).transfer.prefixes == ("/t/03/",)


def test_errors_that_may_be_anothers_are_not_believed() -> None:
    """A batch ends with errors, one lease has all its blobs, the other lacks one: it is imported alone, once."""
    model = model_of(2)
    model.lacking = ("/t/01/x",)
    model.come(1, "stage_in prefix=/t/00/")
    model.come(2, "stage_in prefix=/t/01/")
    model.run_all(400)

    assert model.phases() == {1: "over", 2: "over"}
    assert [it.prefixes for it in model.turns] == [("/t/00/", "/t/01/"), ("/t/01/",)]
