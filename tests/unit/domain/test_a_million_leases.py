"""A million leases at rest: what a pass does with a few of them touches a few blocks, counted and not timed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import islice

import pytest

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.resting import Resting
from tests.unit.domain.desk import NOON

MILLION = 1_000_000
BLOCK = 1024


def key(number: int) -> LeaseKey:
    """Name one."""
    return LeaseKey("amlfs", f"/{number:07}/", Conflict.SKIP, 1000)


@pytest.fixture(scope="module")
def million() -> Resting:
    """Leases that were used a second after each other."""
    return Resting().changed(Lease(key(it), NOON, NOON + timedelta(seconds=it), held_bytes=1) for it in range(MILLION))


def test_a_change_makes_no_more_than_its_blocks_anew(million: Resting) -> None:
    """Three changes far from each other: the two versions share all other blocks."""
    some = [replace(held, used=NOON) for it in (7, 500_000) if (held := million.get(key(it))) is not None]
    then = million.changed(some, [key(999_999)])
    before, after = million.apart(then)

    assert (len(some), len(million), len(then)) == (2, MILLION, MILLION - 1)
    assert len(million.blocks) <= 2 * MILLION // BLOCK + 1
    assert max(len(before), len(after)) <= 3 * BLOCK
    assert {it for it in before if before[it] is not after.get(it)} == {key(7), key(500_000), key(999_999)}


def test_the_oldest_are_found_without_the_others(million: Resting) -> None:
    """By their use, by a prefix, and by the bytes that they hold."""
    late = NOON + timedelta(seconds=MILLION)
    kept = timedelta(seconds=MILLION - 2)

    assert [it.key for it in islice(million.holding("amlfs"), 3)] == [key(0), key(1), key(2)]
    assert [it.key for it in million.unused(late, kept)] == [key(0), key(1)]
    assert [it.key for it in million.overlapping(Namespace.FLAT, "amlfs", "/0123456/x/")] == [key(123_456)]
    assert million.held_bytes("amlfs") == MILLION
