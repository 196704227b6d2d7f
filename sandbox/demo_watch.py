"""Show how far a job is, a line whenever there is news, as long as it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.site import Site
from slurm_amlfs.entrypoints import status
from slurm_amlfs.errors import UserError
from slurm_amlfs.wire import Board

LOOK_SECONDS = 0.25
LONGEST_SECONDS = 50.0
PERCENT_STEP = 10
"""A line for each tenth."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look shows: the job and its node by Slurm, the rest by the job's board."""

    job_state: str
    reason: str
    node: str
    phase: str
    percent: int
    files: str

    def line(self, seconds: float) -> str:
        """Write it for people."""
        slurm = f"{self.job_state} {self.reason}" if self.reason.startswith("BurstBuffer") else self.job_state
        progress = f"{self.percent:3} % {self.files}" if self.files else ""
        return f"  {seconds:5.1f} s  {slurm:<28}  node {self.node:<10}  {self.phase:<20} {progress}".rstrip()


def follow(site: Site, job: int) -> Iterator[Sight]:
    """Yield each sight that differs from the one before, until the daemon has closed the job.

    Raises:
        TimeoutError: it goes on for too long.
    """
    started = time.monotonic()
    last: Sight | None = None
    while True:
        board = _board(site, job)
        sight = _look(site, job, board)
        if sight != last:
            yield sight
            last = sight
        if board is not None and any(line.split(" ", 1)[1].startswith("closed") for line in board.timeline):
            return
        if time.monotonic() - started > LONGEST_SECONDS:
            raise TimeoutError(f"job {job} is not done after {LONGEST_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)


def _board(site: Site, job: int) -> Board | None:
    try:
        (board,) = status.read(site.state_dir, job)
    except UserError:
        return None
    return board


def _look(site: Site, job: int, board: Board | None) -> Sight:
    # The node first: what is still pending after that had no part in what the node was doing.
    node = site.run(None, ["sinfo", "-h", "-o", "%T"]).strip()
    record = site.job(job)
    slurm = (record["JobState"], record["Reason"], node)
    if board is None:
        return Sight(*slurm, "", 0, "")
    if board.phase_in == "closed":
        return Sight(*slurm, "closed", 0, "")
    out = board.phase_out if board.phase_out not in {"", "declared"} else ""
    phase = f"stage-out: {out}" if out else f"stage-in: {board.phase_in}"
    if not board.files_total:
        return Sight(*slurm, phase, 0, "")
    percent = 100 * board.files_done // board.files_total // PERCENT_STEP * PERCENT_STEP
    return Sight(*slurm, phase, percent, f"of {board.files_total} files")
