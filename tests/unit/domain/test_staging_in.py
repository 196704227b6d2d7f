from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.ask import Direction, Hydrate
from slurm_amlfs.domain.errand import (
    Count,
    Counted,
    Examined,
    Fault,
    Free,
    ProveIn,
    Start,
    Trouble,
    WriteReceipt,
)
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import StageKey
from slurm_amlfs.domain.view import ImportState
from slurm_amlfs.domain.world import FsRules
from slurm_amlfs.wire import Answer
from tests.unit.domain.desk import ALICE, BUSY, RULES, Desk

LINE = "stage_in prefix=/genomes/"


def looked_at(**more: object) -> Examined:
    """Make what a proof found, all well unless said otherwise."""
    whole = Examined(settled=True, files=3, files_done=3, total_bytes=300, bytes_done=300)
    return replace(whole, **more)  # type: ignore[arg-type]


def imported(line: str = LINE, **figures: object) -> Desk:
    """Bring a job to where its import is over."""
    desk = Desk()
    desk.submit(line)
    desk.count()
    desk.start()
    desk.land(**figures)  # type: ignore[arg-type]
    return desk


def test_a_job_goes_from_submit_to_done() -> None:
    """Blobs are counted, imported, proved, receipted; only then is Slurm told that it may start the job."""
    desk = Desk()
    desk.submit(LINE)
    seen = [desk.answers()[0]]
    desk.drop_receipts()
    desk.go()
    desk.count()
    seen.append(desk.answers()[0])
    desk.start()
    desk.land()
    seen.append(desk.answers()[0])
    desk.prove()
    seen.append(desk.answers()[0])
    desk.receipt()

    assert seen == [Answer.BUSY] * 4
    assert desk.answers()[0] is Answer.DONE
    assert desk.words() == ["submitted", "import started", "imported", "restored", "staged in"]


def test_a_prefix_without_blobs_costs_no_import() -> None:
    """A prefix with nothing under it is told to the user at once, by name, also beside one that has something."""
    desk = Desk()
    desk.submit("stage_in prefix=/genomes/ prefix=/genoms/")
    desk.report(desk.wish(Count), Counted(5, 500, empty=("/genoms/",)))

    assert desk.answers()[0] is Answer.ERROR
    assert desk.board().message == "no blobs under /genoms/; check the prefix and its spelling"
    assert desk.wished(Start) == []


def test_what_is_larger_than_the_file_system_is_refused() -> None:
    """Bytes that can never fit are told at once; names alone always fit."""
    desk = Desk()
    desk.submit(LINE)
    desk.report(desk.wish(Count), Counted(5, 2000, room_bytes=1000))
    names = Desk()
    names.submit(f"{LINE} hydrate=none")
    names.report(names.wish(Count), Counted(5, 2000, room_bytes=1000))

    assert desk.answers()[0] is Answer.ERROR
    assert "2000 bytes under /genomes/ are more than the whole file system amlfs holds" in desk.board().message
    assert names.wish(Start).transfer.prefixes == ("/genomes/",)
    assert names.stage().ask.hydrate is Hydrate.NONE


def test_overlapping_prefixes_are_asked_for_once() -> None:
    """What one prefix takes in of another is neither counted, imported nor proved twice."""
    desk = Desk()
    desk.submit("stage_in prefix=/genomes/ prefix=/genomes/human/")
    counted = desk.wish(Count).prefixes
    desk.count()
    desk.start()
    desk.land()

    assert counted == ("/genomes/",)
    assert desk.wish(ProveIn).prefixes == ("/genomes/",)


def test_trouble_with_counting_is_waited_out() -> None:
    """While Blob does not answer, the job waits longer each time and says why; then it goes on."""
    desk = Desk()
    desk.submit(LINE)
    waits = []
    for _ in range(3):
        desk.report(desk.wish(Count), BUSY, after=0)
        assert desk.decision is not None
        assert desk.decision.wake is not None
        waits.append((desk.decision.wake - desk.now).total_seconds())
        said = desk.board().message
        desk.go(after=waits[-1])
    desk.count()

    assert waits == [1, 2, 4]
    assert said == BUSY.message
    assert desk.wish(Start)
    assert desk.stage().waits_in_a_row == 0


def test_retry_after_is_obeyed() -> None:
    """Nothing is asked again before the other side said."""
    desk = Desk()
    desk.submit(LINE)
    desk.report(desk.wish(Count), replace(BUSY, retry_after=timedelta(seconds=40)))
    desk.go(after=39)
    early = desk.wished(Count)
    desk.go(after=2)

    assert early == []
    assert desk.wish(Count)


def test_permanent_trouble_is_told_to_the_user() -> None:
    """What no waiting can mend is an error with its message and correlation id."""
    desk = Desk()
    desk.submit(LINE)
    desk.report(desk.wish(Count), Trouble(Fault.PERMANENT, "there is no container", correlation_id="corr-9"))

    assert desk.answers()[0] is Answer.ERROR
    assert desk.board().message == "there is no container"
    assert desk.stage().correlation_id == "corr-9"


