"""A prefix is cut into parts that take every blob once, and as small as the names allow."""

import tracemalloc
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain import cutting
from slurm_amlfs.domain.cutting import MOST_NAMED_FILES, Cut, Cutter
from slurm_amlfs.domain.prefix import LONGEST_CHARACTERS, Namespace, matches, overlaps, validate
from slurm_amlfs.errors import UserError
from tests.examples import examples

FLAT, HIERARCHICAL = Namespace.FLAT, Namespace.HIERARCHICAL

Blobs = list[tuple[str, int]]

SEGMENTS = st.one_of(
    st.sampled_from(
        ["data", "data2", "data-b", "da", ".", "..", "...", ".git", ".gi", "a.b", "é", "ê", "😀", "", "a\n"]
    ),
    st.text(st.sampled_from("abé.-0"), min_size=1, max_size=4),
)
NAMES = st.builds(
    lambda segments, tail: "/".join(segments) + tail,
    st.lists(SEGMENTS, min_size=1, max_size=4),
    st.sampled_from(["", "", "", "/"]),
).filter(bool)
# Names of one tree: some with others below them, so that stubs and names that begin others come up often.
BLOBS: st.SearchStrategy[Blobs] = st.lists(st.tuples(NAMES, st.sampled_from([0, 0, 1, 5])), max_size=40).flatmap(
    lambda blobs: st.lists(
        st.tuples(
            st.sampled_from(blobs or [("data", 0)]), st.sampled_from(["/x", "/y", "/", "0", "-b/x", "/x/y", "."])
        ),
        max_size=20,
    ).map(lambda grown: blobs + [(name.rstrip("/") + more, size) for (name, size), more in grown])
)
ROOTS = st.sampled_from(["/", "/", "/data", "/data/", "/da", "/data/data/", "/é"])
NAMESPACES = st.sampled_from(Namespace)
TARGETS = st.integers(1, 12)
CHUNKS = st.sampled_from([1, 2, 3, 7, 4096])


def cut(
    namespace: Namespace, prefix: str, blobs: Iterable[tuple[str, int]], target: int, **bounds: int
) -> tuple[Cut, ...]:
    cutter = Cutter(namespace, prefix, target, bounds.get("most", 10_000), chunk_names=bounds.get("chunk", 4096))
    for name, size in blobs:
        cutter.take(name, size)
    return cutter.parts()


def in_order(blobs: Iterable[tuple[str, int]]) -> Blobs:
    return sorted(blobs, key=lambda blob: blob[0].encode())


def is_valid(prefix: str) -> bool:
    try:
        return validate(prefix) == prefix
    except UserError:
        return False


def naive(namespace: Namespace, prefix: str, blobs: Blobs, target: int) -> list[Cut] | None:
    """Cut with every name in memory: None if something below cannot be named."""
    inside = [(name, size) for name, size in blobs if matches(namespace, prefix, "/" + name)]
    itself = [Cut(prefix, len(inside), sum(size for _, size in inside))] if is_valid(prefix) else None
    if itself and len(inside) <= target:
        return itself
    base = prefix if namespace is FLAT or prefix.endswith("/") else prefix + "/"
    rests = [rest for name, _ in inside if (rest := ("/" + name)[len(base) :])]
    below = {base + (rest[0] if namespace is FLAT else rest.split("/")[0]) for rest in rests}
    lost = [blob for blob in inside if not any(matches(namespace, one, "/" + blob[0]) for one in below)]
    files = {rest for rest in rests if "/" not in rest and not any(other.startswith(rest + "/") for other in rests)}
    crowded = namespace is HIERARCHICAL and len(files) > MOST_NAMED_FILES
    if not below or base in below or crowded or not all(is_spared(blob, inside) for blob in lost):
        return itself
    cuts: list[Cut] = []
    for one in below:
        its = naive(namespace, one, inside, target)
        if its is None:
            return itself
        cuts += its
    return itself if itself and len(cuts) == 1 and cuts[0].blobs > target else cuts


def is_spared(blob: tuple[str, int], blobs: Blobs) -> bool:
    """Say whether this is the empty stub of a directory that comes along with another blob."""
    folder = blob[0].removesuffix("/") + "/"
    return blob[1] == 0 and any(name.startswith(folder) and name != blob[0] for name, _ in blobs)


