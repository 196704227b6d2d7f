"""What the choice of turns is worth: jobs on a virtual clock, under four policies, ten seeds of each kind of site.

Every mean is over the jobs of all seeds, each by its weight; `worst_seed` is the seed in which we are farthest from
the bound. Four bars are not the same for every site, and each for a reason:

- On a site of many small jobs there is hardly anything to cut: one import of all that waits is itself within a third of
  the bound there, so that no policy can be five times better. The bar is that ours costs no more than 1.05 of it.
- Where one user floods, his own last job waits for all that he asked before, hours of it, under any policy that is fair
  to the others. That no job waits more than ten times its own import and ten turns is a bar for the others' jobs.
- An archive takes one path, so each has a turn of its own. Where a site exports by `lfs hsm_archive` instead, exports
  do not use the slot; `exports_beside` shows the same jobs' imports there.
- What one import per job costs is measured in the same jobs, and 1/50 of it asked only where that is the issue's: it
  waits without end once the load of jobs, shared prefixes counted each time, is more than the slot can do.

The figures at the end, without bars, are for who wants to know where the policy is good and where it is not: other
sizes of jobs, and sites where the load of 0.7 is that of the work alone, without any overhead.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.bound import lower_bound
from bench.picture import draw
from bench.report import RESULTS, Bar, Report, publish
from bench.rivals import merge_everything, one_by_one
from bench.trace import Arrival, Site, arrivals
from bench.virtual import ours
from bench.waits import Wait, longest, mean_weighted

SEEDS = range(10)
BASE = Site("base")
SMALL = Site("small", median_blobs=50)
FLOOD = Site("flood", burst=0.3)
EXPORTS = Site("exports", exports=0.3)
OTHERS = (
    *(Site(f"median_{blobs}", median_blobs=blobs) for blobs in (500, 2000, 20_000)),
    Site("base_load_of_work", load_of_work=True),
    Site("small_load_of_work", median_blobs=50, load_of_work=True),
)
MANY = replace(BASE, name="many", jobs=100_000)

LIMIT_OF_ONE_BY_ONE = 1 / 50
LIMIT_OF_MERGE = 1 / 5
LIMIT_OF_MERGE_SMALL = 1.05
LIMIT_OF_BOUND = 1.6
LIMIT_MANY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The waits of one site: for each seed, those of all its jobs, under each policy."""

    name: str
    ours: Sequence[Sequence[Wait]]
    bound: Sequence[Sequence[Wait]]
    merged: Sequence[Sequence[Wait]]
    one_by_one: Sequence[Sequence[Wait]]

    def ratio(self, other: Sequence[Sequence[Wait]]) -> float:
        """Give our mean as a part of another's."""
        return _mean(self.ours) / _mean(other)

    @property
    def longest_of_others(self) -> float:
        """Give the longest wait of a job that is not of a flood, as a part of what none is to exceed."""
        return longest(it for waits in self.ours for it in waits if not it.flood)

    def figures(self) -> dict[str, float]:
        """Name what was found."""
        by_seed = [mean_weighted(mine) / mean_weighted(best) for mine, best in zip(self.ours, self.bound, strict=True)]
        found = {
            "one_by_one_mean_seconds": _mean(self.one_by_one),
            "merge_mean_seconds": _mean(self.merged),
            "ours_mean_seconds": _mean(self.ours),
            "bound_mean_seconds": _mean(self.bound),
            "over_bound_ratio": self.ratio(self.bound),
            "over_bound_mean_of_seeds_ratio": statistics.mean(by_seed),
            "over_bound_worst_seed_ratio": max(by_seed),
            "longest_of_allowed_ratio": self.longest_of_others,
        }
        flood = [it for waits in self.ours for it in waits if it.flood]
        if flood:
            found["longest_of_flood_of_allowed_ratio"] = longest(flood)
        return {f"{self.name}_{name}": value for name, value in found.items()}

    def bars(self, limit_of_merge: float = LIMIT_OF_MERGE) -> list[Bar]:
        """Hold what was found against the bars."""
        return [
            Bar(f"{self.name}: of one import per job", self.ratio(self.one_by_one), LIMIT_OF_ONE_BY_ONE),
            Bar(f"{self.name}: of merge everything", self.ratio(self.merged), limit_of_merge),
            Bar(f"{self.name}: of the bound", self.ratio(self.bound), LIMIT_OF_BOUND),
            Bar(f"{self.name}: longest wait of what is allowed", self.longest_of_others, 1.0),
        ]

    def of_first_seed(self) -> dict[str, Sequence[Wait]]:
        """Give what a picture shows."""
        return {
            "one import per job": self.one_by_one[0],
            "merge everything": self.merged[0],
            "ours": self.ours[0],
            "lower bound": self.bound[0],
        }


def main() -> int:
    """Run the benchmark and return its exit status."""
    began = time.perf_counter()
    many = Outcome(MANY.name, *([it] for it in _policies(MANY, arrivals(MANY, 0), 0)))
    many_seconds = time.perf_counter() - began
    sites = [_simulate(site) for site in (BASE, SMALL, FLOOD, EXPORTS)]
    beside = _simulate(EXPORTS, "exports_beside", lambda it: not it.exports)
    others = [_simulate(site) for site in OTHERS]
    figures = {"jobs": float(BASE.jobs), "seeds": float(len(SEEDS)), "many_elapsed_seconds": many_seconds}
    bars = [Bar("seconds to simulate 100,000 jobs under all policies", many_seconds, LIMIT_MANY_SECONDS)]
    for outcome in (*sites, beside, many, *others):
        figures |= outcome.figures()
    for outcome in (*sites, beside):
        bars += outcome.bars(LIMIT_OF_MERGE_SMALL if outcome.name == SMALL.name else LIMIT_OF_MERGE)
    RESULTS.mkdir(parents=True, exist_ok=True)
    draw({it.name: it.of_first_seed() for it in sites}, RESULTS / "simulate.png")
    return publish(Report("simulate", figures, bars))


def _simulate(site: Site, name: str = "", chosen: Callable[[Arrival], bool] = bool) -> Outcome:
    found = []
    for seed in SEEDS:
        jobs = [it for it in arrivals(site, seed) if chosen(it)]
        found.append(_policies(site, jobs, seed))
    return Outcome(name or site.name, *zip(*found, strict=True))


def _policies(site: Site, jobs: Sequence[Arrival], seed: int) -> tuple[list[Wait], ...]:
    """Run all policies on the same jobs, in the order of an outcome's fields."""
    return ours(site, jobs, seed), lower_bound(site, jobs), merge_everything(site, jobs), one_by_one(site, jobs)


def _mean(seeds: Sequence[Sequence[Wait]]) -> float:
    return statistics.mean(mean_weighted(waits) for waits in seeds)


if __name__ == "__main__":
    sys.exit(main())
