"""The figures of Slurm's pools: what admission itself would let in, in whole granules that Slurm can take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.ask import Ask, Conflict, Direction
from slurm_amlfs.domain.capacity import GRANULE_BYTES, Pool, known_pools, pool
from slurm_amlfs.domain.errand import ProveIn
from slurm_amlfs.domain.foreseeing import foresee
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Namespace, Prefixes, overlaps
from slurm_amlfs.domain.records import Records, Stage, StageKey
from slurm_amlfs.domain.view import QueuedJob, SpaceView
from slurm_amlfs.domain.world import FsRules
from tests.unit.domain.desk import NOON, RULES, Desk

FS = FsRules("amlfs", "/lustre", Namespace.FLAT)
GIB = 1 << 30
SPACE = SpaceView(100 * GIB, 60 * GIB)


def lease(prefix: str, fs: str = "amlfs", **more: object) -> Lease:
    """Make a lease."""
    return replace(Lease(LeaseKey(fs, prefix, Conflict.SKIP, 0), NOON, NOON), **more)  # type: ignore[arg-type]


def stage(prefix: str, phase: Phase, direction: Direction = Direction.IN, fs: str = "amlfs") -> Stage:
    """Make a stage."""
    return Stage(StageKey(7, direction, 0), Ask(direction, (prefix,)), fs, phase, NOON)


def figures(*leases: Lease, stages: tuple[Stage, ...] = (), ahead: tuple[LeaseKey, ...] = ()) -> tuple[int, int]:
    """Work the pool's figures out."""
    records = Records(stages=dict(enumerate(stages)), leases={it.key: it for it in leases})  # type: ignore[arg-type]
    got = pool(FS, 0.05, SPACE, records, ahead)
    return got.quantity, got.free


def test_the_reserve_is_in_neither_figure() -> None:
    """Of 100 GiB, five are the reserve: the pool has 95, and of the 60 that are free 55 are to be had."""
    assert figures() == (95, 55)


def test_what_was_let_in_is_no_longer_free() -> None:
    """What leases of this file system that were let in will still write is taken; of others nothing."""
    inside = lease("/a/", let_in=True, bytes_total=20 * GIB, bytes_done=5 * GIB)
    assert figures(inside) == (95, 40)
    assert figures(replace(inside, whole=True)) == (95, 55)
    assert figures(replace(inside, let_in=False)) == (95, 55)
    assert figures(lease("/a/", "two", let_in=True, bytes_total=20 * GIB)) == (95, 55)


def test_what_nobody_needs_is_free() -> None:
    """Admission makes room of it, and Slurm, which waits before it asks, would never see that room."""
    idle = lease("/a/", held_bytes=10 * GIB, whole=True)
    assert figures(idle) == (95, 65)
    assert figures(replace(idle, pinned=True)) == (95, 55)
    assert figures(idle, ahead=(idle.key,)) == (95, 55)
    assert figures(idle, stages=(stage("/a/b", Phase.WAITING),)) == (95, 55)
    assert figures(idle, stages=(stage("/a/", Phase.RUNNING, Direction.OUT),)) == (95, 55)
    assert figures(idle, stages=(stage("/a/", Phase.SETTLED), stage("/a/", Phase.WAITING, fs="two"))) == (95, 65)


def test_a_job_with_capacity_is_not_foreseen() -> None:
    """What it will need would count as needed, and it could wait in Slurm for ever for the room of its own inputs."""
    plain = QueuedJob(7, 61001, ("stage_in prefix=/a/",))
    job = replace(plain, directives=("stage_in prefix=/b/ capacity=1GiB pool=amlfs", "stage_in prefix=/a/"))
    assert [key.prefix for key in foresee([plain], RULES)] == ["/a/"]
    assert not foresee([job], RULES)


def test_a_file_of_two_idle_leases_counts_once() -> None:
    """Leases may overlap; the outer one's bytes are counted."""
    outer, inner = lease("/a/", held_bytes=10 * GIB), lease("/a/b/", held_bytes=4 * GIB)
    assert figures(outer, inner, lease("/c/", held_bytes=GIB)) == (95, 66)


@pytest.mark.parametrize(("wanted_bytes", "fits"), [(55 * GIB, True), (55 * GIB + 1, False)])
def test_the_pool_is_what_admission_lets_in(wanted_bytes: int, *, fits: bool) -> None:
    """A stage-in as large as what the pool says is free is let in, and one of a byte more waits for space."""
    desk = Desk()
    desk.space = SPACE
    fs = next(iter(RULES.file_systems.values()))
    free = pool(fs, RULES.reserve, desk.space, desk.records, ()).free
    assert free * GRANULE_BYTES == 55 * GIB
    desk.submit("stage_in prefix=/a/")
    desk.count(files=1, total_bytes=wanted_bytes)
    desk.start()
    desk.land()
    assert bool(desk.wished(ProveIn)) is fits
    assert ("waiting for space" not in desk.board().message) is fits


@given(
    st.integers(0, 1 << 55), st.integers(0, 1 << 55),
    st.lists(st.builds(lambda total, done, held, inside: lease(
        f"/{total % 7}/", bytes_total=total, bytes_done=done, held_bytes=held, let_in=inside),
        *[st.integers(0, 1 << 55)] * 3, st.booleans()), max_size=5),
)  # fmt: skip
def test_slurm_can_take_any_figures(total_bytes: int, free_bytes: int, leases: list[Lease]) -> None:
    """Whole numbers, never negative, never more free than there is, in 15 digits (see amlfs_pools.lua)."""
    records = Records(leases={it.key: it for it in leases})
    got = pool(FS, 0.05, SpaceView(total_bytes, free_bytes), records, ())
    assert type(got.quantity) is type(got.free) is int
    assert 0 <= got.free <= got.quantity < 10**15


PREFIXES = st.lists(st.sampled_from(["a", "b", "ab", "a-b"]), min_size=1, max_size=3).map(lambda it: "/" + "/".join(it))
SOME = st.lists(PREFIXES | PREFIXES.map(lambda it: it + "/") | st.just("/"), max_size=6)


@given(st.sampled_from(Namespace), SOME, SOME)
def test_many_prefixes_at_once_are_compared_as_each_would_be(
    namespace: Namespace, prefixes: list[str], asked: list[str]
) -> None:
    """The quick way gives what comparing each with each gives."""
    needed = Prefixes.of(namespace, prefixes)
    for prefix in asked:
        assert needed.overlap(prefix) is any(overlaps(namespace, prefix, it) for it in prefixes)


def test_what_cannot_be_looked_at_keeps_its_last_figures() -> None:
    """A pool that vanished would have size 0 for Slurm; one that is configured no longer goes."""
    one, two, new = Pool("one", 9, 8), Pool("two", 7, 6), Pool("two", 7, 1)
    assert known_pools([one, two], [new], ["two", "one", "three"]) == (new, one)
    assert known_pools([one, two], [], ["two"]) == (two,)