def assert_sound(namespace: Namespace, prefix: str, blobs: Sequence[tuple[str, int]], cuts: Sequence[Cut]) -> None:
    """Every part is a prefix below the cut one, no two overlap, and each blob is counted in the one that takes it."""
    names = [one.prefix for one in cuts]
    assert names == sorted(names)
    assert all(is_valid(name) and matches(namespace, prefix, name) for name in names)
    assert not [(a, b) for i, a in enumerate(names) for b in names[:i] if overlaps(namespace, a, b)]
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    taken, left = [], []
    for name, size in blobs:
        if matches(namespace, prefix, "/" + name):
            own = [one for one in names if matches(namespace, one, "/" + name)]
            (taken if own else left).append((name, size))
            for one in own:
                counts[one] += 1
                sizes[one] += size
    assert [(one.blobs, one.total_bytes) for one in cuts] == [(counts[name], sizes[name]) for name in names]
    assert all(is_spared(blob, taken) for blob in left)


@examples(400)
@given(NAMESPACES, ROOTS, BLOBS, TARGETS, CHUNKS)
def test_as_with_every_name_in_memory(namespace: Namespace, prefix: str, blobs: Blobs, target: int, chunk: int) -> None:
    """The stream is cut as if all its names were known at once, however many are looked at together."""
    cuts = cut(namespace, prefix, in_order(blobs), target, chunk=chunk)
    expected = naive(namespace, prefix, blobs, target)
    assert expected is not None
    assert list(cuts) == sorted(expected, key=lambda one: one.prefix)
    assert_sound(namespace, prefix, blobs, cuts)


@given(ROOTS, BLOBS, TARGETS, CHUNKS)
def test_directory_by_directory(prefix: str, blobs: Blobs, target: int, chunk: int) -> None:
    """A hierarchical listing that finishes each directory before the next ("a/x" before "a-b") is cut the same."""
    walked = sorted(blobs, key=lambda blob: blob[0].split("/"))
    assert cut(HIERARCHICAL, prefix, walked, target, chunk=chunk) == cut(HIERARCHICAL, prefix, in_order(blobs), target)


@given(NAMESPACES, ROOTS, BLOBS.flatmap(st.permutations), TARGETS, CHUNKS)
def test_any_order(namespace: Namespace, prefix: str, blobs: Blobs, target: int, chunk: int) -> None:
    """Names in no order, and names that come twice, are all taken, once each."""
    assert_sound(namespace, prefix, blobs, cut(namespace, prefix, blobs, target, chunk=chunk))


@given(NAMESPACES, ROOTS, BLOBS, st.integers(1, 4), CHUNKS)
def test_never_more_than_most_parts(namespace: Namespace, prefix: str, blobs: Blobs, most: int, chunk: int) -> None:
    """Parts grow rather than be too many."""
    cuts = cut(namespace, prefix, in_order(blobs), 1, chunk=chunk, most=most)
    assert len(cuts) <= most
    assert_sound(namespace, prefix, blobs, cuts)


