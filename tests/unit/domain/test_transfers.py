from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.errand import Clear, ProveOut, Start, Stop, key_of
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import TransferPhase
from slurm_amlfs.domain.report import Fault, Started, Trouble
from slurm_amlfs.domain.view import ArchiveState, ArchiveView, ImportState, ImportView
from slurm_amlfs.wire import Answer
from tests.unit.domain.desk import BUSY, NOON, Desk, unproved

IN = "stage_in prefix=/a/"
OUT = "stage_out prefix=/jobs/7/"


def wanting_import() -> Desk:
    """Bring a job to where its import is to be asked for."""
    desk = Desk()
    desk.submit(IN)
    desk.count()
    return desk


def wanting_archive(desk: Desk | None = None) -> Desk:
    """Bring a job to where its archive is to be asked for."""
    desk = desk or Desk()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    desk.prove_out(unproved("/jobs/7/"))
    return desk


def test_a_refusal_is_waited_out_longer_each_time_and_told() -> None:
    """Refused for now: 1, 2, 4 seconds, no less than Azure asks, and the board says what Azure said."""
    desk = wanting_import()
    waits = []
    for retry_after in (0, 0, 30):
        desk.report(desk.wish(Start), replace(BUSY, retry_after=timedelta(seconds=retry_after)), after=0)
        assert desk.decision is not None
        assert desk.decision.wake is not None
        desk.settle()
        waits.append((desk.decision.wake - desk.now).total_seconds())
        said = desk.board().message
        desk.go(after=waits[-1])

    assert waits == [1, 2, 30]
    assert said == BUSY.message
    assert desk.answers()[0] is Answer.BUSY


def test_what_azure_will_never_take_is_a_failed_turn() -> None:
    """A permanent refusal counts like an import that failed, with Azure's words and the correlation id."""
    desk = wanting_import()
    for _ in range(3):
        desk.report(desk.wish(Start), Trouble(Fault.PERMANENT, "HTTP 400 BadRequest", correlation_id="c9"))
        desk.settle()
        desk.go(after=60)

    assert desk.answers()[0] is Answer.ERROR
    assert "HTTP 400 BadRequest (3 tries)" in desk.board().message
    assert desk.stage().correlation_id == "c9"


def test_a_lost_answer_is_found_in_the_list() -> None:
    """The connection dropped after Azure took it: the look shows it, and it is not asked for again."""
    desk = wanting_import()
    errand = desk.wish(Start)
    desk.show_transfer(errand.transfer)
    desk.report(errand, BUSY)

    assert desk.transfer().phase is TransferPhase.ASKED
    assert desk.wished(Start) == []


def looks(desk: Desk, *seconds: float) -> None:
    """Look at the slot so many seconds apart."""
    for after in seconds:
        desk.go(after=after)


@pytest.mark.parametrize(
    "seconds",
    [
        (50.0,),  # one look
        (4000.0,),  # one look that came late, as after a restart
        (-4000.0,),  # one that was begun before Azure took it, or a clock that was put back
        (10.0, 20.0, 15.0, 14.0),  # some, for less than a minute
        (10.0, 4000.0, -4000.0, 4000.0),  # some, with a clock that is set
        (1.0, *[0.0] * 50),  # passes that look at nothing new
    ],
)
def test_what_azure_took_is_not_given_up_for_a_few_looks_that_lack_it(seconds: tuple[float, ...]) -> None:
    """ARM may take a while to list what it has taken; when it does, nothing was lost."""
    desk = wanting_import()
    errand = desk.wish(Start)
    desk.report(errand, Started("c1"))
    looks(desk, *seconds)

    assert desk.transfer().phase is TransferPhase.ASKED
    assert desk.wished(Start) == []
    desk.show_transfer(errand.transfer)
    looks(desk, 5)
    del desk.imports[errand.transfer.transfer_id]
    looks(desk, 10, 10, 10, 10, 10)
    assert desk.transfer().phase is TransferPhase.ASKED


def test_what_looks_lack_for_a_minute_is_gone() -> None:
    """Five looks or more, over a minute: it is asked for again, and the log has a line."""
    desk = wanting_import()
    desk.report(desk.wish(Start), Started("c1"))
    looks(desk, 10, 15, 15, 15)
    before = desk.transfer().phase
    desk.go(after=15)

    assert before is TransferPhase.ASKED
    assert desk.decision is not None
    assert [it.word for it in desk.decision.remarks] == ["transfer vanished"]
    assert not any(it.holds_slot for it in desk.records.transfers.values())


