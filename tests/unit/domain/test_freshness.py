"""A fresh look serves all who were submitted before it and nobody else, and what has not changed costs no import."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.belief import AgeLimit
from slurm_amlfs.domain.errand import Count, DropReceipt, ProveIn, Start, WriteReceipt
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Counted, Done, Report
from slurm_amlfs.domain.view import ImportState
from slurm_amlfs.wire import Answer, RequestKind
from tests.examples import examples
from tests.unit.domain.desk import RULES, Desk, counted, looked_at

PLAIN = "stage_in prefix=/a/"
FRESH = f"{PLAIN} refresh=yes"
FRESH_SKIP = f"{FRESH} conflict=skip"
HOUR = 3600


class Blob:
    """A prefix in Blob, and what counting finds of it: its digest, and whether Lustre has it as it was brought in."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.digest = "d1"
        self.clean = True
        self.bare = True
        self.counts = self.imports = 0

    def count(self) -> list[Count]:
        """Answer every wish to count."""
        wishes = self.desk.wished(Count)
        self.counts += len(wishes)
        found = [
            counted(it, digest=self.digest, bare=self.bare, same=self.clean and self.digest in it.known)
            for it in wishes
        ]
        self.desk.go(reports=tuple(map(Report, wishes, found)))
        return wishes

    def stage(self, line: str, job_id: int = 7, **figures: object) -> None:
        """Bring a job to where it may start."""
        self.desk.submit(line, job_id=job_id)
        self.go_on(**figures)
        assert self.desk.answers(job_id)[0] is Answer.DONE, self.desk.board(job_id).message

    def go_on(self, **figures: object) -> None:
        """Let all go well for as long as anything is wanted."""
        for _ in range(8):
            self.do_quickly(DropReceipt)
            self.count()
            if self.desk.wished(Start):
                self.imports += 1
                self.desk.start()
                self.desk.land(**figures)  # type: ignore[arg-type]
                self.bare = False
            self.desk.prove()
            self.do_quickly(WriteReceipt)
            self.desk.settle()
            if not any(self.desk.wished(kind) for kind in (DropReceipt, Count, Start, ProveIn, WriteReceipt)):
                return

    def do_quickly(self, kind: type[DropReceipt | WriteReceipt]) -> None:
        """Do every errand of a kind, in one pass."""
        if wishes := self.desk.wished(kind):
            self.desk.go(reports=tuple(Report(it, Done()) for it in wishes))


def at(desk: Desk) -> datetime:
    """Tell the second in which a job submitted now is submitted."""
    return desk.now.replace(microsecond=0)


def test_what_has_not_changed_costs_no_import() -> None:
    """The listing has the digest that was remembered, and each file is there and clean."""
    blob = Blob(desk := Desk())
    blob.stage(PLAIN, 1)
    blob.stage(FRESH, 2)
    blob.stage(FRESH, 3)

    assert (blob.counts, blob.imports) == (3, 1)
    assert "import started" not in desk.words(3)


def test_what_a_lease_at_rest_remembers_costs_no_import() -> None:
    """Nobody has needed the prefix since, under whatever words it was brought in."""
    blob = Blob(desk := Desk())
    blob.stage(PLAIN, 1)
    desk.run(1)
    desk.leave(1)
    resting = [it.digest for it in desk.records.resting]
    blob.stage(FRESH, 2)

    assert resting == ["d1"]
    assert (blob.counts, blob.imports) == (2, 1)


def test_imports_of_a_lease_at_rest_are_known_below_it() -> None:
    """Its files were brought with those of the prefix that takes it in."""
    blob = Blob(desk := Desk())
    blob.stage(PLAIN, 1)
    desk.run(1)
    desk.leave(1)
    [outer] = desk.records.resting
    blob.bare = False
    desk.submit("stage_in prefix=/a/b/ refresh=yes conflict=skip", job_id=2)
    desk.count(there=True)
    desk.settle()

    assert outer.brought
    assert desk.wish(ProveIn).brought == outer.brought


def test_a_count_in_slices_is_as_old_as_its_beginning() -> None:
    """Who was submitted between two slices is not served by it, though the errand was wished for again since."""
    desk = Desk()
    desk.submit(FRESH)
    desk.go(after=2)
    began = desk.wish(Count).wanted
    desk.report(desk.wish(Count), Counted(5, 0, settled=False), after=60)
    again = desk.wish(Count)
    desk.report(again, replace(counted(again, digest="d1"), wanted=began))

    assert again.wanted != began
    assert desk.lease("/a/").looked == began


