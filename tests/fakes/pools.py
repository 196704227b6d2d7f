"""Pools in memory."""

from __future__ import annotations

from collections.abc import Sequence

from slurm_amlfs.domain.capacity import Pool
from slurm_amlfs.errors import AmlfsError


class FakePools:
    """The PoolsPort over a tuple. `posts` counts what was written, `faults` are raised by the next posts, one each."""

    def __init__(self) -> None:
        self.pools: tuple[Pool, ...] = ()
        self.posts = 0
        self.faults: list[AmlfsError] = []

    def posted(self) -> tuple[Pool, ...]:
        """Read the pools."""
        return self.pools

    def post(self, pools: Sequence[Pool]) -> None:
        """Replace the pools."""
        if self.faults:
            raise self.faults.pop(0)
        self.pools = tuple(pools)
        self.posts += 1

    def remove(self) -> None:
        """Remove the pools."""
        self.pools = ()