@pytest.mark.parametrize("state", [ImportState.COMPLETED, ImportState.COMPLETED_PARTIAL])
def test_an_import_that_ended_is_proved_whatever_azure_calls_it(state: ImportState) -> None:
    """Completed is not done: only the look at the files makes a stage-in staged in."""
    desk = Desk()
    desk.submit(LINE)
    desk.count()
    desk.start()
    desk.land(state)

    assert desk.stage().phase is Phase.RESTORING
    assert desk.answers()[0] is Answer.BUSY


def test_a_conflict_under_fail_is_the_users_to_mend() -> None:
    """conflict=fail and a path that differs: an error that says what to write instead, without another try."""
    desk = imported(f"{LINE} conflict=fail", state=ImportState.FAILED, conflicts=2)

    assert desk.answers()[0] is Answer.ERROR
    assert "2 paths under /genomes/ are on Lustre already and differ" in desk.board().message
    assert "conflict=skip" in desk.board().message
    assert desk.wished(Start) == []


def test_errors_over_the_limit_are_told() -> None:
    """More errors than max_errors: an error with both figures, without another try."""
    desk = imported(f"{LINE} max_errors=4", state=ImportState.FAILED, errors=5)

    assert desk.answers()[0] is Answer.ERROR
    assert "met 5 errors, more than max_errors=4" in desk.board().message


@pytest.mark.parametrize("state", [ImportState.FAILED, ImportState.CANCELED])
def test_an_import_that_fails_for_no_fault_of_the_user_is_tried_again(state: ImportState) -> None:
    """Failed for Azure's own reasons, or cancelled by somebody: another turn under another name, three in all."""
    desk = Desk()
    desk.submit(LINE)
    desk.count()
    names = []
    for _ in range(3):
        assert desk.answers()[0] is Answer.BUSY
        names.append(desk.start().transfer_id)
        desk.land(state, message="broken")
        desk.go(after=60)

    assert len(set(names)) == 3
    assert desk.answers()[0] is Answer.ERROR
    assert "(3 tries)" in desk.board().message


def test_an_import_that_vanishes_is_asked_for_again() -> None:
    """A record that somebody deleted under way is waited for a minute, then imported again."""
    desk = Desk()
    desk.submit(LINE)
    desk.count()
    first = desk.start()
    desk.imports.clear()
    desk.go(after=30)
    held = desk.transfer().transfer_id
    desk.go(after=40)
    desk.go()
    desk.go(after=60)

    assert held == first.transfer_id
    assert desk.wish(Start).transfer.transfer_id != first.transfer_id
    assert desk.answers()[0] is Answer.BUSY


def test_a_batch_that_fails_is_taken_apart() -> None:
    """One job's bad prefix never fails another's: each goes alone, the good one is staged in, the bad one fails."""
    desk = Desk()
    desk.submit("stage_in prefix=/good/ max_errors=0", job_id=7)
    desk.submit("stage_in prefix=/bad/ max_errors=0", job_id=8)
    desk.count()
    together = desk.start().prefixes
    desk.land(ImportState.FAILED, errors=3)
    alone = []
    for _ in range(2):
        transfer = desk.start()
        alone.append(transfer.prefixes)
        desk.land(ImportState.FAILED if transfer.prefixes == ("/bad/",) else ImportState.COMPLETED, errors=3)
    for errand in desk.wished(ProveIn):
        desk.report(errand, looked_at())

    assert together == ("/bad/", "/good/")
    assert sorted(alone) == [("/bad/",), ("/good/",)]
    assert desk.stage(7).phase is Phase.STAGED_IN
    assert desk.answers(8)[0] is Answer.ERROR


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

    assert desk.wish(Start).transfer.prefixes == ("/genomes/",)
    assert desk.stage().turns == 1


def test_what_never_comes_fails_after_the_configured_tries() -> None:
    """Three imports after which blobs are still missing: held, with their names."""
    desk = imported()
    for _ in range(2):
        desk.prove(looked_at(files_done=2, missing=("genomes/a'b",)))
        desk.go(after=60)
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
    assert desk.wish(ProveIn).stage.job_id == 7


def test_a_free_of_nobodys_stage_holds_every_proof() -> None:
    """When the stage that a running Free was for has started over, nobody knows its files: all proofs wait."""
    desk = imported()
    desk.running = {"free 3.stage_in.0"}
    desk.go()

    assert desk.wished(ProveIn) == []


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
        if errand.stage.job_id == 7:
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


def test_on_a_hierarchical_namespace_a_folder_takes_in_its_own_path() -> None:
    """There /data takes /data and what is below it, so /data/ is no prefix of its own."""
    desk = Desk(replace(RULES, file_systems={"amlfs": FsRules("amlfs", "/lustre", Namespace.HIERARCHICAL)}))
    desk.submit("stage_in prefix=/data prefix=/data/x prefix=/data2")

    assert desk.wish(Count).prefixes == ("/data", "/data2")