def test_what_has_changed_is_imported_with_overwrite_always() -> None:
    """Once, for the next look finds what that import brought."""
    blob = Blob(desk := Desk())
    blob.stage(PLAIN, 1)
    desk.run(1)
    desk.leave(1)
    blob.digest = "d2"
    desk.submit(FRESH, job_id=2)
    blob.count()
    asked = desk.wish(Start).transfer.conflict
    blob.go_on()
    desk.run(2)
    desk.leave(2)
    blob.stage(FRESH, 3)

    assert asked is Conflict.OVERWRITE_ALWAYS
    assert (blob.counts, blob.imports) == (3, 2)


def test_a_file_that_is_not_as_it_was_brought_in_is_imported() -> None:
    """Removed, written or lost on Lustre: the digest alone proves nothing."""
    blob = Blob(desk := Desk())
    blob.stage(FRESH, 1)
    desk.run(1)
    desk.leave(1)
    blob.clean = False
    blob.stage(FRESH, 2)

    assert blob.imports == 2


@pytest.mark.parametrize("line", [PLAIN, f"{PLAIN} conflict=overwrite-if-dirty"])
def test_files_that_were_there_before_may_be_old(line: str) -> None:
    """An import that keeps what is there proves nothing of when it came, so the next fresh look imports."""
    blob = Blob(desk := Desk())
    blob.bare = False
    blob.stage(line, 1)
    desk.run(1)
    desk.leave(1)
    blob.stage(FRESH, 2)
    desk.run(2)
    desk.leave(2)
    blob.stage(FRESH, 3)

    assert blob.imports == 2


def test_an_import_with_errors_may_have_left_old_files() -> None:
    """What it did not overwrite is not taken for fresh."""
    blob = Blob(desk := Desk())
    blob.stage(FRESH, 1, state=ImportState.COMPLETED_PARTIAL, errors=1)
    desk.run(1)
    desk.leave(1)
    blob.stage(FRESH, 2)
    desk.run(2)
    desk.leave(2)
    blob.stage(FRESH, 3)

    assert blob.imports == 2


def test_an_import_that_began_before_the_listing_is_not_remembered_with_it() -> None:
    """It may have seen blobs as they were before: here one of a larger prefix that was under way already."""
    blob = Blob(desk := Desk())
    desk.submit("stage_in prefix=/", job_id=1)
    desk.count()
    desk.start()
    desk.submit(PLAIN, job_id=2)
    blob.count()
    desk.land()
    blob.bare = False
    blob.go_on()
    for job_id in (1, 2):
        desk.run(job_id)
        desk.leave(job_id)
    before = blob.imports
    blob.stage(FRESH, 3)

    assert desk.records.transfers == {} or before == 0
    assert blob.imports == before + 1


def test_a_blob_that_changes_after_the_listing_costs_one_import_more() -> None:
    """Whether the import saw it is not known, so the next fresh look does not take it for brought in."""
    blob = Blob(desk := Desk())
    desk.submit(FRESH, job_id=1)
    blob.count()
    blob.digest = "d2"
    blob.go_on()
    desk.run(1)
    desk.leave(1)
    blob.stage(FRESH, 2)

    assert blob.imports == 2


def submit(desk: Desk, *job_ids: int, submitted: datetime, line: str = FRESH) -> None:
    """Let Slurm begin to stage some tasks of an array that was submitted then."""
    requests = []
    for job_id in job_ids:
        desk.show("PENDING", job_id, submitted=submitted)
        requests.append(desk.request(RequestKind.SETUP, line, job_id=job_id))
        requests.append(desk.request(RequestKind.DATA_IN, line, job_id=job_id))
    desk.go(*requests)


@pytest.mark.parametrize("early", [True, False])
def test_a_thousand_tasks_cost_one_look_and_one_import(early: bool) -> None:  # noqa: FBT001 - drawn
    """Slurm begins to stage them a few at a time, the first within the second in which they were submitted."""
    blob = Blob(desk := Desk())
    submitted = at(desk) + timedelta(seconds=1 if early else -30)
    for first in range(1, 1001, 100):
        submit(desk, *range(first, first + 100), submitted=submitted)
        blob.go_on()

    assert {desk.answers(job_id)[0] for job_id in range(1, 1001)} == {Answer.DONE}
    assert (blob.counts, blob.imports) == (1, 1)