def vanished(line: str = IN, job_id: int = 3) -> tuple[Desk, ImportView]:
    """Bring an import to where Azure has not shown it for too long, though it runs; another job wants more by then."""
    desk = wanting_import()
    transfer = desk.start()
    desk.go()
    hidden = desk.imports.pop(transfer.transfer_id)
    looks(desk, 5, 5)
    desk.submit(line, job_id=job_id)
    desk.count()
    while not desk.wished(Start):
        desk.go(after=5)
    return desk, hidden


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize(("line", "job_id"), [(IN, 3), ("stage_in prefix=/b/", 8)])
def test_a_vanished_import_that_is_shown_again_is_followed_whatever_was_begun_since(
    line: str,
    job_id: int,
    asked: bool,  # noqa: FBT001
) -> None:
    """It has the slot; what was begun in its place, and refused, is dropped, so that nothing comes in twice."""
    desk, hidden = vanished(line, job_id)
    other = desk.wish(Start)
    if asked:
        desk.report(other, BUSY)
    desk.imports[hidden.name] = hidden
    desk.go()
    words = [it.word for it in desk.decision.remarks] if desk.decision is not None else []
    looks(desk, *[5.0] * 3)
    followed = desk.transfer()
    starts = desk.wished(Start)
    message = desk.board().message
    desk.land()

    assert other.transfer.transfer_id != hidden.name
    assert "transfer found again" in words
    assert (followed.transfer_id, followed.phase, starts) == (hidden.name, TransferPhase.ASKED, [])
    assert message == ""
    assert desk.stage().phase is Phase.RESTORING
    assert [it.transfer.prefixes for it in desk.wished(Start)] == [("/b/",)] * (job_id == 8)


def test_what_may_have_been_taken_in_place_of_a_vanished_import_is_looked_for_before_it_is_dropped() -> None:
    """It is being asked for just when the first is shown again; Azure took it after all, so both are followed."""
    desk, hidden = vanished()
    other = desk.wish(Start)
    desk.running = {key_of(other)}
    desk.imports[hidden.name] = hidden
    desk.go()
    both = {it.transfer_id: it.phase for it in desk.records.transfers.values() if it.holds_slot}
    starts = desk.wished(Start)
    desk.running = set()
    desk.show_transfer(other.transfer)
    desk.report(other, Started("c2"))

    assert both == {hidden.name: TransferPhase.ASKED, other.transfer.transfer_id: TransferPhase.INTENDED}
    assert starts == []
    assert {it.phase for it in desk.records.transfers.values()} == {TransferPhase.ASKED}


def test_no_import_is_begun_while_the_record_of_its_name_is_being_deleted() -> None:
    """The deletion would meet it."""
    desk = wanting_import()
    first = desk.start()
    desk.imports.clear()
    desk.running = {key_of(Clear("amlfs", first.transfer_id))}
    looks(desk, *[15.0] * 10)
    meanwhile = desk.wished(Start)
    desk.running = set()
    looks(desk, 5)

    assert meanwhile == []
    assert desk.wish(Start).transfer.transfer_id == first.transfer_id


def test_a_transfer_that_never_ends_is_told_and_not_cancelled() -> None:
    """After four times what it should take, and no sooner than a stall: the board says so, the log at each doubling."""
    desk = wanting_import()
    desk.show_transfer(desk.start(), blobs_imported=2)
    desk.submit("stage_in prefix=/b/", job_id=8)
    desk.count()
    told: list[int] = []
    for minute in range(1, 100):
        desk.go(after=60)
        assert desk.decision is not None
        told += [minute for it in desk.decision.remarks if it.word == "transfer overdue"]
        assert desk.wished(Stop) == []

    assert told == [10, 20, 40, 80]
    words = "Azure has not ended this import for more than 80 minutes, where 1 minute should do"
    assert words in desk.board().message
    assert words in desk.board(8).message
    desk.land()
    assert "Azure" not in desk.board().message


def test_a_large_transfer_is_given_the_time_that_its_size_takes() -> None:
    """Two million blobs at two thousand a second take a quarter of an hour, so an hour is nothing to speak of."""
    desk = Desk()
    desk.submit(IN)
    desk.count(files=2_000_000)
    desk.start()
    looks(desk, *[60.0] * 65)
    before = desk.board().message
    looks(desk, *[60.0] * 5)

    assert before == ""
    assert "for more than 67 minutes, where 17 minutes should do" in desk.board().message


def test_an_archive_that_never_ends_is_told_and_not_cancelled() -> None:
    """A cancel would end whatever archive runs by then, so not even a late one of ours is."""
    desk = wanting_archive()
    desk.start()
    looks(desk, *[60.0] * 11)

    assert "Azure has not ended this archive" in desk.board().message
    assert desk.wished(Stop) == []
    desk.archived()
    assert desk.wish(ProveOut)


def test_progress_of_the_import_is_on_the_board() -> None:
    """Blobs imported so far, of those counted; what it waited for before is forgotten."""
    desk = wanting_import()
    transfer = desk.start()
    desk.show_transfer(transfer, blobs_imported=2)
    desk.go()

    assert (desk.board().files_done, desk.board().files_total) == (2, 3)
    assert desk.board().message == ""
    assert desk.board().phase_in == "importing"


def test_a_word_of_azures_that_we_do_not_know_is_waited_out() -> None:
    """A new state of a newer API holds the slot until it changes."""
    desk = wanting_import()
    transfer = desk.start()
    desk.show_transfer(transfer, ImportState.UNKNOWN)
    desk.go(after=900)

    assert desk.transfer().phase is TransferPhase.ASKED


