"""A plan run on a ground of its own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from tests.faults.ground import Ground, Shared
from tests.faults.plan import Plan
from tests.faults.scenes import FAST
from tests.faults.settings import Settings
from tests.faults.storm import Storm


@dataclass(frozen=True)
class Outcome:
    """How a run went: what was `broken`, "" if nothing, with the end of the log; how often a daemon died or was ended.

    `takeovers` are those deaths after which the one that stood by went on.
    """

    broken: str
    deaths: int
    takeovers: int


def run(shared: Shared, plan: Plan, *, name: str = "", plant: str = "") -> Outcome:
    """Run a plan, with a fault planted in the daemon if one is named."""
    options = (*FAST, f"--capacity-bytes={plan.capacity_bytes}")
    settings = Settings(export_by=plan.export_by, mode=plan.mode, lustre_seconds=2.0)
    ground = Ground(shared, name or f"seed-{plan.seed}", settings=settings, emulator_options=options)
    daemons, broken = ground.daemons, ""
    daemons.plant = plant
    try:
        with ground.running(), closing(Storm(ground, plan)) as storm:
            storm.blow()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told with its seed
        broken = f"{type(error).__name__}: {error}\n{daemons.said()}"
    finally:
        ground.remove()
    return Outcome(broken, daemons.deaths, daemons.takeovers)
