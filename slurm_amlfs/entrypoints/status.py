"""Read boards, or what the database remembers of a closed job, and show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from slurm_amlfs.adapters.memory_reading import read_events
from slurm_amlfs.adapters.store import FILE_NAME
from slurm_amlfs.domain.bulletin import progress
from slurm_amlfs.errors import AmlfsError, UserError
from slurm_amlfs.wire import MAX_BYTES, Board, load_board

_CLOSED = "closed"
"""The last word of a job's timeline."""


def read(state_dir: Path, job_id: int | None) -> list[Board]:
    """Read one job's board, or all that this user may read.

    Raises:
        UserError: there is no such board, or it is not this user's.
    """
    if job_id is not None:
        return [_read_one(state_dir, job_id)]
    try:
        names = sorted(int(path.name) for path in (state_dir / "board").iterdir() if path.name.isdecimal())
    except PermissionError as error:
        raise UserError("only an operator may see all jobs; name yours: slurm-amlfs status JOB") from error
    except OSError as error:
        raise UserError(
            f"{state_dir}/board cannot be read ({error.strerror}); run this where slurm-amlfsd runs"
        ) from error
    return [_read_one(state_dir, number) for number in names]


def _read_one(state_dir: Path, job_id: int) -> Board:
    try:
        with (state_dir / "board" / str(job_id)).open("rb") as file:
            return load_board(file.read(MAX_BYTES + 1))
    except PermissionError as error:
        raise UserError(f"job {job_id} is another user's; it is for its owner and operators") from error
    except FileNotFoundError as error:
        return _from_history(state_dir, job_id, error)
    except OSError as error:
        raise UserError(
            f"{state_dir}/board cannot be read ({error.strerror}); run this where slurm-amlfsd runs"
        ) from error


def _from_history(state_dir: Path, job_id: int, cause: Exception) -> Board:
    """Show the timeline of a job whose board is gone."""
    unknown = f"job {job_id} has no board: no #AMLFS lines, not begun to stage, cancelled, or long over"
    try:
        events = read_events(state_dir / FILE_NAME, job_id)
    except AmlfsError:
        raise UserError(unknown) from cause
    if not events:
        raise UserError(unknown) from cause
    timeline = tuple(f"{int(it.at.timestamp())} {it.word}: {it.detail}".removesuffix(": ") for it in events)
    return Board(job_id=job_id, uid=-1, epoch="", phase_in=_CLOSED, message=_CLOSED, timeline=timeline)


def is_closed(board: Board) -> bool:
    """Say whether everything for the job is done, whether its board is still kept or only its history is."""
    return board.phase_in == _CLOSED or (bool(board.timeline) and board.timeline[-1].partition(" ")[2] == _CLOSED)


def as_json(boards: Sequence[Board], *, single: bool) -> str:
    """Write boards as JSON: one object for one job asked for, else a list."""
    objects = [{**asdict(board), "timeline": list(_timeline(board))} for board in boards]
    return json.dumps(objects[0] if single else objects, indent=2) + "\n"


def as_text(boards: Sequence[Board]) -> str:
    """Write boards for people, each with its timeline when there is only one."""
    if not boards:
        return "no job is staging\n"
    lines = []
    for board in boards:
        lines.append(f"job {board.job_id}  {progress(board).removeprefix('amlfs: ')}")
        if len(boards) == 1:
            lines += [f"  {it['at']}  {it['word']:<16} {it['detail']}".rstrip() for it in _timeline(board)]
    return "\n".join(lines) + "\n"


def _timeline(board: Board) -> Iterable[dict[str, str]]:
    for line in board.timeline:
        stamp, _, rest = line.partition(" ")
        word, _, detail = rest.partition(": ")
        yield {"at": datetime.fromtimestamp(int(stamp), UTC).isoformat(), "word": word, "detail": detail}
