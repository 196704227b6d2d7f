"""The table "What Slurm is told" of architecture.md, row by row, and what holds for a pass as a whole."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.ask import Conflict, Direction, Hydrate
from slurm_amlfs.domain.errand import (
    Clear,
    Comment,
    Count,
    Errand,
    Evict,
    Free,
    Probe,
    ProveIn,
    ProveOut,
    Start,
    WriteReceipt,
)
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import StageKey
from slurm_amlfs.domain.report import Counted, Done, Examined, Fault, Freed, Probed, Report, Result, Started, Trouble
from slurm_amlfs.domain.view import ImportState
from slurm_amlfs.domain.world import backoff
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import BUSY, RULES, Desk, counted, proved

IN = "stage_in prefix=/a/"
OUT = "stage_out prefix=/jobs/7/"


@pytest.mark.parametrize("line", ["stage_in prefix=a", "stage_out prefix=/elsewhere/", "stage_inn prefix=/a/"])
def test_row_1_what_cannot_be_is_an_error_with_the_mend(line: str) -> None:
    """Malformed, not granted: ERROR with one line (here for a line that got past the submission)."""
    desk = Desk()
    desk.submit(line)

    assert desk.answers() == (Answer.ERROR, Answer.ERROR)
    assert desk.board().message.startswith("amlfs: ")


def test_row_1_larger_than_the_file_system() -> None:
    """Known only after the blobs are counted: ERROR then."""
    desk = Desk()
    desk.submit(IN)
    desk.report(desk.wish(Count), Counted(1, 10**15, room_bytes=10**13))

    assert desk.answers()[0] is Answer.ERROR


@pytest.mark.parametrize("what", ["slot", "throttling", "maintenance", "daemon was down", "mount", "slurm is down"])
def test_row_2_what_waiting_can_mend_is_busy(what: str) -> None:
    """Whatever it waits for, for however long: BUSY, and the board says why."""
    desk = Desk()
    desk.submit(IN)
    desk.drop_receipts()
    desk.go()
    if what == "maintenance":
        desk.health = "Maintenance"
    if what == "slot":
        desk.auto_jobs = ("autoImport daily",)
    desk.count()
    if what == "throttling":
        desk.report(desk.wish(Start), replace(BUSY, message="Azure asks to slow down"))
    if what == "mount":
        desk.start()
        desk.land()
        desk.report(desk.wish(ProveIn), replace(BUSY, message="not mounted"))
    if what == "slurm is down":
        desk.jobs = None
    desk.settle()
    desk.go(after=86400)

    assert desk.answers()[0] is Answer.BUSY
    assert desk.board().message or what in {"daemon was down", "slurm is down"}


@pytest.mark.parametrize(
    ("line", "state", "figures", "said"),
    [
        (f"{IN} conflict=fail", ImportState.FAILED, {"conflicts": 1}, "conflict=skip"),
        (f"{IN} max_errors=0", ImportState.FAILED, {"errors": 1}, "max_errors=0"),
    ],
)
def test_row_3_what_the_user_has_to_mend_is_an_error(
    line: str, state: ImportState, figures: dict[str, int], said: str
) -> None:
    """Conflict under fail, errors over the limit: ERROR with the word that mends it."""
    desk = Desk()
    desk.submit(line)
    desk.count()
    desk.start()
    desk.land(state, **figures)

    assert desk.answers()[0] is Answer.ERROR
    assert said in desk.board().message


def test_row_3_a_prefix_that_does_not_exist() -> None:
    """ERROR, and the message names it."""
    desk = Desk()
    desk.submit(IN)
    desk.count(files=0)

    assert desk.answers()[0] is Answer.ERROR
    assert desk.board().message.startswith("no blobs under /a/")


def test_row_4_an_export_that_failed() -> None:
    """The job ends as it ended, told that it failed; the data stays; it is tried again."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    desk.report(desk.wish(ProveOut), Trouble(Fault.PERMANENT, "no right"))
    told = desk.answers()[1]
    desk.leave()
    desk.go(after=901)
    desk.settle()

    assert told is Answer.ERROR
    assert "stage_out failed" in desk.words()
    assert desk.wished(Free) == []
    assert desk.wish(ProveOut)


def test_a_pass_leaves_what_it_was_given_alone() -> None:
    """The records that went in are as they were, so a pass that fails can be made again."""
    desk = Desk()
    desk.submit(IN, OUT)
    given = desk.records
    copy = deepcopy(given)
    desk.count()

    assert given == copy
    assert desk.records != given


