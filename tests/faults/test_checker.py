"""A run's checks catch what they are for: each planted fault is told as the invariant that it breaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from slurm_amlfs.emulator.faults import Fault, Name
from tests.faults.ground import Ground, Shared
from tests.faults.job import Job
from tests.faults.model_slurm import ModelSlurm
from tests.faults.plan import NAMES, NOT_GRANTED, Happening, Plan, plan_of
from tests.faults.plants import PLANTS
from tests.faults.promises import Violation, called, check_exported
from tests.faults.running import Outcome, run

_AT_ONCE = 8

Run = Future[Outcome]


def calm() -> Plan:
    """Plan a run in which nothing happens to anybody: jobs with data in and out, and one that asks too much."""
    return _plan(
        Job(1, ("stage_in prefix=/in/a/", "stage_out prefix=/jobs/1/"), run_seconds=0.3),
        Job(2, ("stage_in prefix=/others/",), fails=True, forbidden=True),
        Job(3, ("stage_in prefix=/in/b/",)),
    )


def held() -> Plan:
    """Plan the same in hold mode."""
    return replace(calm(), mode="hold")


def unlucky() -> Plan:
    """Plan a run in which the first imports fail."""
    fails = Happening(0.0, "fault", fault=Fault(Name.FAIL, "import", 3))
    jobs = (Job(number, (f"stage_in prefix=/in/{folder}/",)) for number, folder in enumerate("abc", 1))
    return _plan(*jobs, happenings=(fails,), lasts_seconds=8.0)


def taken() -> Plan:
    """Plan a run in which somebody else's import holds the slot for a while."""
    stall = Happening(0.0, "fault", fault=Fault(Name.STALL, "import", 1, seconds=6.0))
    other = Happening(0.05, "portal")
    plan = _plan(Job(1, ("stage_in prefix=/in/a/",)), happenings=(stall, other), lasts_seconds=7.0)
    return replace(plan, told=(3, "portal-50"))


def unheard() -> Plan:
    """Plan a run in which a job begins and ends while the daemon is down, and Slurm has lost it when it is back."""
    down, lost = Happening(0.0, "down", seconds=3600.0), Happening(1.2, "vanish", job_id=1)
    return _plan(Job(1, ("stage_out prefix=/jobs/1/",)), happenings=(down, lost), lasts_seconds=1.5)


def brief() -> Plan:
    """Plan a run in which a job that is held starts, ends and is forgotten by Slurm between two looks."""
    return replace(_plan(Job(1, ("stage_out prefix=/jobs/1/",), forgotten=True)), mode="hold")


def hung() -> Plan:
    """Plan a run in which the daemon hangs until the one that stood by has taken over, and goes on then."""
    hangs = Happening(0.5, "hang", seconds=1.5)
    jobs = (Job(number, (f"stage_in prefix=/in/{folder}/",)) for number, folder in enumerate("ab", 1))
    return replace(_plan(*jobs, happenings=(hangs,), lasts_seconds=7.0), standby=True)


def silent() -> Plan:
    """Plan a run in which Lustre does not answer for a while."""
    hangs = Happening(0.0, "fault", fault=Fault(Name.HANGING, blobs=("*in/a/*",)))
    plan = _plan(Job(1, ("stage_in prefix=/in/a/",)), happenings=(hangs,), lasts_seconds=8.0)
    return replace(plan, told=("g", "does not answer since"))


def _plan(*jobs: Job, happenings: tuple[Happening, ...] = (), lasts_seconds: float = 0.0) -> Plan:
    inputs = {**dict.fromkeys(NAMES, b"some bytes" * 100), NOT_GRANTED: b"nobody's"}
    # Not before the first thing that happens has happened.
    arrivals = tuple((0.1 if happenings else 0.0, job) for job in jobs)
    return Plan(0, "arm", 1 << 30, inputs, arrivals, happenings, lasts_seconds=lasts_seconds)


_PLANS: dict[str, Callable[[], Plan]] = {
    "open a gate before the proof": held,
    "overlook others": taken,
    "fail the others": unlucky,
    "forget what came": unheard,
    "believe records alone": brief,
    "act on and on": hung,
    "wait for Lustre": silent,
}
"""Where a planted fault shows, if not in a calm run."""

_PLANS_ALONE = (calm, held, taken, unlucky, unheard, brief, hung, silent)


@pytest.fixture(scope="module")
def runs(shared: Shared) -> Iterator[dict[str, Run]]:
    """A run with each fault, and of each plan one without, all under way."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        alone = {plan.__name__: pool.submit(run, shared, plan(), name=f"plan-{plan.__name__}") for plan in _PLANS_ALONE}
        planted = {
            plant: pool.submit(
                run, shared, _PLANS.get(plant, calm)(), name=f"plant-{re.sub('[^a-z]+', '-', plant)}", plant=plant
            )
            for plant in PLANTS
        }
        yield alone | planted
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("plan", [plan.__name__ for plan in _PLANS_ALONE])
def test_a_run_without_a_planted_fault_is_well(plan: str, runs: dict[str, Run]) -> None:
    """Else the others would prove nothing."""
    assert not runs[plan].result().broken


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_caught(plant: str, runs: dict[str, Run]) -> None:
    """By the invariant or promise that it breaks, also where a later one would be broken by it too."""
    broken = runs[plant].result().broken
    assert broken.startswith(f"Violation: {called(PLANTS[plant][1])}: "), broken


@pytest.mark.parametrize(("place", "will_do"), [("running", False), ("out", True)])
def test_an_older_version_is_exported_only_if_it_was_there_when_that_began(
    place: str, *, will_do: bool, tmp_path: Path
) -> None:
    """What a job writes before its end has to go out; what somebody writes later may come too late."""
    old = b"as the job wrote it"
    blob = SimpleNamespace(exists=lambda: True, download_blob=lambda: SimpleNamespace(readall=lambda: old))
    there = SimpleNamespace(mount=tmp_path, blobs=SimpleNamespace(get_blob_client=lambda _: blob))
    ground = cast("Ground", there)
    job = Job(1, ("stage_out prefix=/jobs/1/",), place=place, files={"out": old})
    ModelSlurm(ground, {}).rewrite(job)
    if will_do:
        check_exported(ground, job)
    else:
        with pytest.raises(Violation, match="is older in Blob"):
            check_exported(ground, job)


def test_a_seed_always_gives_the_same_plan() -> None:
    """What failed can be tried again."""
    assert plan_of(7) == plan_of(7)
    assert plan_of(7) != plan_of(8)
