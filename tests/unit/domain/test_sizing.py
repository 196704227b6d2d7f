"""A prefix too large to be listed at once: what is known is imported, the rest is listed before its turn."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.errand import Count, Probe, ProveIn, Start
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Counted, Report
from slurm_amlfs.domain.view import ImportState
from slurm_amlfs.wire import Answer
from tests.unit.domain.desk import BUSY, RULES, Desk, counted, looked_at

LINE = "stage_in prefix=/x/ hydrate=none"
KNOWN = (Cut("/x/a", 100, 1000), Cut("/x/b", 100, 1000))
GUESSED = (Cut("/x/c", 100, 0, estimated=True), Cut("/x/d", 100, 0, estimated=True))
FOUND = Counted(400, 2000, (*KNOWN, *GUESSED), listed=250)
ITSELF = "it goes on by itself when that is over"
NOTE = "more than 250 blobs under /x/; the rest is estimated"
ONE_TURN = replace(RULES, turn=timedelta(seconds=1), overhead=timedelta(seconds=0.5), blobs_per_second=10.0)


def bounded(line: str = LINE, found: Counted = FOUND) -> Desk:
    """Bring a job to where its prefix was listed to the bound."""
    desk = Desk()
    desk.submit(line)
    desk.report(wish := desk.wish(Count), replace(found, wanted=wish.wanted))
    return desk


def listed(desk: Desk, *cuts: Cut, **more: object) -> None:
    """Answer the wish to list a part."""
    errand = desk.wish(Count)
    files, total_bytes = sum(cut.blobs for cut in cuts), sum(cut.total_bytes for cut in cuts)
    desk.report(errand, replace(Counted(files, total_bytes, cuts), **more))  # type: ignore[arg-type]


def prefixes(desk: Desk) -> list[tuple[str, bool]]:
    """Name the parts, and say of each whether it was listed."""
    return [(part.prefix, not part.estimated) for part in desk.lease("/x/").parts]


def test_a_count_under_way_is_said_and_goes_on() -> None:
    """The board says how many blobs were found so far, and the count is wanted until it is over."""
    desk = Desk()
    desk.submit(LINE)
    said = []
    for files in (5000, 1_200_000):
        desk.report(desk.wish(Count), Counted(files, 0, settled=False))
        said.append(desk.board().message)
    again = desk.wish(Count)
    desk.report(again, counted(again))

    assert said == ["counting /x/: 5,000 blobs so far", "counting /x/: 1,200,000 blobs so far"]
    assert desk.board().message == ""
    assert desk.wish(Start).transfer.prefixes == ("/x/",)


def test_a_restart_in_a_count_begins_it_again() -> None:
    """What was stored is enough: the same count is wanted, and the job waits on."""
    desk = Desk()
    desk.submit(LINE)
    first = desk.wish(Count)
    desk.report(first, Counted(5000, 0, settled=False))
    after = Desk()
    after.records, after.jobs = desk.records, desk.jobs
    after.go()

    assert after.wish(Count) == first
    assert after.answers()[0] is Answer.BUSY
    after.count()
    assert after.wish(Start)


def test_trouble_in_the_middle_of_a_count_is_waited_out() -> None:
    """The board says what is wrong, and then again how far it is."""
    desk = Desk()
    desk.submit(LINE)
    desk.report(desk.wish(Count), Counted(5000, 0, settled=False))
    desk.report(desk.wish(Count), BUSY)
    desk.settle()
    trouble = desk.board().message
    desk.go(after=2)
    desk.report(desk.wish(Count), Counted(10, 0, settled=False))

    assert trouble == BUSY.message
    assert desk.board().message == "counting /x/: 10 blobs so far"


def test_a_bound_met_is_said() -> None:
    """On the board while it is so, beside why the job waits, and in the job's timeline."""
    desk = bounded()
    desk.health = "Maintenance"
    desk.go()
    desk.settle()

    assert desk.board().message == f"waiting for the slot: the file system is in Maintenance: planned; {ITSELF}; {NOTE}"
    assert desk.board().files_total == 400
    assert [event.detail for event in desk.events if event.word == "counted"] == [NOTE]


