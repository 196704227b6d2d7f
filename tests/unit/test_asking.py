"""retry and cancel say what they cannot do, before anything is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slurm_amlfs.entrypoints import asking
from slurm_amlfs.errors import UserError
from slurm_amlfs.wire import Board, RequestKind, dump_board, load_request

RETRY, CANCEL = RequestKind.RETRY, RequestKind.CANCEL
OWNER = 61001
BOARD = Board(42, OWNER, "e")
CLOSED = replace(BOARD, phase_in="settled", phase_out="settled", timeline=("5 exported: 3 files", "9 closed"))
Post = Callable[[Board], Path]


@pytest.fixture
def post(tmp_path: Path) -> Post:
    """A state directory, and what puts a board there."""
    for folder in ("board", "inbox/tmp", "inbox/new"):
        (tmp_path / folder).mkdir(parents=True)

    def put(board: Board) -> Path:
        (tmp_path / "board" / str(board.job_id)).write_bytes(dump_board(board))
        return tmp_path

    return put


@pytest.mark.parametrize(
    ("kind", "board", "says"),
    [
        (RETRY, CLOSED, "job 42 is closed: nothing to retry"),
        (CANCEL, CLOSED, "job 42 is closed: nothing to cancel"),
        (
            RETRY,
            replace(BOARD, phase_in="importing", files_total=9, files_done=3),
            "nothing of job 42 has failed: nothing to retry; importing, 3 of 9 files",
        ),
        (
            RETRY,
            replace(BOARD, message="amlfs: alice may not export"),
            "job 42 was refused, which no retry mends: amlfs: alice may not export",
        ),
        (
            CANCEL,
            replace(BOARD, phase_in="importing"),
            "job 42 exports nothing: nothing to cancel; scancel 42 cancels the job itself",
        ),
        (CANCEL, replace(BOARD, phase_out="settled"), "the export of job 42 is settled: nothing to cancel"),
        (RETRY, replace(BOARD, phase_out="failed"), ""),
        (RETRY, replace(BOARD, phase_in="failed", phase_out="declared"), ""),
        (CANCEL, replace(BOARD, phase_out="exporting"), ""),
        (CANCEL, replace(BOARD, phase_out="failed"), ""),
    ],
)
def test_what_can_have_no_effect_is_said(kind: RequestKind, board: Board, says: str) -> None:
    """One line, and none for what the daemon will do."""
    assert asking.hindrance(kind, board, OWNER) == says


def test_only_the_owner_and_root_may() -> None:
    """A member of SlurmUser's group may read every board, but the daemon passes over what it asks."""
    board = replace(BOARD, uid=4_000_000_000, phase_out="failed")
    said = "job 42 is uid 4000000000's; only they and root may retry it"
    assert asking.hindrance(RETRY, board, 61002) == said
    assert asking.hindrance(RETRY, replace(board, uid=0), 61002) == "job 42 is root's; only they and root may retry it"
    assert asking.hindrance(RETRY, board, 0) == ""


def test_nothing_is_dropped_for_nothing(post: Post) -> None:
    """A closed job gets no request; a failed one gets one."""
    state_dir = post(replace(CLOSED, uid=os.geteuid()))
    with pytest.raises(UserError, match="job 42 is closed: nothing to retry"):
        asking.ask(state_dir, RETRY, 42)
    left = list((state_dir / "inbox/new").iterdir())
    post(replace(BOARD, uid=os.geteuid(), phase_out="failed"))
    asking.ask(state_dir, RETRY, 42)
    [file] = (state_dir / "inbox/new").iterdir()

    assert left == []
    assert load_request(file.read_bytes(), 0).job_id == 42


def test_an_unknown_job_is_told(post: Post) -> None:
    """Neither board nor history."""
    with pytest.raises(UserError, match="job 43 has no board"):
        asking.ask(post(BOARD), CANCEL, 43)
