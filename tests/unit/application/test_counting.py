"""A count goes by slices and ends at its bounds; what it did not come to is in some part all the same."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from slurm_amlfs.application.counting import Counting
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.errand import Count
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.prefix import Namespace, matches, overlaps
from slurm_amlfs.domain.report import Counted
from slurm_amlfs.domain.view import BlobView, Children
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre

FLAT, HIERARCHICAL = Namespace.FLAT, Namespace.HIERARCHICAL
COUNT = Count(LeaseKey("amlfs", "/d/", Conflict.SKIP, 1000), 0, 10, whole=True)


class SlowBlobs(FakeBlobs):
    """A container in which each page of a listing takes a while by the test's own clock."""

    page_blobs = 10

    def __init__(self, page_seconds: float = 0.0) -> None:
        super().__init__()
        self.page_seconds = page_seconds
        self.now = 0.0

    def pages(self, prefix: str) -> Iterator[Sequence[BlobView]]:
        """Take a while for each page."""
        for page in super().pages(prefix):
            self.now += self.page_seconds
            yield page

    def children(self, prefix: str) -> Iterator[Children]:
        """Take a while for each page."""
        for page in super().children(prefix):
            self.now += self.page_seconds
            yield page


def folders(blobs: FakeBlobs, number: int, each: int, front: str = "d/") -> None:
    """Fill folders."""
    for folder in range(number):
        for name in range(each):
            blobs.put(f"{front}{folder:02}/{name:03}", 5)


def counting(
    blobs: SlowBlobs, errand: Count = COUNT, namespace: Namespace = FLAT, lustre: FakeLustre | None = None
) -> Counting:
    """Begin a count by the container's clock."""
    return Counting(blobs, lustre, namespace, errand, lambda: blobs.now)


def end(count: Counting) -> list[Counted]:
    """Make slices to the end; give what each told."""
    told = [count.slice()]
    while not told[-1].settled:
        told.append(count.slice())
    return told


def assert_covers(blobs: FakeBlobs, errand: Count, namespace: Namespace, found: Counted) -> None:
    """Each blob is in one part, and no two parts overlap."""
    names = [cut.prefix for cut in found.cuts]
    assert not [(a, b) for i, a in enumerate(names) for b in names[:i] if overlaps(namespace, a, b)]
    for name in blobs.by_name:
        if matches(namespace, errand.prefix, f"/{name}"):
            assert len([it for it in names if matches(namespace, it, f"/{name}")]) == 1, name


def test_a_large_prefix_is_counted_slice_by_slice() -> None:
    """A slice lasts about a second, however much there is, and says how many blobs it has listed."""
    blobs = SlowBlobs(page_seconds=0.4)
    folders(blobs, 5, 20)
    count = counting(blobs)
    told, ends = [], []
    while not told or not told[-1].settled:
        began = blobs.now
        told.append(count.slice())
        ends.append(blobs.now - began)

    assert max(ends) <= 1.5
    assert [it.files for it in told] == [20, 50, 80, 100]
    assert [it.settled for it in told] == [False, False, False, True]
    assert (told[-1].total_bytes, told[-1].listed) == (500, 0)
    assert not any(cut.estimated for cut in told[-1].cuts)


def test_a_count_that_is_begun_again_counts_from_nothing() -> None:
    """Nothing of a count outlives the daemon, and nothing is counted twice."""
    blobs = SlowBlobs(page_seconds=0.4)
    folders(blobs, 5, 20)
    first = counting(blobs)
    assert not first.slice().settled
    first.close()

    assert end(counting(blobs))[-1].files == 100


@pytest.mark.parametrize("namespace", Namespace)
@pytest.mark.parametrize("bound", ["blobs", "seconds"])
def test_a_bound_ends_the_listing(namespace: Namespace, bound: str) -> None:
    """Folders that were passed are as they are; the others are parts with as many blobs as those had."""
    blobs = SlowBlobs(page_seconds=1.0)
    folders(blobs, 20, 10)
    blobs.put("d/between", 7)
    errand = replace(COUNT, list_blobs=45) if bound == "blobs" else replace(COUNT, list_seconds=4.0)
    found = end(counting(blobs, errand, namespace))[-1]
    exact = [cut for cut in found.cuts if not cut.estimated]

    assert 30 <= found.listed <= 60
    assert found.files > found.listed
    assert len([cut for cut in exact if cut.blobs == 10]) >= 3
    assert all(cut.blobs > 0 for cut in found.cuts)
    assert_covers(blobs, errand, namespace, found)


