"""How urgent an errand is that walks whole trees. Of those that wait for a thread the most urgent goes first."""

from __future__ import annotations

from typing import NamedTuple


class Rank(NamedTuple):
    """What a job waits for goes before what is only foreseen; then the higher of Slurm's priorities goes first."""

    foreseen: bool = False
    priority: int = 0


FIRST = Rank(priority=1 << 32)
"""Before every job's: Slurm's priorities have 32 bits (slurm.h: job_info, priority)."""
