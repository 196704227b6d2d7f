from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.bulletin import compose, progress
from slurm_amlfs.domain.errand import Count, ProveIn, Start, WriteReceipt
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import Records, StageKey
from slurm_amlfs.domain.report import Done, Examined
from slurm_amlfs.domain.world import FsRules
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import BUSY, RULES, Desk, counted

IN = "stage_in prefix=/a/"


def in_phases(*phases: Phase, receipt: bool) -> Answer:
    """Give the answer to data_in of a job whose stage-ins are in these phases."""
    desk = Desk()
    desk.submit(*(f"stage_in prefix=/{number}/" for number in range(len(phases))))
    stages = {
        StageKey(7, Direction.IN, line): replace(desk.stage(line=line), phase=phase)
        for line, phase in enumerate(phases)
    }
    jobs = {7: replace(desk.job(), receipt=receipt)}
    return compose(Records(jobs, stages), RULES, jobs[7], desk.now, ()).answer_in


P = Phase


@pytest.mark.parametrize("phase", [P.DECLARED, P.WAITING, P.IMPORTING, P.RESTORING])
def test_nothing_is_done_before_it_is_proved(phase: Phase) -> None:
    """Neither alone nor beside a proved one, receipt or not."""
    for receipt in (False, True):
        assert in_phases(phase, receipt=receipt) is Answer.BUSY
        assert in_phases(P.STAGED_IN, phase, receipt=receipt) is Answer.BUSY


def test_done_needs_the_receipt() -> None:
    """Proved is not enough: the nodes' own check would send the job back."""
    assert in_phases(P.STAGED_IN, receipt=False) is Answer.BUSY
    assert in_phases(P.STAGED_IN, receipt=True) is Answer.DONE


@pytest.mark.parametrize("phase", [P.FAILED, P.CANCELLED])
def test_one_failure_is_the_jobs(phase: Phase) -> None:
    """A job needs all its inputs."""
    assert in_phases(P.STAGED_IN, phase, receipt=True) is Answer.ERROR


def test_the_environment_names_every_directory() -> None:
    """The first, all, and the mount; a prefix of everything is the mount itself."""
    systems = {"amlfs": FsRules("amlfs", "/lustre/", Namespace.FLAT), "two": FsRules("two", "/two", Namespace.FLAT)}
    desk = Desk(replace(RULES, file_systems=systems))
    desk.submit("stage_in prefix=/a/ prefix=/b", "stage_in prefix=/ fs=two", "stage_out prefix=/jobs/7/")

    assert desk.board().env == (
        "AMLFS_MOUNT=/lustre/",
        "AMLFS_IMPORT_DIR=/lustre/a",
        "AMLFS_IMPORT_DIRS=/lustre/a:/lustre/b:/two/",
        "AMLFS_EXPORT_DIR=/lustre/jobs/7",
        "AMLFS_EXPORT_DIRS=/lustre/jobs/7",
    )


def test_a_prefix_that_only_begins_names_gives_the_directory_of_those_names() -> None:
    """As the blobs showed when they were counted; one that has blobs below it is the directory itself."""
    desk = Desk()
    desk.submit("stage_in prefix=/genomes/chr prefix=/genomes/run7 prefix=/top")
    assert "AMLFS_IMPORT_DIR=/lustre/genomes/chr" in desk.board().env
    for errand in desk.wished(Count):
        found = counted(errand, beginning=errand.lease.prefix in {"/genomes/chr", "/top"})
        desk.report(errand, found)

    assert "AMLFS_IMPORT_DIR=/lustre/genomes" in desk.board().env
    assert "AMLFS_IMPORT_DIRS=/lustre/genomes:/lustre/genomes/run7:/lustre/" in desk.board().env


def test_the_board_says_how_far_it_is_and_until_when() -> None:
    """Files, bytes, and a guess from the rate so far, rounded so that it does not change with the clock alone."""
    desk = Desk()
    desk.submit(IN)
    desk.count(files=100, total_bytes=1000)
    desk.start()
    desk.land()
    since = desk.stage().since
    errand = desk.wish(ProveIn)
    halfway = Examined(settled=False, files=100, files_done=50, total_bytes=1000, bytes_done=500)
    desk.report(errand, halfway, after=100)
    board = desk.board()
    left = board.eta - desk.now.timestamp()

    assert (board.files_done, board.files_total, board.bytes_done, board.bytes_total) == (50, 100, 500, 1000)
    assert desk.now - since == timedelta(seconds=100)
    assert 100 <= left <= 105
    assert board.eta % 5 == 0
    assert progress(board).startswith("amlfs: restoring, 50 of 100 files, ETA ")


