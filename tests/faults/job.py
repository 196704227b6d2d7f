"""A job of the model Slurm."""

from __future__ import annotations

from dataclasses import dataclass, field

ALICE = 61001
"""Who has all jobs."""


@dataclass
class Job:
    """A job as Slurm has it.

    `place` is where it is: pending, staging, staged, held, running, out, over or purged. `fails` says that its stage-in
    is to fail, `forbidden` because nobody was granted it. `files` are the bytes of what it wrote last, by path, `older`
    other ones that were there when its export may have begun. `lost` is where it was when Slurm lost its record, as it
    does at the end of one that is `forgotten`, in hold mode. `unheard` says that hooks of it have asked for something
    while no daemon ran.
    """

    job_id: int
    lines: tuple[str, ...]
    run_seconds: float = 0.0
    code: int = 0
    fails: bool = False
    requeues: int = 0
    forbidden: bool = False
    interactive: bool = False
    forgotten: bool = False
    place: str = "pending"
    token: str = ""
    asked: float = 0.0
    until: float = 0.0
    again: bool = False
    held: bool = False
    runs: int = 0
    restarts: int = 0
    hurried: bool = False
    submitted: int = 0
    comment: str = ""
    lost: str = ""
    unheard: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    older: dict[str, list[bytes]] = field(default_factory=dict)
    inputs: dict[str, bytes] = field(default_factory=dict)

    def words(self, direction: str) -> list[str]:
        """List the prefixes of a direction."""
        lines = [line for line in self.lines if line.startswith(direction)]
        return [line.partition("prefix=")[2].split()[0] for line in lines]

    @property
    def imports(self) -> list[str]:
        """List the prefixes that come in."""
        return self.words("stage_in")

    @property
    def exports(self) -> list[str]:
        """List the prefixes that go out."""
        return self.words("stage_out")

    def wanted_out(self, *, ended_well: bool) -> bool:
        """Say whether an end of the job is one whose outputs go out."""
        text = " ".join(line for line in self.lines if line.startswith("stage_out"))
        return not ("on=success" in text and not ended_well) and not ("on=failure" in text and ended_well)
