"""How long jobs wait for their data: what every policy of the simulation gives, and what its figures are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.trace import Arrival, Site

TURN_SECONDS = 60.0
"""The longest turn that a site's slot has."""

PATIENCE = 10.0
"""What no job is to wait longer than: so many times its own import alone, and as many turns."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a job waited for its data, how much that weighs, and what its own import alone would have taken."""

    seconds: float
    weight: float
    alone_seconds: float
    flood: bool = False


def wait(site: Site, job: Arrival, end: float) -> Wait:
    """Say how long a job waited whose data was there at `end`."""
    return Wait(end - job.at, job.weight, alone_seconds(site, job), job.flood)


def alone_seconds(site: Site, job: Arrival) -> float:
    """Give what the import of a job's prefix takes when nobody else uses the slot."""
    return site.overhead_seconds + work_seconds(site, job)


def work_seconds(site: Site, job: Arrival) -> float:
    """Give the same without the overhead of a turn."""
    return job.blobs / site.blobs_per_second


def mean_weighted(waits: Sequence[Wait]) -> float:
    """Give the mean of the waits, each counted by its weight."""
    return sum(it.seconds * it.weight for it in waits) / sum(it.weight for it in waits)


def longest(waits: Iterable[Wait]) -> float:
    """Give the longest wait as a part of what no job is to exceed; 0 of no waits."""
    return max((it.seconds / (PATIENCE * (it.alone_seconds + TURN_SECONDS)) for it in waits), default=0.0)