def test_what_is_known_is_imported_while_the_rest_is_listed() -> None:
    """The slot does not wait for a listing, and nothing is imported unlisted."""
    desk = bounded()
    first = desk.start()
    wanted = desk.wish(Count)
    listed(desk, Cut("/x/c/1", 60, 6), Cut("/x/c/2", 50, 5))

    assert first.prefixes == ("/x/a", "/x/b")
    assert first.blobs == 200
    assert (wanted.part, wanted.prefix, wanted.lists) == ("/x/c", "/x/c", True)
    assert prefixes(desk) == [("/x/a", True), ("/x/b", True), ("/x/c/1", True), ("/x/c/2", True), ("/x/d", False)]
    assert desk.lease("/x/").files_total == 410
    assert desk.lease("/x/").bytes_total == 2011
    assert desk.wish(Count).part == "/x/d"


def test_all_of_it_is_brought_in_and_proved() -> None:
    """Part after part; no job starts before all are imported and the whole prefix is proved."""
    desk = bounded()
    carried = list(desk.start().prefixes)
    listed(desk, Cut("/x/c", 100, 10))
    listed(desk, Cut("/x/d", 100, 10))
    assert desk.wished(Count) == []
    desk.land()
    assert desk.wished(ProveIn) == []
    carried += desk.start().prefixes
    desk.land()
    wish = desk.wish(ProveIn)
    desk.report(wish, looked_at(files=400, files_done=400))

    assert carried == ["/x/a", "/x/b", "/x/c", "/x/d"]
    assert wish.prefixes == ("/x/",)
    assert desk.stage().phase is Phase.STAGED_IN
    assert "estimated" not in desk.board().message


def test_an_empty_part_is_dropped() -> None:
    """A guess that comes to nothing costs no import, and keeps nobody waiting."""
    desk = bounded()
    desk.start()
    listed(desk)
    listed(desk)
    desk.land()

    assert prefixes(desk) == [("/x/a", True), ("/x/b", True)]
    assert desk.wish(ProveIn)


def test_a_part_that_is_there_costs_no_import() -> None:
    """What was listed and found on Lustre is taken as imported, as for a whole prefix; what was not listed is not."""
    desk = bounded(found=replace(FOUND, there=True))
    assert [(it.prefix, it.imported is not None) for it in desk.lease("/x/").parts] == [
        ("/x/a", True), ("/x/b", True), ("/x/c", False), ("/x/d", False)
    ]  # fmt: skip
    listed(desk, Cut("/x/c", 100, 10), there=True)
    listed(desk, Cut("/x/d", 100, 10), there=True)
    desk.settle()

    assert desk.wished(Start) == []
    assert desk.wish(ProveIn)


def test_a_part_that_cannot_be_cut_is_imported_as_it_is() -> None:
    """One folder of more files than can be listed is not listed for ever."""
    desk = bounded(found=Counted(9000, 10, (Cut("/x/", 9000, 10, estimated=True),), listed=4000))
    whole = desk.start().prefixes
    part = bounded()
    part.start()
    listed(part, Cut("/x/c", 90_000, 10, estimated=True), listed=40_000)

    assert whole == ("/x/",)
    assert ("/x/c", True) in prefixes(part)
    assert part.wish(Count).part == "/x/d"


def test_a_part_that_is_too_large_again_is_cut_again() -> None:
    """Listing goes as deep as it has to."""
    desk = bounded()
    desk.start()
    listed(desk, Cut("/x/c/1", 100, 10), Cut("/x/c/2", 100, 0, estimated=True), listed=150)

    assert prefixes(desk)[2:] == [("/x/c/1", True), ("/x/c/2", False), ("/x/d", False)]
    assert desk.wish(Count).part == "/x/c/2"