def test_wishes_come_again_until_they_are_reported() -> None:
    """A daemon that died between a wish and its report wishes again after its start."""
    desk = Desk()
    desk.submit(IN)
    first = desk.decision
    desk.go()

    assert first is not None
    assert desk.decision is not None
    assert first.errands == desk.decision.errands != ()


def test_reports_of_an_earlier_life_change_nothing() -> None:
    """What was found of a lease before it was forgotten does not count for the one that comes after it."""
    desk = Desk()
    desk.submit(IN)
    stale = desk.wish(Count)
    desk.leave(job_state="CANCELLED")
    forgotten = dict(desk.records.leases)
    desk.submit(IN, job_id=8)
    desk.report(stale, counted(stale, 9, 900))

    assert forgotten == {}
    assert desk.stage(8).files_total == 0
    assert desk.wish(Count).generation > stale.generation


def test_reports_about_what_is_gone_change_nothing() -> None:
    """Every kind of report, for a job and a transfer that nobody knows any more, well or not."""
    desk = Desk()
    desk.submit(IN)
    desk.count()
    transfer = desk.wish(Start).transfer
    key = StageKey(9, Direction.OUT, 0)
    other = LeaseKey("amlfs", "/other/", Conflict.SKIP, 1000)
    errands: list[Errand] = [
        Count(other, 0, 1000, whole=True),
        Probe(other, 0),
        ProveIn(other, 0, Hydrate.ALL, None),
        Evict(other, 0, ()),
        ProveOut(key, 0, "amlfs", ("/a/",)),
        Free(key, 0, "amlfs", ("/a/",), ()),
        WriteReceipt(9, 0, 1, 1, ("amlfs",), ""),
        Start(replace(transfer, transfer_id="other")),
        Clear("amlfs", "other"),
        Comment(9, "text", announces=True),
    ]
    results: list[Result] = [
        Counted(1, 1),
        Probed(there=True),
        Examined(settled=True, files=1, files_done=1, total_bytes=1, bytes_done=1),
        Freed(1, 1),
        proved(),
        Freed(1, 1),
        Done(),
        Started("c"),
        Done(),
        Done(),
    ]
    before = desk.records
    for result in (*results, *(BUSY for _ in errands)):
        desk.go(reports=tuple(Report(errand, result) for errand in errands), after=0)

    assert desk.records == before


def test_a_report_that_does_not_fit_the_phase_changes_nothing() -> None:
    """A count that arrives when the import is on its way, and of another size."""
    desk = Desk()
    desk.submit(IN)
    late = desk.wish(Count)
    desk.count()
    desk.report(late, Counted(0, 0))

    assert desk.stage().phase is Phase.IMPORTING
    assert desk.stage().files_total == 3


def test_a_slot_given_up_is_used_again_in_the_same_pass() -> None:
    """No look is waited for between two transfers."""
    desk = Desk()
    desk.submit(IN)
    desk.submit("stage_in prefix=/b/ max_errors=0", job_id=8)
    desk.count()
    first = desk.start()
    desk.show_transfer(first, ImportState.COMPLETED)
    desk.go()

    assert desk.wish(Start).transfer.prefixes == ("/b/",)


def test_an_empty_world_wants_nothing() -> None:
    """No job, no wish, no wake-up."""
    decision = Desk().go()

    assert (decision.errands, decision.events, decision.wake) == ((), (), None)


def test_many_jobs_are_decided_in_a_moment() -> None:
    """A thousand array tasks of one prefix: one import, and one job alone could not be told from it by its prefixes."""
    desk = Desk()
    asks = [desk.request(RequestKind.DATA_IN, IN, job_id=number) for number in range(1, 1001)]
    for number in range(1, 1001):
        desk.show("PENDING", number)
    desk.go(*asks)
    desk.count()
    transfer = desk.wish(Start).transfer

    assert transfer.prefixes == ("/a/",)
    assert len(transfer.leases) == 1
    assert len(transfer.transfer_id) <= 80


@pytest.mark.parametrize(
    ("waits", "retry_after", "expected"), [(0, 0, 1), (1, 0, 2), (5, 0, 32), (6, 0, 60), (10**6, 0, 60), (0, 300, 300)]
)
def test_how_long_errors_are_waited_out(waits: int, retry_after: int, expected: int) -> None:
    """Doubling up to a minute, never less than asked for."""
    assert backoff(waits, timedelta(seconds=retry_after), RULES.longest_wait) == timedelta(seconds=expected)
