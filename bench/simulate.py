"""What the choice of turns is worth: jobs on a virtual clock, under four policies, ten seeds of each kind of site.

A mean wait is that of a seed's jobs, each by its weight, and then the mean over the seeds; `worst_seed` is the seed in
which we are farthest from the bound. The choice was tuned on other seeds (100 to 199). Three sites have other bars:

- On a site of many small jobs there is hardly anything to cut or to put off: one import of all that waits is itself
  within 1.4 times the bound there, so no policy can be five times better. Ours may cost 1.05 of it.
- Where one user floods, his own last job waits for all that he asked before, hours of it, under any policy that is fair
  to the others. That nobody waits more than ten times his own import and ten turns is a bar for the others' jobs only.
- An archive takes one path, so each has a turn of its own that nothing can share or interrupt, while the bound has
  every import for nothing and every archive interrupted at any moment. How far we are from that bound is a figure
  there; a bar holds for `exports_beside`, the imports of the same jobs on a site that exports by `lfs hsm_archive`.

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

    def bars(self) -> list[Bar]:
        """Hold what was found against the bars."""
        of_merge = LIMIT_OF_MERGE_SMALL if self.name == SMALL.name else LIMIT_OF_MERGE
        found = [
            Bar(f"{self.name}: of one import per job", self.ratio(self.one_by_one), LIMIT_OF_ONE_BY_ONE),
            Bar(f"{self.name}: of merge everything", self.ratio(self.merged), of_merge),
            Bar(f"{self.name}: longest wait of what is allowed", self.longest_of_others, 1.0),
        ]
        if self.name != EXPORTS.name:
            found.append(Bar(f"{self.name}: of the bound", self.ratio(self.bound), LIMIT_OF_BOUND))
        return found

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
    figures: dict[str, float] = {"jobs": BASE.jobs, "seeds": len(SEEDS), "many_elapsed_seconds": many_seconds}
    bars = [Bar("seconds to simulate 100,000 jobs under all policies", many_seconds, LIMIT_MANY_SECONDS)]
    for outcome in (*sites, beside, many, *others):
        figures |= outcome.figures()
    for outcome in (*sites, beside):
        bars += outcome.bars()
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