def test_a_bound_costs_few_pages() -> None:
    """Of a prefix of many blobs no more is asked for than the bound, and what is in the folders on the way."""
    blobs = SlowBlobs()
    folders(blobs, 50, 50)
    found = end(counting(blobs, replace(COUNT, list_blobs=100)))[-1]

    assert found.listed == 100
    assert blobs.asked <= 25


def test_a_bound_met_at_the_very_end_leaves_nothing_to_guess() -> None:
    """What is all there is known to be all."""
    blobs = SlowBlobs()
    folders(blobs, 5, 10)
    for bound in (50, 51, 10_000):
        found = end(counting(blobs, replace(COUNT, list_blobs=bound)))[-1]
        assert (found.files, found.listed) == (50, 0)


@pytest.mark.parametrize("namespace", Namespace)
def test_a_folder_too_full_to_look_through_is_one_part(namespace: Namespace) -> None:
    """It is not cut, what is beside it is, and the part says that it was not listed."""
    blobs = SlowBlobs()
    folders(blobs, 3, 10)
    for number in range(300):
        blobs.put(f"d/full/{number:03}", 5)
    folders(blobs, 3, 10, front="d/z")
    errand = replace(COUNT, list_blobs=100)
    found = end(counting(blobs, errand, namespace))[-1]
    [full] = [cut for cut in found.cuts if matches(namespace, cut.prefix, "/d/full/000")]

    assert full.estimated
    assert full.prefix.startswith("/d/f")
    assert len(found.cuts) > 3
    assert_covers(blobs, errand, namespace, found)


def test_a_prefix_whose_pages_are_empty_is_not_called_empty() -> None:
    """Where a bound is met before the first blob, the folders tell; an empty prefix is empty all the same."""
    blobs = SlowBlobs(page_seconds=9.0)
    folders(blobs, 3, 10)
    errand = replace(COUNT, list_seconds=0.1)
    found = end(counting(blobs, errand))[-1]
    none = end(counting(blobs, replace(errand, part="/e/")))[-1]

    assert found.files > 0
    assert all(cut.estimated and cut.blobs > 0 for cut in found.cuts)
    assert_covers(blobs, errand, FLAT, found)
    assert (none.files, none.cuts) == (0, ())


def test_a_hierarchical_path_is_listed_without_its_neighbours() -> None:
    """/d takes the blob d and what is below it; d-1, which sorts in between, costs nothing of the bound."""
    blobs = SlowBlobs()
    folders(blobs, 3, 10)
    folders(blobs, 9, 10, front="d-1/")
    blobs.put("d", 0)
    errand = replace(COUNT, part="/d", list_blobs=40)
    found = end(counting(blobs, errand, HIERARCHICAL))[-1]

    assert (found.files, found.listed, found.beginning) == (31, 0, False)


@pytest.mark.parametrize("missing", ["d/01/003", "d/zfile", None])
def test_what_was_listed_may_be_there_already(missing: str | None) -> None:
    """All of it: also the files that only a look into their folder found. What was not listed says nothing."""
    blobs, lustre = SlowBlobs(), FakeLustre()
    folders(blobs, 9, 10)
    blobs.put("d/zfile", 5)
    for name in blobs.by_name:
        if name != missing and (name < "d/03" or name == "d/zfile"):
            lustre.add_released(f"/{name}", 5)
    found = end(counting(blobs, replace(COUNT, list_blobs=30), lustre=lustre))[-1]

    assert found.there is (missing is None)


def test_hundred_thousand_blobs_are_held_in_little() -> None:
    """Memory follows the parts, not the blobs."""
    blobs = SlowBlobs()
    blobs.page_blobs = 5000
    folders(blobs, 100, 1000)
    tracemalloc.start()
    end(counting(blobs, replace(COUNT, target_blobs=20_000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 10_000_000
