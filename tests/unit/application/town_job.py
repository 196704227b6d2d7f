"""A job of the model town, as its Slurm has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from slurm_amlfs.domain.view import JobView

ALICE = 61001
BAD = "/in/bad/"
"""A prefix whose import always fails."""


@dataclass
class TownJob:
    """A job as Slurm has it. `place` is where it is: pending, staging, staged, held, running, out, over or purged."""

    job_id: int
    lines: tuple[str, ...]
    place: str = "pending"
    token: str = ""
    again: bool = False
    held: bool = False
    code: int = 0
    runs: int = 0
    dropped: bool = False
    forgotten: bool = False
    written: set[str] = field(default_factory=set)

    @property
    def imports(self) -> list[str]:
        """List the prefixes that come in."""
        lines = [line for line in self.lines if line.startswith("stage_in")]
        return [word.split()[0] for line in lines for word in line.split("prefix=")[1:]]

    @property
    def exports(self) -> bool:
        """Say whether something is to go out."""
        return any(line.startswith("stage_out") for line in self.lines)

    @property
    def folder(self) -> str:
        """Name the job's own folder."""
        return f"/jobs/{self.job_id}/"

    def wanted_out(self) -> bool:
        """Say whether this end of the job is one whose outputs go out."""
        [line] = [line for line in self.lines if line.startswith("stage_out")]
        return not ("on=success" in line and self.code) and not ("on=failure" in line and not self.code)

    def view(self) -> JobView:
        """Show the job as squeue does."""
        # The requeue drops STAGE_OUT, and data_out waits nonetheless (seen on 22.05).
        out = "PENDING" if self.again else "STAGE_OUT"
        states = {"running": "RUNNING", "out": out, "over": "CANCELLED" if self.code else "COMPLETED"}
        bb_states = {"staging": "staging-in", "staged": "staged-in"}
        return JobView(
            self.job_id,
            ALICE,
            states.get(self.place, "PENDING"),
            bb_state=bb_states.get(self.place, ""),
            exit_code=self.code if self.place in {"out", "over"} and not self.again else 0,
            held=self.held,
        )
