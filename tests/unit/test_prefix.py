"""Prefixes take in what Azure says they take in."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.prefix import LONGEST_CHARACTERS, Namespace, covers, matches, overlaps, reduce, validate
from slurm_amlfs.errors import UserError
from tests.examples import examples

FLAT, HIERARCHICAL = Namespace.FLAT, Namespace.HIERARCHICAL

NAMES = st.sampled_from(["a", "a2", "a-b", "a.b", "b", "A", ".a", "...", "é", "\U0001f600", "data", "data2"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))
PREFIXES = st.one_of(st.just("/"), PATHS, PATHS.map(lambda path: path + "/"))
NAMESPACES = st.sampled_from(Namespace)


@pytest.mark.parametrize(
    ("namespace", "prefix", "path", "taken"),
    [
        (FLAT, "/data", "/data2/x", True),
        (FLAT, "/data", "/data", True),
        (FLAT, "/data/", "/data2/x", False),
        (FLAT, "/data/", "/data/x", True),
        (FLAT, "/data/", "/data", False),
        (HIERARCHICAL, "/data", "/data2/x", False),
        (HIERARCHICAL, "/data", "/data/x", True),
        (HIERARCHICAL, "/data", "/data", True),
        (HIERARCHICAL, "/data/", "/data/x", True),
        (HIERARCHICAL, "/data/", "/data", False),
        (FLAT, "/", "/anything", True),
        (HIERARCHICAL, "/", "/anything/below", True),
    ],
)
def test_matches(namespace: Namespace, prefix: str, path: str, *, taken: bool) -> None:
    """`/data` takes `/data2` on a flat namespace and not on a hierarchical one; `/data/` never does."""
    assert matches(namespace, prefix, path) is taken


def test_reduce_data_and_data2() -> None:
    """What overlaps as strings only does not overlap as paths."""
    given_prefixes = ["/data2/x", "/data", "/data/", "/data-b", "/data/x"]
    assert reduce(FLAT, given_prefixes) == ("/data",)
    assert reduce(HIERARCHICAL, given_prefixes) == ("/data", "/data-b", "/data2/x")


@given(NAMESPACES, PREFIXES, PREFIXES, st.lists(PATHS, max_size=20))
def test_covers_is_about_paths(namespace: Namespace, outer: str, inner: str, paths: list[str]) -> None:
    """What covers takes every path that the covered takes."""
    if covers(namespace, outer, inner):
        assert all(matches(namespace, outer, path) for path in paths if matches(namespace, inner, path))


@given(NAMESPACES, PREFIXES, PREFIXES, PATHS)
def test_what_does_not_overlap_shares_no_path(namespace: Namespace, one: str, other: str, path: str) -> None:
    """No path is taken by two prefixes that do not overlap."""
    if not overlaps(namespace, one, other):
        assert not (matches(namespace, one, path) and matches(namespace, other, path))


@given(NAMESPACES, PREFIXES, PREFIXES)
def test_overlap_is_symmetric(namespace: Namespace, one: str, other: str) -> None:
    """Which of the two is named first does not matter."""
    assert overlaps(namespace, one, other) == overlaps(namespace, other, one)


@given(NAMESPACES, st.lists(PREFIXES, max_size=12), st.lists(PATHS, max_size=12))
def test_reduce_keeps_every_path_and_no_overlap(namespace: Namespace, prefixes: list[str], paths: list[str]) -> None:
    """The reduced set takes what the given set takes, no two of it overlap, and reducing again changes nothing."""
    small = reduce(namespace, prefixes)
    for path in [*paths, *prefixes]:
        before = any(matches(namespace, prefix, path) for prefix in prefixes)
        assert any(matches(namespace, prefix, path) for prefix in small) == before
    assert not [(one, other) for one in small for other in small if one != other and overlaps(namespace, one, other)]
    assert reduce(namespace, small) == small
    assert set(small) <= set(prefixes)


@given(
    NAMESPACES, st.lists(PREFIXES, max_size=12).flatmap(lambda those: st.tuples(st.just(those), st.permutations(those)))
)
def test_reduce_does_not_see_the_order(namespace: Namespace, both: tuple[list[str], list[str]]) -> None:
    """The order in which prefixes are asked for, and how often, changes nothing."""
    once, again = both
    assert reduce(namespace, once) == reduce(namespace, [*again, *once])


@given(NAMESPACES, st.lists(PREFIXES, min_size=1, max_size=12))
def test_reduce_leaves_nothing_to_spare(namespace: Namespace, prefixes: list[str]) -> None:
    """Each prefix that is kept takes a path that no other one takes, and each asked one is covered by one kept."""
    small = reduce(namespace, prefixes)
    for one in small:
        assert not [other for other in small if other != one and matches(namespace, other, one)]
    assert all(sum(covers(namespace, one, asked) for one in small) == 1 for asked in prefixes)


@examples(50)
@given(NAMESPACES, st.lists(PREFIXES, min_size=1, max_size=5))
def test_no_smaller_set_says_the_same(namespace: Namespace, prefixes: list[str]) -> None:
    """No fewer prefixes, beginnings of the asked ones included, take just the paths that the asked ones take."""
    beginnings = {prefix[:end] for prefix in prefixes for end in range(1, len(prefix) + 1)}
    witnesses = [beginning + more for beginning in beginnings for more in ("", "~", "/~", "~/~")]
    taken = {beginning: {path for path in witnesses if matches(namespace, beginning, path)} for beginning in beginnings}
    asked = set().union(*(taken[prefix] for prefix in prefixes))
    candidates = [beginning for beginning in beginnings if taken[beginning] <= asked]
    small = reduce(namespace, prefixes)
    assert set().union(*(taken[prefix] for prefix in small)) == asked
    for fewer in combinations(candidates, len(small) - 1):
        assert set().union(*(taken[prefix] for prefix in fewer)) != asked


@pytest.mark.parametrize("prefix", ["/", "/a", "/a/", "/a b/ü", "/...", "/" + "é" * (LONGEST_CHARACTERS - 1)])
def test_validate_takes(prefix: str) -> None:
    """A prefix that means one thing is returned as it is."""
    assert validate(prefix) == prefix


@pytest.mark.parametrize(
    ("prefix", "mend"),
    [
        ("", "write it from the root"),
        ("data", "write it from the root"),
        ("//", "write the path plainly"),
        ("/a//b", "write the path plainly"),
        ("/a/../b", "write the path plainly"),
        ("/.", "write the path plainly"),
        ("/../", "write the path plainly"),
        ("/a\nb", "name a folder above"),
        ("/a\x7f", "name a folder above"),
        ("/a\udcff", "name a folder above"),
        ("/" + "x" * LONGEST_CHARACTERS, "name a folder above"),
    ],
)
def test_validate_refuses_with_the_mend(prefix: str, mend: str) -> None:
    """A prefix that could mean two things, or that a line cannot hold, is refused in one printable line."""
    with pytest.raises(UserError) as refused:
        validate(prefix)
    assert mend in refused.value.message
    assert refused.value.message.isascii()
    assert refused.value.message.isprintable()