def test_what_failed_is_said_before_what_waits() -> None:
    """Of two lines, the one that needs the user."""
    desk = Desk()
    desk.submit(IN, "stage_in prefix=/b/")
    first, second = desk.wished(Count)
    desk.report(first, BUSY)
    desk.report(second, replace(BUSY, fault=type(BUSY.fault).PERMANENT, message="no such container"))

    assert desk.board().message == "no such container"
    assert desk.board().phase_in == "failed"


def test_a_receipt_that_cannot_be_written_is_told() -> None:
    """All is proved and the job still waits: the board says for what."""
    desk = Desk()
    desk.submit(IN)
    desk.drop_receipts()
    desk.go()
    desk.count()
    desk.start()
    desk.land()
    desk.prove()
    receipt = desk.wish(WriteReceipt)
    desk.report(receipt, replace(BUSY, message="the file system amlfs is not mounted"), after=0)
    board, at_once = desk.board(), desk.wished(WriteReceipt)
    desk.go(after=2)
    desk.report(desk.wish(WriteReceipt), Done())

    assert board.message == "the file system amlfs is not mounted"
    assert board.answer_in is Answer.BUSY
    assert at_once == []
    assert (desk.board().message, desk.answers()[0]) == ("", Answer.DONE)


def test_the_comment_is_one_line_on_the_direction_of_the_hour() -> None:
    """Inputs until the job ends, outputs then."""
    desk = Desk()
    desk.submit(IN, "stage_out prefix=/jobs/7/")
    waiting = progress(desk.board())
    desk.count()
    desk.report(desk.wish(Start), BUSY)
    refused = progress(desk.board())
    desk.end(IN, "stage_out prefix=/jobs/7/")

    assert waiting == "amlfs: waiting"
    assert refused.endswith(BUSY.message)
    assert progress(desk.board()) == "amlfs: waiting"
    assert desk.board().phase_out == "waiting"


GIB = 1 << 30
CAPACITY = "stage_in prefix={} capacity={}GiB pool=amlfs"


def test_more_than_the_capacity_is_said_and_charged() -> None:
    """A stage that turns out larger goes on; its board says both figures, and Slurm is told what it takes."""
    desk = Desk()
    desk.submit(CAPACITY.format("/a/", 10))
    assert (desk.board().message, desk.board().charge_bytes) == ("", 10 * GIB)
    desk.count(total_bytes=12 * GIB)
    desk.go()
    assert "12.0 GiB are measured, more than the capacity= of 10.0 GiB" in desk.board().message
    assert desk.board().charge_bytes == 12 * GIB
    assert desk.answers()[0] is Answer.BUSY


@pytest.mark.parametrize("more", [" hydrate=none", ""])
def test_capacity_that_is_enough_is_not_spoken_of(more: str) -> None:
    """Nor where only names come in; Slurm's charge is what was asked for."""
    desk = Desk()
    desk.submit(CAPACITY.format("/a/", 10) + more, "stage_in prefix=/b/")
    desk.count(total_bytes=12 * GIB if more else 10 * GIB)
    desk.go()
    assert "capacity" not in desk.board().message
    assert desk.board().charge_bytes == 10 * GIB


def test_a_job_that_slurm_tore_down_while_it_waits_is_told_what_to_do() -> None:
    """Its stage-in goes on after StageInTimeout, and what is there serves when Slurm asks again."""
    desk = Desk()
    desk.submit(IN)
    desk.count()
    desk.start()
    desk.go(desk.request(RequestKind.TEARDOWN, hurry=True))
    told = desk.board().message
    desk.submit(IN)

    assert told.endswith("it goes on; if the job is held, an admin can release it")
    assert "an admin" not in desk.board().message
    assert desk.stage().phase is Phase.IMPORTING


def test_a_pool_of_another_file_system_is_refused() -> None:
    """The daemon has the last word on it, as on fs=."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/ capacity=1GiB pool=other")
    assert 'pool "other" is not the line\'s file system "amlfs"' in desk.board().message
    assert desk.answers()[0] is Answer.ERROR