@given(NAMESPACES, ROOTS, BLOBS.flatmap(st.permutations), TARGETS)
def test_held_nodes_are_bounded(namespace: Namespace, prefix: str, blobs: Blobs, target: int) -> None:
    """When the tree itself is too large, it is held coarser, and still takes everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "FEWEST_NODES", 10)
        cuts = cut(namespace, prefix, blobs, target, chunk=2, most=1)
    assert len(cuts) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "FEWEST_NODES", 10)
        patch.setattr(cutting, "NODES_PER_PART", 1)
        cuts = cut(namespace, prefix, blobs, target, chunk=2, most=12)
    assert_sound(namespace, prefix, blobs, cuts)


@given(NAMESPACES, ROOTS, BLOBS, TARGETS, st.integers(0, 60))
def test_asked_on_the_way(namespace: Namespace, prefix: str, blobs: Blobs, target: int, upto: int) -> None:
    """The parts may be asked at any time: they are those of the names so far, and change nothing."""
    cutter = Cutter(namespace, prefix, target)
    for count, (name, size) in enumerate(in_order(blobs)):
        if count == upto:
            assert cutter.parts() == cut(namespace, prefix, in_order(blobs)[:upto], target)
        cutter.take(name, size)
    assert cutter.parts() == cut(namespace, prefix, in_order(blobs), target)
    ours = [size for name, size in blobs if matches(namespace, prefix, "/" + name)]
    assert (cutter.blobs, cutter.total_bytes) == (len(ours), sum(ours))


def numbered(front: str, count: int, tail: str = "") -> Blobs:
    return [(f"{front}{number:04}{tail}", 1) for number in range(count)]


def prefixes(cuts: Iterable[Cut]) -> list[str]:
    return [one.prefix for one in cuts]


def test_nothing_there() -> None:
    """A prefix without blobs is one part: somebody still waits for its answer."""
    assert cut(FLAT, "/data/", [], 10) == (Cut("/data/", 0, 0),)


def test_flat_by_the_next_characters() -> None:
    """A flat directory is cut where its names part, and only as far as needed."""
    cuts = cut(FLAT, "/d/", [*numbered("d/x", 200), ("d/y", 7), ("d2", 1)], 100)
    assert cuts == (Cut("/d/x00", 100, 100), Cut("/d/x01", 100, 100), Cut("/d/y", 1, 7))


def test_hierarchical_by_segments_only() -> None:
    """A directory of many files stays whole; its neighbours are cut."""
    blobs = [*numbered("d/many/", 200), *numbered("d/runs/", 20, "/a"), *numbered("d/runs/", 20, "/b")]
    cuts = cut(HIERARCHICAL, "/d/", in_order(blobs), 20)
    assert prefixes(cuts) == ["/d/many", *(f"/d/runs/{number:04}" for number in range(20))]


@pytest.mark.parametrize(("files", "named"), [(MOST_NAMED_FILES, True), (MOST_NAMED_FILES + 1, False)])
@pytest.mark.parametrize("chunk", [1, 4096])
def test_a_few_direct_files_are_named(files: int, chunk: int, *, named: bool) -> None:
    """Up to twenty files beside the subdirectories do not keep a directory whole; stubs do not count as files."""
    stubs = [(f"d/sub{number}", 0) for number in range(30)]
    below = [(f"d/sub{number}/x", 1) for number in range(30)]
    cuts = cut(HIERARCHICAL, "/d/", in_order([*stubs, *below, *numbered("d/", files)]), 10, chunk=chunk)
    assert (len(cuts) == 30 + files) is named
    assert (prefixes(cuts) == ["/d/"]) is not named


def test_pending_stubs_are_no_files() -> None:
    """Stubs that all sort before what is below the first of them are not taken for files."""
    names = ["a" + "-" * count for count in range(30)]
    blobs = [(name, 0) for name in names] + [(f"{name}/{file}", 1) for name in names for file in "wxyz"]
    for chunk in (1, 5, 25, 4096):
        assert len(cut(HIERARCHICAL, "/", in_order(blobs), 3, chunk=chunk)) == 30 * 4


def test_stubs_with_a_slash_are_directories() -> None:
    """A blob "dir/" is no file of the directory above, and does not keep what is below it together."""
    empty = [(f"d/{number}/", 0) for number in range(MOST_NAMED_FILES + 5)]
    assert len(cut(HIERARCHICAL, "/d/", in_order(empty), 3)) == len(empty)
    for namespace in Namespace:
        assert prefixes(cut(namespace, "/", [("d/", 0), ("d/a", 1), ("d/b", 1), ("e", 1)], 1)) == ["/d/a", "/d/b", "/e"]


def test_a_name_that_begins_others_stays_with_them() -> None:
    """Flat, a blob of which others are longer forms cannot be taken without them; an empty directory's stub can."""
    longer = [("f", 1), ("f1", 1), ("f2", 1), ("g", 1)]
    assert prefixes(cut(FLAT, "/", longer, 2)) == ["/f", "/g"]
    stub = [("f", 0), ("f-", 1), ("f/1", 1), ("f/2", 1), ("g", 1)]
    assert prefixes(cut(FLAT, "/", stub, 2)) == ["/f-", "/f/", "/g"]
    empty_file = [("f", 0), ("f-", 1), ("f1", 1), ("g", 1)]
    assert prefixes(cut(FLAT, "/", empty_file, 2)) == ["/f", "/g"]