def test_who_comes_later_gets_a_look_of_his_own_and_nobody_loses_his() -> None:
    """The import that runs is not thrown away; who was submitted after its listing waits for the next."""
    blob = Blob(desk := Desk())
    desk.submit(FRESH, job_id=1)
    blob.count()
    desk.start()
    desk.submit(FRESH, job_id=2)
    waits = desk.stage(2).phase, desk.board(2).message
    desk.land()
    [proof] = desk.wished(ProveIn)
    desk.report(proof, looked_at())
    first = desk.stage(1).phase, desk.stage(2).phase
    desk.settle()
    again = desk.wished(Count)
    blob.go_on()

    assert waits == (Phase.WAITING, "waiting for a look at Blob that is younger than the job")
    assert first == (Phase.STAGED_IN, Phase.WAITING)
    assert len(again) == 1
    assert desk.answers(2)[0] is Answer.DONE


def test_a_listing_is_as_old_as_its_beginning() -> None:
    """Who was submitted while it went on is not served by it: what had been listed may have changed since."""
    desk = Desk()
    desk.submit(FRESH, job_id=1)
    [slow] = desk.wished(Count)
    desk.go(after=60)
    desk.submit(FRESH, job_id=2)
    desk.report(slow, counted(slow, digest="d1"), after=60)

    assert desk.lease("/a/").looked == slow.wanted
    assert desk.stage(2).phase is Phase.WAITING
    assert desk.transfer().leases == (desk.lease("/a/").key,)
    assert desk.board(2).message != ""


def test_an_import_of_an_earlier_listing_is_not_met_again() -> None:
    """A daemon without its database finds imports by their names; an overwriting one of before is another."""
    names = []
    for _ in range(2):
        desk = Desk()
        desk.now += timedelta(hours=len(names))
        desk.submit(FRESH)
        desk.count()
        names.append(desk.transfer().transfer_id)

    assert names[0] != names[1]


def test_an_overwriting_import_from_before_the_listing_brings_nothing() -> None:
    """What it left is imported once more."""
    blob = Blob(desk := Desk())
    desk.submit(FRESH)
    blob.count()
    transfer = desk.start()
    [held] = desk.records.leases.values()
    desk.records.leases[held.key] = replace(held, looked=transfer.created + timedelta(seconds=1))
    desk.land()
    desk.settle()

    assert desk.lease("/a/").wants


def test_who_is_served_goes_before_who_wants_another_proof() -> None:
    """A proof that has just come serves him first; then it is doubted for the other."""
    blob = Blob(desk := Desk())
    desk.submit(FRESH_SKIP, job_id=1)
    blob.count()
    desk.start()
    desk.land()
    [proof] = desk.wished(ProveIn)
    desk.submit(FRESH_SKIP, job_id=2)
    desk.report(proof, looked_at())
    first = desk.stage(1).phase, desk.stage(2).phase
    desk.settle()

    assert first == (Phase.STAGED_IN, Phase.RESTORING)
    assert len(desk.wished(ProveIn)) == 1


@pytest.mark.parametrize("when", ["listed", "importing", "proved"])
def test_a_clock_that_is_put_back_costs_a_look_and_holds_up_nobody(when: str) -> None:
    """What was seen by the later clock would seem younger than every job for hours."""
    blob = Blob(desk := Desk())
    desk.submit(FRESH)
    blob.count()
    if when != "listed":
        desk.start()
    if when == "proved":
        desk.land()
        blob.go_on()
    desk.go(after=-5 * HOUR)
    if when == "importing":
        desk.land()
    desk.submit(FRESH, job_id=8)
    blob.go_on()

    assert desk.answers(8)[0] is Answer.DONE
    assert blob.counts == 2


def test_a_stream_of_fresh_looks_starves_nobody() -> None:
    """Each job that comes wants a younger look; each gets one within a few."""
    blob = Blob(desk := Desk())
    for job_id in range(1, 40):
        desk.submit(FRESH, job_id=job_id)
        blob.count()
        if desk.wished(Start):
            desk.start()
            desk.land()
        desk.prove()
        staged = sum(stage.phase is Phase.STAGED_IN for stage in desk.records.stages.values())
        assert job_id - staged <= 6


