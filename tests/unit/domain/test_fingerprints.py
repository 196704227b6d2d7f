from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.fingerprints import Fingerprints

BLOBS = st.sets(st.tuples(st.text(st.characters(codec=None, exclude_categories=())), st.integers(0, 2**50)))


@given(BLOBS, BLOBS, st.binary(min_size=16, max_size=32))
def test_what_was_put_in_is_held_and_nothing_else(
    put: set[tuple[str, int]], others: set[tuple[str, int]], key: bytes
) -> None:
    """As a set of pairs, whatever the names and the key; undecodable names as well."""
    prints = Fingerprints(key)
    for name, size in put:
        prints.add(name, size)

    assert all(prints.holds(name, size) for name, size in put)
    assert not any(prints.holds(name, size) for name, size in others - put)


def test_many_in_each_bucket_are_told_apart() -> None:
    """A digest that begins in the middle of another's is not found there."""
    prints = Fingerprints(b"k" * 32)
    for number in range(50_000):
        prints.add(f"a/{number}", number)

    assert all(prints.holds(f"a/{number}", number) for number in range(0, 50_000, 7))
    assert not any(prints.holds(f"a/{number}", number + 1) for number in range(0, 50_000, 7))
