"""A run's checks catch what they are for: each planted fault is told as the invariant that it breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.ground import Shared
from tests.faults.job import Job
from tests.faults.plan import NAMES, NOT_GRANTED, Plan, plan_of
from tests.faults.plants import PLANTS
from tests.faults.storm import run

_AT_ONCE = 5

Run = Future[tuple[str, int]]


def calm() -> Plan:
    """Plan a run in which nothing happens to anybody: jobs with data in and out, and one that asks too much."""
    jobs = (
        Job(1, ("stage_in prefix=/in/a/", "stage_out prefix=/jobs/1/"), run_seconds=0.3),
        Job(2, ("stage_in prefix=/others/",), fails=True, forbidden=True),
        Job(3, ("stage_in prefix=/in/b/",)),
    )
    inputs = {**dict.fromkeys(NAMES, b"some bytes" * 100), NOT_GRANTED: b"nobody's"}
    arrivals = tuple((0.0, job) for job in jobs)
    return Plan(0, "arm", 1 << 30, inputs, arrivals, happenings=(), lasts_seconds=0.0)


@pytest.fixture(scope="module")
def runs(shared: Shared) -> Iterator[dict[str, Run]]:
    """A run with each fault, and one without, all under way."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {
            plant: pool.submit(
                run, shared, calm(), name="plant-" + re.sub("[^a-z]+", "-", plant or "none"), plant=plant
            )
            for plant in (*PLANTS, "")
        }
        pool.shutdown(cancel_futures=True)


def test_a_run_without_a_planted_fault_is_well(runs: dict[str, Run]) -> None:
    """Else the others would prove nothing."""
    assert runs[""].result() == ("", 0)


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_caught(plant: str, runs: dict[str, Run]) -> None:
    """By the invariant that it breaks, also where a later one would be broken by it too."""
    broken, _ = runs[plant].result()
    assert broken.startswith(f"Violation: invariant {PLANTS[plant][1]}: "), broken


def test_a_seed_always_gives_the_same_plan() -> None:
    """What failed can be tried again."""
    assert plan_of(7) == plan_of(7)
    assert plan_of(7) != plan_of(8)
