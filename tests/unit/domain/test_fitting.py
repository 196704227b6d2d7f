"""Whole schedules on a file system that is too small for all: what is let in fits, and what nobody needs gives way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from slurm_amlfs.domain import lease
from slurm_amlfs.domain.ask import Direction, Hydrate
from slurm_amlfs.domain.errand import Errand, Evict, ProveIn
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.riding import NEEDS
from tests.unit.domain.model import Model

BLOBS = {f"/t/{one}/{two}/{number}": 100 for one in "abcd" for two in "xy" for number in range(2)}
PREFIXES = ("/t/a/", "/t/a/x/", "/t/a/y/", "/t/b/", "/t/b/", "/t/c/", "/t/c/x/", "/t/d/", "/t/")


class Tight(Model):
    """A model of 1,000 bytes for 1,600 that watches what is let in and what gives way."""

    def __init__(self) -> None:
        super().__init__(BLOBS, total_bytes=1000)
        self.needed: dict[LeaseKey, datetime] = {}
        self.foreseen_prefix = "-"

    def check(self, errands: Iterable[Errand]) -> None:
        """See that nothing is restored that has no room, and nothing given back that somebody needs."""
        errands = list(errands)
        super().check(errands)
        for it in errands:
            if isinstance(it, ProveIn) and it.hydrate is Hydrate.ALL:
                assert self.records.leases[it.lease].let_in, f"{it.lease} is restored and was not let in"
            if isinstance(it, Evict):
                self._may_go(it)
        coming = {path for it in self.records.leases.values() if it.let_in for path in self.under(it.key.prefix)}
        lacking_bytes = sum(self.sizes[it] for it in coming if not self.files.get(it))
        assert lacking_bytes <= self.free_bytes - 50, "more was let in than fits"
        for stage in self.records.stages.values():
            if stage.key.direction is Direction.IN and stage.phase in NEEDS:
                self.needed |= dict.fromkeys(lease.keys(Namespace.FLAT, stage.fs, stage.ask), self.now)

    def _may_go(self, errand: Evict) -> None:
        foreseen = [line.split("prefix=")[1] for job in self.queue for line in job.directives]
        pinned = [it.key.prefix for it in self.records.leases.values() if it.pinned]
        needed = [prefix for _, prefix in self.needs()] + foreseen + pinned
        mine = errand.lease.prefix
        assert not [it for it in needed if overlap(it, mine)], f"{mine} is needed"
        others = [it for it in self.needed if any(map(self.files.get, self.under(it.prefix)))]
        for other in others:
            # What was only foreseen for a while is known to the minute.
            if not [it for it in [*needed, self.foreseen_prefix] if overlap(it, other.prefix)]:
                latest = max(at for key, at in self.needed.items() if overlap(key.prefix, other.prefix))
                assert self.needed[errand.lease] <= latest, f"{mine} was needed after {other}"


def overlap(one: str, other: str) -> bool:
    """Say whether two prefixes have paths in common."""
    return one.startswith(other) or other.startswith(one)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 120),
            st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=1),
            st.sampled_from([" hydrate=none", "", "", ""]),
            st.sampled_from([0.0, 20.0, 60.0]),
        ),
        max_size=7,
    ),
    st.sampled_from(PREFIXES),
    st.booleans(),
)
def test_whatever_comes_fits_gives_way_or_waits_until_it_does(
    arrivals: list[tuple[int, list[str], str, float]],
    foreseen: str,
    foresees: bool,  # noqa: FBT001 - drawn
) -> None:
    """Let in is what has room; the bytes needed longest ago go first; and all whose bytes can ever fit are served."""
    model = Tight()
    model.foreseen_prefix = foreseen if foresees else "-"
    if foresees:
        model.foresee(99, foreseen)
    for passed in range(121):
        for number, (after, prefixes, manner, seconds) in enumerate(arrivals, start=1):
            if after == passed:
                model.running_seconds = seconds
                model.come(number, "stage_in" + "".join(f" prefix={it}" for it in prefixes) + manner)
        model.step()
    model.queue = []
    model.run_all(3000)

    large = {number for number, it in enumerate(arrivals, 1) if "/t/" in it[1] and "none" not in it[2]}
    assert {number for number, where in model.phases().items() if where == "held"} == large
