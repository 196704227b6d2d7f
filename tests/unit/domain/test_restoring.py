"""The second half of a stage-in: from the end of the import to the proof, and what the proof allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.errand import Count, ProveIn, Start, WriteReceipt
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import StageKey
from slurm_amlfs.domain.report import Report
from slurm_amlfs.wire import Answer
from tests.unit.domain.desk import ALICE, Desk, counted, looked_at

LINE = "stage_in prefix=/genomes/"


def imported(line: str = LINE, **figures: object) -> Desk:
    """Bring a job to where its import is over."""
    desk = Desk()
    desk.submit(line)
    desk.count()
    desk.start()
    desk.land(**figures)  # type: ignore[arg-type]
    return desk


def test_restores_under_way_are_looked_at_again_soon() -> None:
    """While restores are outstanding the job is busy, its board counts them, and the next look is near."""
    desk = imported()
    desk.prove(looked_at(settled=False, files_done=1, bytes_done=100))
    desk.prove(looked_at(settled=False, files_done=1, bytes_done=100))
    assert desk.decision is not None
    assert desk.decision.wake is not None

    assert desk.decision.wake - desk.now <= timedelta(seconds=1)
    assert (desk.board().files_done, desk.board().files_total) == (1, 3)
    assert desk.board().poll_seconds == 0
    assert desk.answers()[0] is Answer.BUSY


def test_restores_that_never_end_are_looked_into_anew() -> None:
    """After the stall time the proof begins anew, for the blob may be gone, and the board says where to look."""
    desk = imported()
    desk.prove(looked_at(settled=False, files_done=1))
    first = desk.wish(ProveIn)
    desk.prove(looked_at(settled=False, files_done=1))
    desk.go(after=601)
    desk.prove(looked_at(settled=False, files_done=1))
    desk.go()

    assert desk.wish(ProveIn) != first
    assert "no restore of the last 2 files has ended for 10 minutes" in desk.board().message
    assert desk.answers()[0] is Answer.BUSY


def test_restores_that_never_come_are_named_and_never_fail() -> None:
    """However long it takes, the job waits, the board names files, and in the end they come."""
    desk = imported()
    waiting = looked_at(settled=False, files_done=1, waiting=("/genomes/b", "/genomes/c"))
    for _ in range(30):
        desk.prove(waiting)
        desk.go(after=301)
    named = "no restore of the last 2 files ('/genomes/b', '/genomes/c') has ended for 10 minutes; see the HSM of amlfs"
    assert desk.board().message == named
    assert desk.answers()[0] is Answer.BUSY

    desk.prove()
    desk.go()
    assert desk.stage().phase is Phase.STAGED_IN


@pytest.mark.parametrize(
    ("line", "errors", "missing", "well"),
    [
        (LINE, 0, 0, True),
        (LINE, 0, 1, False),
        (LINE, 2, 2, True),
        (LINE, 2, 3, False),
        (f"{LINE} max_errors=1", 5, 2, False),
        (f"{LINE} max_errors=1", 5, 1, True),
        (f"{LINE} max_errors=-1", 5, 5, True),
        (f"{LINE} max_errors=-1", 5, 6, False),
        (f"{LINE} max_errors=0", 0, 1, False),
    ],
)
def test_how_many_blobs_may_be_missing(line: str, errors: int, missing: int, well: bool) -> None:  # noqa: FBT001 - a column of the table
    """As many as the import counted errors, and no more than max_errors."""
    desk = imported(line, errors=errors)
    desk.prove(looked_at(files_done=3 - missing, missing=tuple(f"genomes/{n}" for n in range(missing))))

    assert (desk.stage().phase is Phase.STAGED_IN) is well


def test_missing_blobs_without_a_name_count_as_well() -> None:
    """A proof names a thousand at most; what decides is how many there are."""
    desk = imported(f"{LINE} max_errors=-1", errors=2500)
    desk.prove(looked_at(files_done=0, missing=("genomes/a",), missing_unnamed=2500))

    assert "2501 blobs under /genomes/ are not on Lustre" in desk.stage().message


def test_missing_and_kept_blobs_are_named_in_the_receipt() -> None:
    """What did not come, and what stays although it differs, is in the receipt, each on a line of its own."""
    desk = imported(errors=1)
    desk.drop_receipts()
    desk.prove(looked_at(files_done=2, missing=("genomes/a\nb",), kept=("genomes/c d",)))
    text = desk.wish(WriteReceipt).text

    assert text.splitlines() == [
        "AMLFS_MOUNT=/lustre",
        "AMLFS_IMPORT_DIR=/lustre/genomes",
        "AMLFS_IMPORT_DIRS=/lustre/genomes",
        "missing genomes/a%0Ab",
        "kept genomes/c d",
    ]
    assert desk.wish(WriteReceipt).uid == ALICE


def test_blobs_that_changed_meanwhile_are_imported_again() -> None:
    """A blob younger than the import is not excused by the import's errors."""
    desk = imported(errors=9)
    desk.prove(looked_at(files_done=2, newer=("genomes/a",)))
    desk.go(after=60)
    desk.go(reports=tuple(Report(it, counted(it, files=4)) for it in desk.wished(Count)))

    assert desk.wish(Start).transfer.prefixes == ("/genomes/",)
    assert desk.lease("/genomes/").turns == 1


def test_what_never_comes_fails_after_the_configured_tries() -> None:
    """Three imports after which blobs are still missing: held, with their names."""
    desk = imported()
    for _ in range(2):
        desk.prove(looked_at(files_done=2, missing=("genomes/a'b",)))
        desk.go(after=60)
        desk.count()
        desk.start()
        desk.land()
    desk.prove(looked_at(files_done=2, missing=("genomes/a'b",)))

    assert desk.answers()[0] is Answer.ERROR
    assert "1 blobs under /genomes/ are not on Lustre as they are in Blob" in desk.board().message
    assert '''"genomes/a'b"''' in desk.board().message


def test_two_lines_are_both_proved_before_the_start() -> None:
    """A job with two stage-in lines waits for both; its receipt is written once."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/", "stage_in prefix=/b/ conflict=overwrite-always")
    desk.drop_receipts()
    desk.go()
    desk.count()
    desk.start()
    desk.land()
    desk.prove()
    half = desk.wished(WriteReceipt)
    answer = desk.answers()[0]
    desk.start()
    desk.land()
    desk.prove()
    desk.receipt()

    assert half == []
    assert answer is Answer.BUSY
    assert desk.answers()[0] is Answer.DONE


def test_a_proof_waits_while_space_under_it_is_given_back() -> None:
    """A Free that began before this stage was known may release what the proof has just seen, so it goes first."""
    desk = imported("stage_in prefix=/genomes/human/")
    desk.records.stages[StageKey(3, Direction.IN, 0)] = replace(
        desk.stage(), key=StageKey(3, Direction.IN, 0), phase=Phase.RELEASING
    )
    desk.running = {"free 3.stage_in.0"}
    desk.go()
    held, said = desk.wished(ProveIn), desk.board().message
    desk.running = set()
    desk.go()

    assert held == []
    assert said == "waiting until the space of an earlier job is given back"
    assert desk.wish(ProveIn).lease.prefix == "/genomes/human/"


def test_a_free_of_nobodys_stage_holds_every_proof() -> None:
    """When the stage that a running Free was for has started over, nobody knows its files: all proofs wait."""
    desk = imported()
    desk.running = {"free 3.stage_in.0"}
    desk.go()

    assert desk.wished(ProveIn) == []
