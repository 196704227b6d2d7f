"""Whole schedules on a file system too small for all: what is let in fits, and what is least needed gives way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from hypothesis import example, given
from hypothesis import strategies as st

from slurm_amlfs.domain import lease
from slurm_amlfs.domain.ask import Direction, Hydrate
from slurm_amlfs.domain.errand import Errand, Evict, ProveIn
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.prefix import Namespace, reduce
from tests.examples import examples
from tests.unit.domain.model import Model

BLOBS = {f"/t/{one}/{two}/{number}": 100 for one in "abcd" for two in "xy" for number in range(2)}
PREFIXES = ("/t/a/", "/t/a/x/", "/t/a/y/", "/t/b/", "/t/b/", "/t/c/", "/t/c/x/", "/t/d/", "/t/")
ARRIVALS = st.tuples(
    st.integers(0, 120),
    st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=2),
    st.sampled_from([" hydrate=none", "", "", ""]),
    st.sampled_from([0.0, 20.0, 60.0]),
    st.sampled_from([10, 100, 100]),
    st.booleans(),
)


class Tight(Model):
    """A model of 1,000 bytes for 1,600 that watches what is let in and what gives way."""

    def __init__(self) -> None:
        super().__init__(BLOBS, total_bytes=1000)
        self.needed: dict[LeaseKey, datetime] = {}
        self.foreseen_prefix = "-"

    def check(self, errands: Iterable[Errand]) -> None:
        """See that nothing is restored that has no room, and nothing given back that somebody was promised."""
        errands = list(errands)
        super().check(errands)
        for stage in self.records.stages.values():
            if stage.key.direction is Direction.IN and not stage.phase.over:
                self.needed |= dict.fromkeys(lease.keys(Namespace.FLAT, stage.fs, stage.ask), self.now)
        for it in errands:
            if isinstance(it, ProveIn) and it.hydrate is Hydrate.ALL:
                assert self.records.leases[it.lease].let_in, f"{it.lease} is restored and was not let in"
            if isinstance(it, Evict):
                self._may_go(it)
        coming = {path for it in self.records.leases.values() if it.let_in for path in self.under(it.key.prefix)}
        lacking_bytes = sum(self.sizes[it] for it in coming if not self.files.get(it))
        assert lacking_bytes <= self.free_bytes - 50, "more was let in than fits"

    def _may_go(self, errand: Evict) -> None:
        mine = errand.lease.prefix
        promised = [prefix for job_id, prefix in self.needs() if self.is_promised(job_id)]
        pinned = [it.key.prefix for it in self.records.leases.values() if it.pinned]
        assert not [it for it in promised + pinned if overlap(it, mine)], f"{mine} is needed"
        foreseen = [line.split("prefix=")[1] for job in self.queue for line in job.directives]
        wanted = [prefix for _, prefix in self.needs()] + foreseen + pinned
        holding = [it for it in self.records.all_leases() if it.held_bytes and it.key != errand.lease]
        idle = [it for it in holding if not any(overlap(prefix, it.key.prefix) for prefix in wanted)]
        if [it for it in wanted if overlap(it, mine)]:
            assert not idle, f"{mine} gives way before {idle[0].key.prefix}"
        else:
            self._was_needed_first(errand.lease, idle)

    def _was_needed_first(self, key: LeaseKey, idle: list[Lease]) -> None:
        for other in idle:
            # What was only foreseen for a while is known to the minute.
            if not overlap(self.foreseen_prefix, other.key.prefix):
                latest = max(at for it, at in self.needed.items() if overlap(it.prefix, other.key.prefix))
                # One that was refused may have needed it for a moment between two looks.
                latest = max(latest, other.used)
                assert self.needed[key] <= latest, f"{key} was needed after {other.key}"


def overlap(one: str, other: str) -> bool:
    """Say whether two prefixes have paths in common."""
    return one.startswith(other) or other.startswith(one)


NAMES_FIRST = [
    (0, ["/t/a/"], " hydrate=none", 0.0, 10, False),
    (4, ["/t/c/x/"], "", 0.0, 10, False),
    (10, ["/t/a/", "/t/b/"], "", 60.0, 10, False),
    (59, ["/t/a/", "/t/c/"], "", 0.0, 10, False),
    (53, ["/t/a/", "/t/c/x/"], " hydrate=none", 0.0, 10, False),
    (0, ["/t/a/"], " hydrate=none", 0.0, 10, False),
    (1, ["/t/c/"], " hydrate=none", 0.0, 10, False),
]
"""A lease of which a smaller one holds half, though that was not let in again: it was waited for for ever."""


PART_RESTORED = [
    (100, ["/t/c/x/", "/t/a/"], "", 0.0, 100, False),
    (39, ["/t/a/", "/t/c/"], "", 0.0, 100, True),
    (42, ["/t/a/", "/t/c/"], " hydrate=none", 20.0, 100, True),
    (120, ["/t/b/", "/t/c/"], "", 60.0, 100, False),
    (44, ["/t/b/", "/t/c/"], "", 0.0, 100, True),
    (55, ["/t/b/", "/t/a/y/"], "", 60.0, 100, False),
    (100, ["/t/c/x/", "/t/a/"], "", 0.0, 100, False),
]
"""Of what a lease held half was given back, and restored for a smaller one: it was not known to hold all again."""


@examples(40)
@example(PART_RESTORED, "/t/b/", False)  # noqa: FBT003 - drawn
@example(NAMES_FIRST, "/t/b/", True)  # noqa: FBT003 - drawn
@given(st.lists(ARRIVALS, max_size=7), st.sampled_from(PREFIXES), st.booleans())
def test_whatever_comes_fits_gives_way_or_waits_until_it_does(
    arrivals: list[tuple[int, list[str], str, float, int, bool]],
    foreseen: str,
    foresees: bool,  # noqa: FBT001 - drawn
) -> None:
    """Let in is what has room; the bytes needed longest ago go first; and all whose bytes can ever fit are served."""
    model = Tight()
    model.foreseen_prefix = foreseen if foresees else "-"
    if foresees:
        model.foresee(99, foreseen)
    for passed in range(121):
        for number, (after, prefixes, manner, seconds, priority, apart) in enumerate(arrivals, start=1):
            if after == passed:
                model.running_seconds = seconds
                words = [f"prefix={it}" for it in prefixes]
                lines = words if apart else [" ".join(words)]
                model.come(number, *(f"stage_in {it}{manner}" for it in lines), priority=priority)
        model.step()
    model.queue = []
    model.run_all(3000)

    sizes = {number: len(reduce_all(it[1])) for number, it in enumerate(arrivals, 1) if "none" not in it[2]}
    large = {number for number, size in sizes.items() if size * 100 > 950}
    assert {number for number, where in model.phases().items() if where == "held"} == large


def reduce_all(prefixes: list[str]) -> list[str]:
    """List the blobs under prefixes."""
    return [path for path in BLOBS if path.startswith(tuple(reduce(Namespace.FLAT, prefixes)))]
