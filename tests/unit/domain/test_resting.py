"""Leases at rest: an ordered map that is never changed in place, against a plain one."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain import resting
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.prefix import Namespace, Prefixes, overlaps
from slurm_amlfs.domain.resting import Resting
from tests.unit.domain.desk import NOON

PREFIXES = st.text("ab/", max_size=5).map(lambda text: "/" + text)
KEYS = st.builds(LeaseKey, st.sampled_from(("one", "two")), PREFIXES, st.sampled_from(Conflict), st.integers(-1, 1))
LEASES = st.builds(
    lambda key, seconds, held: Lease(key, NOON, NOON + timedelta(seconds=seconds), held_bytes=held),
    KEYS, st.integers(-9, 9), st.integers(0, 1),
)  # fmt: skip
CHANGES = st.lists(st.tuples(st.lists(LEASES, max_size=9), st.lists(KEYS, max_size=4)), max_size=9)


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> object:
    """Blocks of four, so that a few leases fill several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resting, "_FULL", 4)
        yield


def changed(changes: list[tuple[list[Lease], list[LeaseKey]]]) -> tuple[list[Resting], dict[LeaseKey, Lease]]:
    """Make the same changes to both; give every version of the one, and the plain map of the last."""
    versions, plain = [Resting()], {}
    for puts, drops in changes:
        gone = set(drops) - {it.key for it in puts}
        versions.append(versions[-1].changed(puts, gone))
        plain.update({it.key: it for it in puts})
        for key in gone:
            plain.pop(key, None)
    return versions, plain


@given(CHANGES)
def test_it_holds_what_a_plain_map_holds(changes: list[tuple[list[Lease], list[LeaseKey]]]) -> None:
    """Every lease is found, in the order of file systems and prefixes, and no version knows of a later one."""
    versions, plain = changed(changes)
    again, _ = changed(changes[: len(changes) // 2])
    assert list(versions[-1]) == [plain[key] for key in sorted(plain)]
    assert len(versions[-1]) == len(plain)
    assert all(versions[-1].get(key) == it for key, it in plain.items())
    assert list(versions[len(changes) // 2]) == list(again[-1])


@given(CHANGES, st.sampled_from(("one", "two")), PREFIXES, st.sampled_from(Namespace))
def test_overlaps_are_found(
    changes: list[tuple[list[Lease], list[LeaseKey]]], fs: str, prefix: str, namespace: Namespace
) -> None:
    """Just those that have paths in common with a prefix, each once; and the same of bare prefixes."""
    versions, plain = changed(changes)
    keys = [it.key for it in versions[-1].overlapping(namespace, fs, prefix)]
    expected = [key for key in plain if key.fs == fs and overlaps(namespace, key.prefix, prefix)]
    assert sorted(keys) == sorted(expected)
    known = [key.prefix for key in plain if key.fs == fs]
    assert Prefixes.of(namespace, known).overlap(prefix) == bool(expected)


@given(CHANGES)
def test_ages_are_in_order(changes: list[tuple[list[Lease], list[LeaseKey]]]) -> None:
    """All come by their latest use, those with bytes of one file system too; what is out of its time is found."""
    versions, plain = changed(changes)
    assert sorted(it.key for it in versions[-1].by_age()) == sorted(plain)
    assert all(one.used <= other.used for one, other in pairwise(versions[-1].by_age()))
    held = list(versions[-1].holding("one"))
    assert all(one.used <= other.used for one, other in pairwise(held))
    assert {it.key for it in held} == {key for key, it in plain.items() if key.fs == "one" and it.held_bytes}
    old = {it.key for it in versions[-1].unused(NOON, timedelta(seconds=5))}
    assert old == {key for key, it in plain.items() if abs((NOON - it.used).total_seconds()) > 5}


@given(CHANGES, st.integers(0, 9))
def test_versions_are_told_apart(changes: list[tuple[list[Lease], list[LeaseKey]]], at: int) -> None:
    """What is left out as shared is the same in both."""
    versions, plain = changed(changes)
    before = versions[min(at, len(versions) - 1)]
    first, second = before.apart(versions[-1])
    old = {it.key: it for it in before}
    assert {**old, **first} == old
    assert {key: it for key, it in old.items() if key not in first} == {
        key: it for key, it in plain.items() if key not in second
    }
