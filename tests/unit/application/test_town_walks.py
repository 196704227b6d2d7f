"""Long walks through the town, each with its own kind of trouble, the same every time.

Where hypothesis looks for the shortest way into trouble (test_town.py), these go far: whole lives of many jobs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType

import pytest

from slurm_amlfs.domain.world import ExportBy
from tests.examples import seeds
from tests.unit.application.town import LargeTown, Town
from tests.unit.application.town_job import BAD, TownJob

LINES = (
    ("stage_in prefix=/in/a/ release=yes", "stage_out prefix=OWN"),
    ("stage_in prefix=/in/a/ release=yes",),
    ("stage_in prefix=/in/b/ conflict=overwrite-always", "stage_out prefix=OWN on=success"),
    ("stage_in prefix=/in/a/ prefix=/in/b/", "stage_out prefix=OWN release=no"),
    (f"stage_in prefix={BAD} max_errors=0", "stage_out prefix=OWN"),
    ("stage_in prefix=/in/b/ max_errors=0",),
    ("stage_in prefix=/in/b/ refresh=yes", "stage_out prefix=OWN"),
    ("stage_in prefix=/in/b/ refresh=yes",),
    ("stage_in prefix=/in/a/ refresh=yes conflict=skip",),
    ("stage_out prefix=OWN",),
    ("stage_out prefix=OWN on=failure",),
)

CALM = {"submit": 4, "all_goes_well": 20, "errand": 4, "job_ends": 3}
TROUBLES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "none": {},
        "requeues and cancels": {"requeue": 6, "scancel": 2, "slurm": 10, "turn": 6, "look_begin": 3, "look_end": 3},
        "inbox full": {"deaf": 3, "requeue": 5, "scancel": 1, "slurm": 8, "turn": 4, "look_begin": 2, "look_end": 2},
        "daemon dies": {"die": 2, "die_in_pass": 2, "die_after_errand": 3, "turn": 4},
        "slurmctld restarts": {"restart": 2, "release": 2, "stage_held": 2, "slurm": 5, "turn": 4, "clear_space": 3},
        "azure": {"end_badly": 4, "refuse": 5, "hold_slot": 2, "look_at_slot": 3, "turn": 4, "mount": 1},
        "blobs change": {"change_blob": 8, "slurm": 8, "turn": 6, "look_begin": 3, "look_end": 3, "requeue": 3},
        "database lost": {"lose_database": 1, "requeue": 3, "slurm": 5, "turn": 3, "look_begin": 2, "look_end": 2},
    }
)


class Walk:
    """One walk: what it may do, by name, and what it draws."""

    def __init__(self, seed: int, make: type[Town] = Town, export_by: ExportBy = ExportBy.ARM) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - no secret
        self.town = make(export_by)
        self.most_jobs = self.draw.choice([2, 4, 8])
        self.slow = self.draw.choice([0.0, 0.5, 1.0])
        town, draw = self.town, self.draw
        self.steps: dict[str, Callable[[], object]] = {
            "submit": self.submit,
            "all_goes_well": self.all_goes_well,
            "errand": lambda: self.errand(town.work),
            "die_after_errand": lambda: self.errand(town.work_unreported),
            "die": town.begin,
            "die_in_pass": lambda: town.turn(dies_after_save=True),
            "lose_database": town.lose_database,
            "job_ends": lambda: self.job(lambda job: town.end(job, draw.choice([0, 1])), "running"),
            "requeue": lambda: self.job(lambda job: town.end(job, 0, again=True), "running"),
            "scancel": lambda: self.job(lambda job: town.cancel(job, hurry=draw.random() < 0.4), *ALIVE),
            "slurm": lambda: self.job(town.go_on, "pending", "staging", "staged", "running", "out", "over"),
            "restart": town.restart_slurmctld,
            "release": lambda: self.job(town.release, "held", "staging"),
            "stage_held": lambda: self.job(town.stage, "held"),
            "turn": town.turn,
            "look_begin": town.look_begin,
            "look_end": town.look_end,
            "look_at_slot": town.look_at_slot,
            "end_badly": lambda: town.end_transfer(well=False),
            "refuse": lambda: town.refuse(after_taking=draw.random() < 0.5),
            "hold_slot": town.hold_slot,
            "mount": self.mount,
            "deaf": self.deafen,
            "clear_space": town.clear_space,
            "change_blob": lambda: town.change_blob(draw.randrange(100)),
            "archives_end": lambda: town.lustre.finish_archives(draw.choice([1, 99])),
        }

    def submit(self) -> None:
        """Submit a job that Slurm begins to stage."""
        if len(self.town.jobs) < self.most_jobs:
            self.town.stage(self.town.submit(*self.draw.choice(LINES)))

    def all_goes_well(self) -> None:
        """Let everything come forward by a step."""
        self.town.go_well(slow=self.draw.random() < self.slow, jobs_go_on=self.draw.random() < 0.5)

    def errand(self, do: Callable[..., None]) -> None:
        """Do one of the errands under way."""
        if self.town.running:
            do(self.draw.choice(list(self.town.running.values())))

    def job(self, do: Callable[[TownJob], object], *places: str) -> None:
        """Do something with a job that is at one of these places."""
        if there := [job for job in self.town.jobs.values() if job.place in places]:
            do(self.draw.choice(there))

    def mount(self) -> None:
        """Let the mount go, or come back."""
        self.town.lustre.is_mounted = not self.town.lustre.is_mounted

    def deafen(self) -> None:
        """Let the inbox be full, or take again."""
        self.town.deaf = not self.town.deaf

    def go(self, trouble: Mapping[str, float], steps: int) -> None:
        """Walk, check after each step, and settle."""
        weights = CALM | dict(trouble)
        for name in self.draw.choices(list(weights), list(weights.values()), k=steps):
            self.town.now += timedelta(seconds=self.draw.choice([0.1, 1, 20]))
            self.steps[name]()
            self.town.check()
        self.town.be_kind()


ALIVE = ("pending", "staging", "staged", "held", "running", "out")


@pytest.mark.parametrize("seed", seeds(25))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_whatever_happens_all_settles(trouble: str, seed: int) -> None:
    """After every step the invariants hold; when the world is kind again, every duty settles, once."""
    Walk(seed).go(TROUBLES[trouble], steps=100)


@pytest.mark.parametrize("seed", seeds(10))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_listed_part_by_part_settles_too(trouble: str, seed: int) -> None:
    """Where listings end at their bound, and each prefix is brought in by many imports, the same holds."""
    Walk(seed, LargeTown).go(TROUBLES[trouble], steps=100)


@pytest.mark.parametrize("make", [Town, LargeTown])
def test_all_troubles_at_once(make: type[Town]) -> None:
    """The same with everything together."""
    everything = {name: weight for trouble in TROUBLES.values() for name, weight in trouble.items()}
    for seed in seeds(25):
        Walk(seed, make).go(everything, steps=150)


@pytest.mark.parametrize("seed", seeds(8))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_whatever_happens_exports_by_hsm_settle(trouble: str, seed: int) -> None:
    """The same where Lustre archives file by file, and dies or is rewritten in between."""
    Walk(seed, export_by=ExportBy.HSM).go({**TROUBLES[trouble], "archives_end": 4}, steps=100)