@pytest.mark.parametrize("line", [FRESH, FRESH_SKIP])
def test_until_slurm_shows_the_job_no_look_is_taken_for_younger(line: str) -> None:
    """When a job was submitted only Slurm knows."""
    blob = Blob(desk := Desk())
    blob.stage(PLAIN, 1)
    desk.run(1)
    jobs, desk.jobs = desk.jobs, None
    desk.submit(line, job_id=2)
    blob.go_on()
    blind = desk.answers(2)[0]
    desk.jobs = jobs
    desk.show("PENDING", 2)
    desk.go()
    blob.go_on()

    assert blind is Answer.BUSY
    assert desk.answers(2)[0] is Answer.DONE


def test_with_skip_all_is_looked_at_again_and_what_changed_is_named() -> None:
    """No proof from before the job serves it; new blobs come in, and changed ones are kept and told."""
    blob = Blob(desk := Desk())
    blob.stage(PLAIN, 1)
    desk.submit(FRESH_SKIP, job_id=2)
    desk.settle()
    desk.drop_receipts()
    [proof] = desk.wished(ProveIn)
    desk.report(proof, looked_at(kept=("a/x",)))
    desk.settle()
    text = next(it.text for it in desk.wished(WriteReceipt) if it.job_id == 2)

    assert proof.brought
    assert "kept a/x\n" in text
    assert blob.imports == 1


def test_an_age_limit_stands_in_for_the_general_rule() -> None:
    """Under its prefix a proof serves for so long, and with zero it serves nobody who comes later."""
    looks = {}
    for age in (timedelta(days=1), timedelta(0)):
        blob = Blob(desk := Desk(replace(RULES, age_limits=(AgeLimit("*", "/a/", age),))))
        blob.stage(PLAIN, 1)
        desk.go(after=20 * HOUR)
        desk.submit(PLAIN, job_id=2)
        desk.settle()
        looks[age] = len(desk.wished(ProveIn))
        blob.go_on()
        desk.go(after=HOUR)
        desk.submit(FRESH, job_id=3)
        desk.settle()
        looks[age] += 10 * len(desk.wished(Count))

    assert looks == {timedelta(days=1): 10, timedelta(0): 11}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "count", "start", "land", "prove", "receipt", "run", "rest"]), st.integers(0, 9)
    ),
    min_size=5,
    max_size=60,
)
LINES = (FRESH, FRESH_SKIP, PLAIN, f"{PLAIN} conflict=overwrite-always", "stage_in prefix=/ refresh=yes")


@examples(150)
@given(STEPS)
def test_nobody_is_staged_in_on_a_look_from_before_his_job(steps: list[tuple[str, int]]) -> None:
    """Whatever comes between: the proof, and of an overwriting import the listing too, began after the submission."""
    desk = Desk()
    blob = Blob(desk)
    seen: set[int] = set()
    for word, number in steps:
        desk.go(after=(0.2, 1, 30)[number % 3])
        match word:
            case "submit":
                submit(desk, len(desk.records.jobs) + 1, submitted=at(desk), line=LINES[number % len(LINES)])
            case "count":
                blob.digest = f"d{number // 4}"
                blob.count()
            case "start" if desk.wished(Start):
                desk.start()
            case "land" if any(it.holds_slot and it.asked for it in desk.records.transfers.values()):
                desk.land()
            case "prove":
                desk.prove()
            case "receipt":
                desk.drop_receipts()
        check(desk, seen)


def check(desk: Desk, seen: set[int]) -> None:
    """See that who has just been staged in was so on younger looks; `seen` are those who were before."""
    for stage in desk.records.stages.values():
        if stage.phase is not Phase.STAGED_IN or stage.key.job_id in seen or not stage.ask.refresh:
            continue
        seen.add(stage.key.job_id)
        submitted = desk.jobs[stage.key.job_id].submitted if desk.jobs else None
        assert submitted is not None
        held = [it for key, it in desk.records.leases.items() if key.conflict is stage.ask.conflict]
        served = [it for it in held if stage.ask.prefixes[0].startswith(it.key.prefix)]
        assert any(it.proved and it.proving and it.proving >= submitted for it in served)
        if stage.ask.conflict is Conflict.OVERWRITE_ALWAYS:
            assert any(it.looked and it.looked >= submitted for it in served)
