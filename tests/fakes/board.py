"""Boards in memory."""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.wire import Board, Site


class FakeBoard:
    """The BoardPort over a dict. `posts` counts what was really replaced."""

    def __init__(self) -> None:
        self.boards: dict[int, Board] = {}
        self.site: Site | None = None
        self.asks: dict[int, str] = {}
        self.posts = 0

    def post(self, board: Board) -> None:
        """Replace a job's board unless nothing but `updated` is new."""
        old = self.boards.get(board.job_id)
        if old is None or replace(old, updated=board.updated) != board:
            self.boards[board.job_id] = board
            self.posts += 1

    def remove(self, job_id: int) -> None:
        """Remove a job's board."""
        self.boards.pop(job_id, None)

    def posted(self) -> tuple[int, ...]:
        """List the jobs that have a board."""
        return tuple(sorted(self.boards))

    def asked(self, job_id: int) -> str:
        """Read what a hook asked last."""
        return self.asks.get(job_id, "")

    def publish_site(self, site: Site) -> None:
        """Replace the site."""
        self.site = site