def test_dots() -> None:
    """Names that begin with a dot are cut behind it, since "/a/." is no prefix that we carry."""
    blobs = [("a/.b", 1), ("a/.c", 1), ("a/..d", 1), ("a/e", 1)]
    assert prefixes(cut(FLAT, "/a/", in_order(blobs), 1)) == ["/a/..d", "/a/.b", "/a/.c", "/a/e"]
    assert prefixes(cut(FLAT, "/", in_order([*blobs, ("a/.", 1), ("b", 1)]), 2)) == ["/a", "/b"]


@pytest.mark.parametrize("namespace", Namespace)
def test_what_cannot_be_named_keeps_its_directory_whole(namespace: Namespace) -> None:
    """An empty part, a control character, or text that is not UTF-8 is left to the directory above."""
    for bad in ("", "x\n", "x\0y", "x\udc80"):
        blobs = [(f"a/{name}/{file}", 1) for name in (bad, "m", "n") for file in "12"] + [("b/1", 1)]
        above = ["/a", "/b"] if namespace is HIERARCHICAL or not bad else ["/a/m", "/a/n", "/a/x", "/b"]
        if namespace is HIERARCHICAL and "\0" in bad:
            above = ["/"]
        assert prefixes(cut(namespace, "/", sorted(blobs), 2)) == above


def test_longest_prefix() -> None:
    """No prefix is longer than a prefix may be, and long names are no deeper than Python can go."""
    front = "a" * (LONGEST_CHARACTERS - 2)
    assert prefixes(cut(FLAT, "/", [(front + "b", 1), (front + "c", 1)], 1)) == ["/" + front + "b", "/" + front + "c"]
    assert prefixes(cut(FLAT, "/", [(front + "bb", 1), (front + "bc", 1), (front + "c", 1)], 1)) == [
        "/" + front + "b",
        "/" + front + "c",
    ]
    nested = [("a" * count, 1) for count in range(1, LONGEST_CHARACTERS + 1)]
    assert prefixes(cut(FLAT, "/", nested, 1)) == ["/"]


def test_too_many_children() -> None:
    """Thousands of tiny directories are imported as one, unless a few of the size of a target come of it."""
    tiny = [(f"d/{number:04}/x", 1) for number in range(3000)]
    assert prefixes(cut(HIERARCHICAL, "/d/", tiny, 1000)) == ["/d/"]
    assert prefixes(cut(HIERARCHICAL, "/d/", tiny, 1000, most=100)) == ["/d/"]
    assert len(cut(HIERARCHICAL, "/d/", tiny[:100], 99)) == 100
    assert len(cut(HIERARCHICAL, "/d/", tiny[:101], 100)) == 1
    assert len(cut(HIERARCHICAL, "/d/", tiny, 10)) == 1
    assert len(cut(HIERARCHICAL, "/d/", tiny, 7)) == 3000
    assert len(cut(FLAT, "/d/", tiny, 1000)) == 3


def peak_bytes(cutter: Cutter, names: Iterable[str]) -> int:
    tracemalloc.start()
    for name in names:
        cutter.take(name, 1)
    assert sum(one.blobs for one in cutter.parts()) == cutter.blobs
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("namespace", Namespace)
def test_memory_does_not_follow_the_names(namespace: Namespace) -> None:
    """A hundred thousand names, flat and in directories, take a megabyte or two."""
    flat = sorted(f"run/{number * 0x9E3779B97F4A7C15 % 2**64:016x}.bam" for number in range(50_000))
    wide = [f"wide/{number:06}/x" for number in range(50_000)]
    assert peak_bytes(Cutter(namespace, "/", 1000, 1000, chunk_names=100), [*flat, *wide]) < 2_000_000


def test_memory_does_not_follow_long_names() -> None:
    """Long stretches of names that part only at their ends are held for a bounded number of them."""
    names = (f"{number:03}{'x' * 150}{end}" for number in range(1000) for end in "ab")
    assert peak_bytes(Cutter(FLAT, "/", 1, 1000), names) < 14_000_000
