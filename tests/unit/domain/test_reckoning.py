"""Of a prefix that was not listed to its end, every blob is in some part, and in one only."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.cutting import MOST_NAMED_FILES, Cut
from slurm_amlfs.domain.prefix import Namespace, matches, overlaps
from slurm_amlfs.domain.reckoning import Reckoning
from slurm_amlfs.domain.view import BlobView, Children
from tests.examples import examples
from tests.unit.domain.test_cutting import BLOBS, NAMESPACES, ROOTS, TARGETS, Blobs, is_spared, is_valid

FLAT, HIERARCHICAL = Namespace.FLAT, Namespace.HIERARCHICAL
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def in_order(namespace: Namespace, blobs: Blobs, *, by_segments: bool = False) -> list[BlobView]:
    """Sort blobs as a service does: by letters, or where it is hierarchical perhaps folder by folder."""
    by_name = dict(blobs)
    segments = by_segments and namespace is HIERARCHICAL
    names = sorted(by_name, key=lambda name: name.split("/")) if segments else sorted(by_name)
    return [BlobView(name, by_name[name], NOON) for name in names]


def children_of(prefix: str, blobs: Sequence[BlobView]) -> Children:
    """Give what is directly under a prefix, as the service does."""
    begins = prefix[1:]
    below = [blob for blob in blobs if blob.name.startswith(begins)]
    ends = {blob.name: blob.name.find("/", len(begins)) + 1 for blob in below}
    folders = dict.fromkeys(blob.name[: ends[blob.name]] for blob in below if ends[blob.name])
    return Children(tuple(blob for blob in below if not ends[blob.name]), tuple(folders))


def reckon(  # noqa: PLR0913 - what a listing may meet
    namespace: Namespace, prefix: str, blobs: Sequence[BlobView], target: int, *, upto: int, most: int = 10_000
) -> Reckoning:
    """List so many blobs of a prefix, and of what was not listed what is directly in its folders."""
    reckoning = Reckoning(namespace, prefix, target)
    inside = [blob for blob in blobs if matches(namespace, prefix, f"/{blob.name}")]
    # What is called just like a hierarchical prefix is in no folder of it, and is looked up by itself.
    upto += bool(inside) and namespace is HIERARCHICAL and f"/{inside[0].name}" == prefix
    for blob in islice(inside, upto):
        reckoning.take(blob)
    if upto < len(inside):
        reckoning.stop()
    while (wanted := reckoning.wants) is not None:
        children = children_of(wanted, blobs)
        fits = len(children.blobs) + len(children.folders) <= most
        if fits:
            reckoning.meet(children)
        reckoning.leave(whole=not fits)
    return reckoning


def assert_covers(namespace: Namespace, prefix: str, blobs: Sequence[BlobView], cuts: Sequence[Cut]) -> None:
    """No two parts overlap, each blob is in one, and what is not estimated is as it is said to be."""
    names = [one.prefix for one in cuts]
    assert names == sorted(names)
    assert all(is_valid(name) and matches(namespace, prefix, name) for name in names)
    assert not [(a, b) for i, a in enumerate(names) for b in names[:i] if overlaps(namespace, a, b)]
    inside = [blob for blob in blobs if matches(namespace, prefix, f"/{blob.name}")]
    own = {blob.name: [it for it in names if matches(namespace, it, f"/{blob.name}")] for blob in inside}
    taken = [(blob.name, blob.size_bytes) for blob in inside if own[blob.name]]
    assert all(is_spared((it.name, it.size_bytes), taken) for it in inside if not own[it.name])
    for one in cuts:
        mine = [blob.size_bytes for blob in inside if one.prefix in own[blob.name]]
        assert one.estimated or (one.blobs, one.total_bytes) == (len(mine), sum(mine))
        assert one.blobs > 0 or not mine


UPTO = st.integers(0, 60)


@examples(500)
@given(NAMESPACES, ROOTS, BLOBS, TARGETS, UPTO)
def test_every_blob_is_in_one_part(namespace: Namespace, prefix: str, blobs: Blobs, target: int, upto: int) -> None:
    """Wherever the listing ends: names between folders, files beside them, and folders that it never came to."""
    listed = in_order(namespace, blobs)
    reckoning = reckon(namespace, prefix, listed, target, upto=upto)
    assert_covers(namespace, prefix, listed, reckoning.parts())


@given(ROOTS, BLOBS, TARGETS, UPTO, st.sampled_from([1, 2, 4, 10_000]))
def test_folder_by_folder(prefix: str, blobs: Blobs, target: int, upto: int, most: int) -> None:
    """A hierarchical listing that finishes each folder before the next ("a/x" before "a-b") loses nothing either."""
    listed = in_order(HIERARCHICAL, blobs, by_segments=True)
    assert_covers(
        HIERARCHICAL, prefix, listed, reckon(HIERARCHICAL, prefix, listed, target, upto=upto, most=most).parts()
    )


@given(NAMESPACES, ROOTS, BLOBS, TARGETS, st.tuples(UPTO, st.integers(0, 4)))
def test_folders_with_too_much_in_them(
    namespace: Namespace, prefix: str, blobs: Blobs, target: int, bounds: tuple[int, int]
) -> None:
    """A folder that cannot be looked through is one part, and nothing is lost by that."""
    upto, most = bounds
    listed = in_order(namespace, blobs)
    assert_covers(namespace, prefix, listed, reckon(namespace, prefix, listed, target, upto=upto, most=most).parts())


@given(NAMESPACES, ROOTS, BLOBS, TARGETS, UPTO)
def test_listing_part_after_part_comes_to_an_end(
    namespace: Namespace, prefix: str, blobs: Blobs, target: int, upto: int
) -> None:
    """Each estimated part, listed by itself with the same bound, is cut further or stays; no blob is lost by that."""
    listed = in_order(namespace, blobs)
    todo = list(reckon(namespace, prefix, listed, target, upto=upto).parts())
    done: list[Cut] = []
    for _ in range(1000):
        if not todo:
            break
        part = todo.pop()
        again = reckon(namespace, part.prefix, listed, target, upto=upto).parts() if part.estimated else (part,)
        stays = [it for it in again if not it.estimated or it.prefix == part.prefix]
        done += stays
        todo += [it for it in again if it not in stays]
    assert not todo
    assert_covers(namespace, prefix, listed, sorted(done, key=lambda it: it.prefix))


def numbered(front: str, count: int, tail: str = "", size: int = 1) -> Blobs:
    return [(f"{front}{number:03}{tail}", size) for number in range(count)]


@pytest.mark.parametrize("namespace", Namespace)
def test_what_was_passed_is_exact_and_the_rest_a_guess(namespace: Namespace) -> None:
    """Folders that the listing came through keep their blobs; each later one is a part with as many as those had."""
    blobs = in_order(namespace, [(f"d/{a}/{n}", 10) for a in "abcd" for n in range(10)] + [("d/file", 7)])
    parts = reckon(namespace, "/d/", blobs, 10, upto=25).parts()
    found = {it.prefix.rstrip("/"): (it.blobs, it.total_bytes, it.estimated) for it in parts}

    assert found["/d/a"] == (10, 100, False)
    assert found["/d/b"] == (10, 100, False)
    assert found["/d/c"][0] == 10
    assert found["/d/d"] == (8, 0, True)
    assert found["/d/f" if namespace is FLAT else "/d/file"] == (1, 7, False)


def test_too_many_files_to_name_keep_their_folder_whole() -> None:
    """Hierarchical, a folder of many files is hopeless as soon as that many are seen."""
    reckoning = Reckoning(HIERARCHICAL, "/d/", 10)
    reckoning.stop()
    files = in_order(HIERARCHICAL, numbered("d/", MOST_NAMED_FILES + 1))
    reckoning.meet(Children(tuple(files[:-1]), ()))
    assert not reckoning.hopeless
    reckoning.meet(Children((files[-1],), ()))
    assert reckoning.hopeless
    reckoning.leave(whole=True)
    assert [(it.prefix, it.estimated) for it in reckoning.parts()] == [("/d/", True)]


def test_nothing_listed_at_all() -> None:
    """A bound that is met before the first blob still finds the folders, none of them as nothing."""
    blobs = in_order(FLAT, [(f"d/{a}/x", 10) for a in "abc"])
    parts = reckon(FLAT, "/d/", blobs, 1, upto=0).parts()

    assert [(it.prefix, it.blobs, it.estimated) for it in parts] == [
        ("/d/a", 1, True), ("/d/b", 1, True), ("/d/c", 1, True)
    ]  # fmt: skip


@pytest.mark.parametrize("namespace", Namespace)
def test_a_small_guess_keeps_nothing_whole(namespace: Namespace) -> None:
    """What looks small by the little that was listed may be anything: it is cut, and each part is listed."""
    blobs = in_order(namespace, [(f"d/{a}/x", 10) for a in "abc"] + numbered("d/z/", 900))
    parts = reckon(namespace, "/d/", blobs, 1000, upto=2).parts()

    assert len(parts) > 1
    assert {it.estimated for it in parts if matches(namespace, it.prefix, "/d/z/000")} == {True}