def test_an_import_that_nobody_needs_any_more_is_cancelled() -> None:
    """After scancel: asked to stop, again every ten seconds until it has, and its end is nobody's failure."""
    desk = wanting_import()
    transfer = desk.start()
    desk.show("CANCELLED")
    desk.settle()
    stops = [len(desk.wished(Stop))]
    for seconds in (5, 6):
        desk.go(after=seconds)
        stops.append(len(desk.wished(Stop)))
    desk.show_transfer(transfer, ImportState.CANCELED)
    desk.settle()

    assert stops == [0, 0, 1]
    assert any(event.word == "import dropped" for event in desk.events)
    assert not any(it.holds_slot for it in desk.records.transfers.values())


def test_an_import_that_another_job_still_needs_goes_on() -> None:
    """Two jobs share it; one is cancelled."""
    desk = Desk()
    desk.submit(IN)
    desk.submit("stage_in prefix=/b/", job_id=8)
    desk.count()
    desk.start()
    desk.show("CANCELLED")
    desk.settle()

    assert not desk.transfer().unwanted
    assert desk.wished(Stop) == []


def test_what_was_never_asked_for_needs_no_stop() -> None:
    """Cancelled before Azure was asked: the intention is dropped."""
    desk = wanting_import()
    desk.show("CANCELLED")
    desk.settle()

    assert desk.wished(Stop) == []
    assert desk.wished(Start) == []
    assert not any(it.holds_slot for it in desk.records.transfers.values())


def test_what_may_have_been_taken_is_looked_for_before_it_is_dropped() -> None:
    """Cancelled while the answer was lost: a look younger than the asking decides, and then it is stopped."""
    desk = wanting_import()
    errand = desk.wish(Start)
    desk.show("CANCELLED")
    desk.running = {key_of(errand)}
    desk.settle()
    asking = desk.transfer().phase
    desk.running = set()
    desk.report(errand, BUSY, after=0)
    kept = desk.transfer().phase
    desk.show_transfer(errand.transfer)
    desk.go()
    desk.go()

    assert asking is kept is TransferPhase.INTENDED
    assert desk.transfer().phase is TransferPhase.ASKED
    assert desk.transfer().unwanted


def test_an_archive_is_ours_by_its_path_and_start() -> None:
    """One of the same path that was over before is not; the one that began since is."""
    desk = Desk()
    desk.archives = (ArchiveView("/jobs/7/", ArchiveState.COMPLETED, started=NOON, percent=100),)
    wanting_archive(desk)
    desk.report(desk.wish(Start), Started("c1"))
    before = desk.transfer().phase
    desk.archives = (ArchiveView("/jobs/7/", ArchiveState.COMPLETED, started=desk.now, percent=100),)
    desk.settle()

    assert before is TransferPhase.ASKED
    assert desk.out().phase is Phase.WAITING
    assert desk.wish(ProveOut)


@pytest.mark.parametrize(
    "state",
    [
        ArchiveState.COMPLETED,
        ArchiveState.IDLE,
        ArchiveState.CANCELED,
        ArchiveState.FAILED,
        ArchiveState.NOT_CONFIGURED,
    ],
)
def test_however_an_archive_ends_the_files_are_looked_at(state: ArchiveState) -> None:
    """Azure's word decides nothing but that it is over."""
    desk = wanting_archive()
    desk.start()
    desk.archived(state)

    assert desk.wish(ProveOut)


def test_an_archive_that_never_shows_ends_in_a_look_at_the_files() -> None:
    """Azure said 200 and lists nothing: after a minute the files tell, and after three such turns it is a failure."""
    desk = wanting_archive()
    desk.report(desk.wish(Start), Started("c1"))
    desk.go(after=50)
    early = desk.out().phase
    for _ in range(3):
        looks(desk, *[15.0] * 5)
        desk.settle()
        desk.prove_out(unproved("/jobs/7/"))
        if desk.wished(Start):
            desk.report(desk.wish(Start), Started("c1"))

    assert early is Phase.EXPORTING
    assert desk.answers()[1] is Answer.ERROR
    assert "Azure took it, and does not show it" in desk.board().message


def test_an_archive_found_under_way_after_a_crash_is_met_again() -> None:
    """Asked for, and the daemon died: the path and a new start say that it is ours."""
    desk = wanting_archive()
    transfer = desk.wish(Start).transfer
    desk.show_transfer(transfer)
    desk.go()

    assert desk.transfer().phase is TransferPhase.ASKED
    assert desk.wished(Start) == []


def test_a_foreign_import_of_the_same_prefix_is_not_taken_for_ours() -> None:
    """Imports are told by their names alone."""
    desk = wanting_import()
    desk.imports["portal"] = ImportView("portal", ImportState.COMPLETED, ("/a/",))
    desk.go()

    assert desk.transfer().phase is TransferPhase.INTENDED