def test_no_more_is_listed_than_the_next_turns_take() -> None:
    """What may never be imported is not listed, and a list of parts does not grow without end."""
    desk = Desk(ONE_TURN)
    desk.submit(LINE)
    desk.report(desk.wish(Count), FOUND)
    enough = desk.wished(Count)
    for _ in KNOWN:
        desk.start()
        desk.land()
    desk.go()

    assert enough == []
    assert desk.wish(Count).part == "/x/c"


def test_an_outer_import_brings_what_was_not_listed() -> None:
    """What somebody else's import took in needs no listing, and a late answer to one changes nothing."""
    desk = bounded()
    errand = desk.wish(Count)
    desk.submit("stage_in prefix=/ hydrate=none", job_id=8)
    outer = [it for it in desk.wished(Count) if it.lease.prefix == "/"]
    desk.report(outer[0], counted(outer[0], 5))
    desk.start()
    desk.land()
    while desk.wished(Start):
        desk.start()
        desk.land()
    landed = desk.lease("/x/")
    desk.report(errand, Counted(100, 10, (Cut("/x/c/1", 100, 10),)))

    assert landed.landed
    assert desk.lease("/x/").parts == landed.parts


def test_when_nothing_else_goes_on_the_listing_of_a_part_is_said() -> None:
    """A job whose known parts are all there says what it waits for."""
    desk = bounded()
    desk.start()
    errand = desk.wish(Count)
    desk.report(errand, Counted(70, 0, settled=False))
    quiet = desk.board().message
    desk.land()
    desk.go()
    desk.report(desk.wish(Count), Counted(80, 0, settled=False))

    assert quiet == NOTE
    assert desk.board().message == f"counting /x/c: 80 blobs so far; {NOTE}"


def test_a_failed_import_lists_nothing_again() -> None:
    """The parts of a turn that failed are known; only what was never listed still is."""
    desk = bounded()
    desk.start()
    desk.land(ImportState.FAILED, message="broken")
    desk.go(after=5)

    assert [it.part for it in desk.wished(Count)] == ["/x/c"]


@pytest.mark.parametrize(("files", "looks"), [(3, ["/x/", "/y/"]), (2_000_000, ["/y/"])])
def test_a_prefix_that_takes_long_to_look_through_is_not_looked_through(files: int, looks: list[str]) -> None:
    """To see whether its files are there while a batch still runs would keep a thread for longer than the batch."""
    desk = Desk(replace(RULES, blobs_per_second=1e6))
    desk.submit(f"{LINE} prefix=/y/")
    desk.go(reports=tuple(Report(it, counted(it, files if it.prefix == "/x/" else 3)) for it in desk.wished(Count)))
    desk.start()
    desk.go(after=10)

    assert sorted(it.lease.prefix for it in desk.wished(Probe)) == looks


def test_a_guess_refuses_nobody() -> None:
    """Only known bytes can be more than the file system holds."""
    desk = bounded("stage_in prefix=/x/", replace(FOUND, room_bytes=2500))
    guess = desk.answers()[0]
    listed(desk, Cut("/x/c", 100, 1000))

    assert guess is Answer.BUSY
    assert desk.answers()[0] is Answer.ERROR
    assert "3000 bytes under /x/ are more than the file system amlfs can hold" in desk.board().message


def test_a_look_before_an_overwrite_lists_nothing() -> None:
    """What is in Blob was counted; only Lustre is looked at again, beside a listing that may be under way."""
    desk = bounded(f"{LINE} conflict=overwrite-always")
    desk.go(after=90)
    looks = [it for it in desk.wished(Count) if not it.lists]
    [look] = looks
    desk.report(look, Counted(0, 0))

    assert (look.overwrites, look.part) == (True, "")
    assert desk.wish(Start).transfer.prefixes == ("/x/a", "/x/b")
    assert desk.answers()[0] is Answer.BUSY
