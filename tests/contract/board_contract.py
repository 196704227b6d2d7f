"""What every BoardPort keeps. A subclass gives the fixtures `port` and `shown`, which reads a board as Lua does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from slurm_amlfs.application.ports import BoardPort
from slurm_amlfs.wire import Answer, Board

BOARD = Board(
    7,
    61001,
    "epoch-1",
    token_in="1-2",  # noqa: S106 - names an ask, opens nothing
    phase_in="importing",
    message='waits for "the slot"\n%',
    files_done=3,
    files_total=9,
    updated=1000,
    env=("AMLFS_MOUNT=/lustre",),
    timeline=("1000 submitted",),
)
Shown = Callable[[int], Board | None]


class BoardContract:
    """The promises of the BoardPort."""

    def test_what_is_posted_is_shown(self, port: BoardPort, shown: Shown) -> None:
        """A board is read as it was posted, and replaced whole."""
        port.post(BOARD)
        assert shown(7) == BOARD
        done = replace(BOARD, answer_in=Answer.DONE, message="", updated=1001)
        port.post(done)
        assert shown(7) == done

    def test_unchanged_is_not_written(self, port: BoardPort, shown: Shown) -> None:
        """Nothing but a new time is nothing new."""
        port.post(BOARD)
        port.post(replace(BOARD, updated=2000))
        assert shown(7) == BOARD

    def test_remove(self, port: BoardPort, shown: Shown) -> None:
        """A board goes; gone is success; posted again it is there."""
        port.post(BOARD)
        port.post(replace(BOARD, job_id=12))
        assert port.posted() == (7, 12)
        port.remove(7)
        port.remove(7)
        assert port.posted() == (12,)
        assert shown(7) is None
        port.post(BOARD)
        assert shown(7) == BOARD
