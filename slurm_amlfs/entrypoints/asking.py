"""Put a request of a user's into the inbox, as every hook does, if the board says that it can have an effect.

Who may ask for what is the daemon's to decide; but it answers nobody, so what it would pass over is told here.
"""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path

from slurm_amlfs.domain.bulletin import progress
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.entrypoints import status
from slurm_amlfs.errors import TemporaryError, UserError
from slurm_amlfs.wire import Board, Request, RequestKind, dump_request

_OVER = frozenset({Phase.SETTLED.value, Phase.CANCELLED.value})


def ask(state_dir: Path, kind: RequestKind, job_id: int) -> None:
    """Write a request and move it to where the daemon takes it.

    Raises:
        UserError: it would have no effect, by the job's board or history; says why.
        TemporaryError: the inbox cannot be written to.
    """
    [board] = status.read(state_dir, job_id)
    if why := hindrance(kind, board, os.geteuid()):
        raise UserError(why)
    token = f"{int(time.time())}-{os.getpid()}"
    drop(state_dir, Request(kind, job_id, token), f"{job_id}-{kind.value}")


def hindrance(kind: RequestKind, board: Board, uid: int) -> str:
    """Say in words why a user's retry or cancel would have no effect; "" if it may have one."""
    job = f"job {board.job_id}"
    if board.uid >= 0 and uid not in {0, board.uid}:
        return f"{job} is {_name(board.uid)}'s; only they and root may {kind.value} it"
    if status.is_closed(board):
        return f"{job} is closed: nothing to {kind.value}"
    return _nothing_to_cancel(job, board) if kind is RequestKind.CANCEL else _nothing_to_retry(job, board)


def _nothing_to_cancel(job: str, board: Board) -> str:
    if not board.phase_out:
        return f"{job} exports nothing: nothing to cancel; scancel {board.job_id} cancels the job itself"
    return f"the export of {job} is {board.phase_out}: nothing to cancel" if board.phase_out in _OVER else ""


def _nothing_to_retry(job: str, board: Board) -> str:
    if Phase.FAILED.value in {board.phase_in, board.phase_out}:
        return ""
    if not board.phase_in and not board.phase_out:
        return f"{job} was refused, which no retry mends: {board.message}"
    return f"nothing of {job} has failed: nothing to retry; {progress(board).removeprefix('amlfs: ')}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def drop(state_dir: Path, request: Request, what: str) -> None:
    """Write a request and move it to where the daemon takes it; `what` ends its file's name.

    Raises:
        TemporaryError: the inbox cannot be written to.
    """
    name = f"{int(time.time())}.{os.getpid()}.0.{what}"
    draft = state_dir / "inbox" / "tmp" / name
    try:
        with draft.open("xb") as file:
            file.write(dump_request(request))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(state_dir / "inbox" / "new" / name)
    except OSError as error:
        raise TemporaryError(
            f"the inbox {state_dir / 'inbox'} cannot be written to ({error.strerror}); is this the controller's host,"
            " and has slurm-amlfsd ever run here?"
        ) from error
