from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.ask import Hydrate
from slurm_amlfs.domain.errand import Clear, Count, ProveIn, Start
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Counted, Fault, Report, Trouble
from slurm_amlfs.domain.view import ImportState
from slurm_amlfs.domain.world import FsRules
from slurm_amlfs.wire import Answer
from tests.unit.domain.desk import BUSY, RULES, Desk, counted, looked_at

LINE = "stage_in prefix=/genomes/"


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
    for errand in desk.wished(Count):
        desk.report(errand, counted(errand, 0 if errand.lease.prefix == "/genoms/" else 5))

    assert desk.answers()[0] is Answer.ERROR
    assert desk.board().message == "no blobs under /genoms/; check its spelling, scancel this job and submit again"
    assert desk.wished(Start) == []


def test_what_is_larger_than_the_file_system_is_refused() -> None:
    """Bytes that can never fit are told at once; names alone always fit."""
    desk = Desk()
    desk.submit(LINE)
    desk.report(desk.wish(Count), Counted(5, 2000, room_bytes=1000))
    both = Desk()
    both.submit(f"{LINE} prefix=/more/")
    both.go(reports=tuple(Report(it, counted(it, 5, 600, room_bytes=1000)) for it in both.wished(Count)))
    names = Desk()
    names.submit(f"{LINE} hydrate=none")
    names.report(names.wish(Count), counted(names.wish(Count), 5, 2000))

    assert desk.answers()[0] is Answer.ERROR
    assert "2000 bytes under /genomes/ are more than the file system amlfs can hold" in desk.board().message
    assert both.answers()[0] is Answer.ERROR
    assert "1200 bytes under /genomes/, /more/ are more" in both.board().message
    assert names.wish(Start).transfer.prefixes == ("/genomes/",)
    assert names.stage().ask.hydrate is Hydrate.NONE


def test_overlapping_prefixes_are_asked_for_once() -> None:
    """What one prefix takes in of another is neither counted, imported nor proved twice."""
    desk = Desk()
    desk.submit("stage_in prefix=/genomes/ prefix=/genomes/human/")
    wanted = desk.wish(Count).lease.prefix
    desk.count()
    desk.start()
    desk.land()

    assert wanted == "/genomes/"
    assert desk.wish(ProveIn).lease.prefix == "/genomes/"


def test_trouble_with_counting_is_waited_out() -> None:
    """While Blob does not answer, the job waits longer each time and says why; then it goes on."""
    desk = Desk()
    desk.submit(LINE)
    waits = []
    for _ in range(3):
        desk.report(desk.wish(Count), BUSY, after=0)
        desk.settle()
        assert desk.decision is not None
        assert desk.decision.wake is not None
        waits.append((desk.decision.wake - desk.now).total_seconds())
        said = desk.board().message
        desk.go(after=waits[-1])
    desk.count()

    assert waits == [1, 2, 4]
    assert said == BUSY.message
    assert desk.wish(Start)
    assert desk.lease("/genomes/").waits_in_a_row == 0


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
    """One that is no longer listed is looked for a minute, then asked for by the same name, as often as it takes."""
    desk = Desk()
    desk.submit(LINE)
    desk.count()
    first = desk.start()
    said = set()
    for _ in range(RULES.attempts + 1):
        desk.imports.clear()
        while not desk.wished(Start):
            desk.go(after=5)
            said.add(desk.board().message)
            assert desk.wished(Clear) == []
        again = desk.start()

    assert again.transfer_id == first.transfer_id
    assert "Azure took the import, and does not show it; looking again for a minute" in said
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

    assert sorted(together) == ["/bad/", "/good/"]
    assert sorted(alone) == [("/bad/",), ("/good/",)]
    assert desk.stage(7).phase is Phase.STAGED_IN
    assert desk.answers(8)[0] is Answer.ERROR


def test_on_a_hierarchical_namespace_a_folder_takes_in_its_own_path() -> None:
    """There /data takes /data and what is below it, so /data/ is no prefix of its own."""
    desk = Desk(replace(RULES, file_systems={"amlfs": FsRules("amlfs", "/lustre", Namespace.HIERARCHICAL)}))
    desk.submit("stage_in prefix=/data prefix=/data/x prefix=/data2")

    assert [it.lease.prefix for it in desk.wished(Count)] == ["/data", "/data2"]
