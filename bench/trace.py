"""Synthetic jobs for the simulation of the slot: seeded, so that the same numbers give the same jobs.

A job wants a prefix of some blobs. Sizes are lognormal; some jobs choose among shared prefixes, whose popularity
follows Zipf's law. Jobs come at random over a span that loads the slot as asked: what is asked is the time that the
distinct prefixes take, each with one overhead, as a part of the span.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

WEIGHTS = (1.0, 1.0, 2.0, 4.0)
"""What the priorities of jobs come to; half of them have the least."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job that begins to wait: when, for which prefix of how many blobs, and how much its wait weighs."""

    at: float
    prefix: str
    blobs: int
    weight: float
    exports: bool = False
    flood: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """What a site's jobs are like.

    `shared` is the part of jobs that choose among `popular` prefixes; `burst` the part that one user submits within a
    minute, in the middle; `exports` the part that asks for an export as well. `load` counts the overheads, unless
    `load_of_work` says that it means the work alone; then turns of one prefix each would be more than the slot can do.
    """

    name: str
    jobs: int = 2000
    median_blobs: float = 5000.0
    sigma: float = 2.0
    shared: float = 0.5
    popular: float = 0.1
    zipf: float = 1.1
    load: float = 0.7
    overhead_seconds: float = 5.0
    blobs_per_second: float = 2000.0
    burst: float = 0.0
    exports: float = 0.0
    load_of_work: bool = False


def arrivals(site: Site, seed: int) -> list[Arrival]:
    """Make a site's jobs, in the order of their arrival."""
    rng = random.Random(f"{site.name} {seed}")  # noqa: S311 - a synthetic trace, no secret
    popular = [_size(site, rng) for _ in range(max(1, int(site.jobs * site.popular)))]
    odds = [1 / rank**site.zipf for rank in range(1, len(popular) + 1)]
    wanted: list[tuple[str, int, bool]] = []
    for number in range(site.jobs):
        if rng.random() < site.shared:
            [rank] = rng.choices(range(len(popular)), odds)
            wanted.append((f"/shared/{rank}/", popular[rank], False))
        else:
            wanted.append((f"/own/{number}/", _size(site, rng), False))
        if rng.random() < site.exports:
            wanted.append((f"/out/{number}/", _size(site, rng), True))
    rng.shuffle(wanted)
    distinct = {prefix: blobs for prefix, blobs, _ in wanted}
    overhead = 0.0 if site.load_of_work else site.overhead_seconds
    seconds = sum(overhead + blobs / site.blobs_per_second for blobs in distinct.values())
    span = seconds / site.load
    burst = int(len(wanted) * site.burst)
    moments = [rng.random() * span for _ in wanted[burst:]] + [span / 2 + rng.random() * 60 for _ in range(burst)]
    flood = [False] * (len(wanted) - burst) + [True] * burst
    made = [
        Arrival(at, prefix, blobs, 1.0 if is_flood else rng.choice(WEIGHTS), exports, is_flood)
        for at, (prefix, blobs, exports), is_flood in zip(moments, wanted, flood, strict=True)
    ]
    return sorted(made, key=lambda it: (it.at, it.prefix))


def _size(site: Site, rng: random.Random) -> int:
    return max(1, int(math.exp(rng.gauss(math.log(site.median_blobs), site.sigma))))
