from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from slurm_amlfs.application.exporting import Freeing, OutProof
from slurm_amlfs.application.judging import unsaved
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.errand import Free, ProveOut
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import StageKey
from slurm_amlfs.domain.report import Exported, Freed
from slurm_amlfs.domain.view import HsmState
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre

KEY = StageKey(7, Direction.OUT, 0)
PROVE = ProveOut(KEY, 0, "amlfs", ("/jobs/7/",))
FREE = Free(KEY, 0, "amlfs", ("/jobs/7/",), ())


def prove_out(blobs: FakeBlobs, lustre: FakeLustre, errand: ProveOut, namespace: Namespace) -> Exported:
    """Prove in one slice."""
    return OutProof(blobs, lustre, errand, namespace, lambda: 0.0).slice()


def free(blobs: FakeBlobs, lustre: FakeLustre, errand: Free, namespace: Namespace) -> Freed:
    """Free in one slice."""
    return Freeing(blobs, lustre, errand.prefixes, namespace, lambda: 0.0).slice(errand.spare)


def exported(*names: str) -> tuple[FakeBlobs, FakeLustre]:
    """Make files of 10 bytes that are archived, with their blobs."""
    blobs, lustre = FakeBlobs(), FakeLustre()
    for name in names:
        blobs.put(f"jobs/7/{name}", 10)
        lustre.write(f"/jobs/7/{name}", 10)
        lustre.mark_archived(f"/jobs/7/{name}")
    return blobs, lustre


def test_all_there_is_proved() -> None:
    """Every regular file archived, clean, with its blob."""
    blobs, lustre = exported("a", "b")

    assert prove_out(blobs, lustre, PROVE, Namespace.FLAT) == Exported(2, 2, 20, 20)


@pytest.mark.parametrize("spoiled", ["new", "dirty", "blob gone", "blob of another size"])
def test_one_file_that_is_not_in_blob_is_named(spoiled: str) -> None:
    """It has to be archived, and is never released."""
    blobs, lustre = exported("a", "b")
    match spoiled:
        case "new":
            lustre.write("/jobs/7/new", 10)
        case "dirty":
            lustre.write("/jobs/7/a", 11)
        case "blob gone":
            blobs.drop("jobs/7/a")
        case _:
            blobs.put("jobs/7/a", 9)
    found = prove_out(blobs, lustre, PROVE, Namespace.FLAT)

    assert found.files - found.files_done == 1
    assert [part.prefix for part in found.todo] == ["/jobs/7/"]
    assert len(found.names) == 1
    expected = Freed(1, 10, dirty=1) if spoiled in {"new", "dirty"} else Freed(1, 10, unproved=1)
    left = expected if spoiled != "new" else replace(expected, files=2, freed_bytes=20)
    assert free(blobs, lustre, FREE, Namespace.FLAT) == left


def test_a_file_whose_archive_has_begun_is_under_way() -> None:
    """The copytool is at it: nothing has to be archived."""
    blobs, lustre = exported("a")
    lustre.write("/jobs/7/b", 5)
    lustre.states["/jobs/7/b"] = HsmState.EXISTS
    found = prove_out(blobs, lustre, PROVE, Namespace.FLAT)

    assert (found.under_way, found.todo, found.files_done) == (1, (), 1)


def test_only_the_prefixes_with_something_left_are_archived() -> None:
    """Two prefixes, one of them clean."""
    blobs, lustre = exported("a/x", "b/y")
    lustre.write("/jobs/7/b/y", 11)
    errand = replace(PROVE, prefixes=("/jobs/7/a/", "/jobs/7/b/"))

    assert [it.prefix for it in prove_out(blobs, lustre, errand, Namespace.FLAT).todo] == ["/jobs/7/b/"]


def test_links_and_our_own_folder_are_nobodys_export() -> None:
    """A link has no blob of its own; receipts are ours."""
    blobs, lustre = exported("a")
    lustre.link("/jobs/7/link")
    lustre.write("/.amlfs/receipts/7", 10)
    errand = replace(PROVE, prefixes=("/",))

    assert prove_out(blobs, lustre, errand, Namespace.FLAT) == Exported(1, 1, 10, 10, symlinks=1)


def test_a_second_hard_link_is_told_as_one() -> None:
    """A file is archived under one of its names; the other has no blob, and its kind says why."""
    blobs, lustre = exported("a")
    lustre.hard_link("/jobs/7/a", "/jobs/7/b")
    lustre.write("/jobs/7/new", 10)
    found = prove_out(blobs, lustre, PROVE, Namespace.FLAT)

    assert (found.files, found.files_done, found.linked) == (3, 1, 1)
    assert found.names == ("/jobs/7/b", "/jobs/7/new")


def test_a_file_that_goes_meanwhile_is_nobodys_loss() -> None:
    """Deleted between the walk and the look: nothing to prove."""
    blobs, lustre = exported("a", "b")
    del lustre.states["/jobs/7/b"]

    assert prove_out(blobs, lustre, PROVE, Namespace.FLAT) == Exported(1, 1, 10, 10)


def test_on_a_hierarchical_namespace_neighbours_do_not_count() -> None:
    """/jobs/7 takes what is below it, not /jobs/77; on a flat one it takes both."""
    blobs, lustre = exported("a")
    lustre.write("/jobs/77/x", 5)
    errand = replace(PROVE, prefixes=("/jobs/7",))

    assert prove_out(blobs, lustre, errand, Namespace.HIERARCHICAL).files == 1
    assert prove_out(blobs, lustre, errand, Namespace.FLAT).files == 2


def test_what_is_proved_is_given_back() -> None:
    """Files and bytes are counted; what is released already is not counted again."""
    blobs, lustre = exported("a", "b", "c")
    lustre.release(["/jobs/7/c"])

    assert free(blobs, lustre, FREE, Namespace.FLAT) == Freed(2, 20)
    assert all(state & HsmState.RELEASED for state in lustre.states.values())


def test_what_others_need_stays_whole() -> None:
    """Under a spared prefix nothing is released."""
    blobs, lustre = exported("a", "keep/b")

    assert free(blobs, lustre, replace(FREE, spare=("/jobs/7/keep/",)), Namespace.FLAT) == Freed(1, 10, needed=1)
    assert not lustre.states["/jobs/7/keep/b"] & HsmState.RELEASED


def test_what_lustre_refuses_is_kept() -> None:
    """Lustre has the last word; what it did not release is counted as kept."""
    blobs, lustre = exported("a", "b")
    lustre.states["/jobs/7/b"] |= HsmState.NORELEASE

    assert free(blobs, lustre, FREE, Namespace.FLAT) == Freed(1, 10, refused=1)


def test_more_files_than_a_batch() -> None:
    """Batches do not change the result."""
    blobs, lustre = exported(*(f"{number:04}" for number in range(1203)))

    assert prove_out(blobs, lustre, PROVE, Namespace.FLAT).files_done == 1203
    assert free(blobs, lustre, FREE, Namespace.FLAT) == Freed(1203, 12030)


def seconds(step: float) -> Callable[[], float]:
    """Make a clock that goes on with each look at it."""
    ticks = count()
    return lambda: next(ticks) * step


def test_a_slice_ends_after_a_second_and_the_next_goes_on() -> None:
    """Listing blobs and looking at files alike; what is told before the end is progress, not a proof."""
    blobs, lustre = exported(*(f"{number:04}" for number in range(1203)))
    lustre.write("/jobs/7/new", 10)
    proof = OutProof(blobs, lustre, PROVE, Namespace.FLAT, seconds(0.6))
    found = [proof.slice()]
    while not found[-1].settled:
        found.append(proof.slice())

    done = [it.files_done for it in found]
    assert len(found) > 3
    assert done == sorted(done)
    assert found[0].files == 0
    assert (found[-1].files, found[-1].files_done, found[-1].names) == (1204, 1203, ("/jobs/7/new",))


def test_what_others_begin_to_need_between_two_slices_stays() -> None:
    """A job that comes while space is given back finds the rest of its files whole."""
    blobs, lustre = exported(*(f"{number:04}" for number in range(1200)))
    freeing = Freeing(blobs, lustre, FREE.prefixes, Namespace.FLAT, seconds(0.6))
    while not (first := freeing.slice(())).files:
        assert not first.settled
    while not (last := freeing.slice(("/jobs/7/",))).settled:
        pass

    assert 0 < first.files < 1200
    assert (last.files, last.needed) == (first.files, 1200 - first.files)


def test_a_blob_that_was_archived_after_the_listing_is_looked_up() -> None:
    """Listing takes minutes, and the copytool goes on: what it has done since is proved, if it is not too much."""
    blobs, lustre = exported("a")
    lustre.write("/jobs/7/late", 10)
    proof = OutProof(blobs, lustre, PROVE, Namespace.FLAT, seconds(2))
    listing = proof.slice()
    blobs.put("jobs/7/late", 10)
    lustre.mark_archived("/jobs/7/late")
    found = proof.slice()
    while not found.settled:
        found = proof.slice()

    assert (listing.settled, listing.files) == (False, 0)
    assert (found.files, found.files_done, found.todo) == (2, 2, ())


def test_a_file_that_cannot_be_looked_at_is_not_proved() -> None:
    """It is named, and the others are proved all the same."""
    blobs, lustre = exported("a", "b", "c")
    lustre.spoil("/jobs/7/b")

    told = prove_out(blobs, lustre, PROVE, Namespace.FLAT)
    assert (told.files, told.files_done, told.names) == (3, 2, ("/jobs/7/b",))
    assert told.settled


def test_a_file_that_cannot_be_looked_at_is_not_released() -> None:
    """Nobody knows what it holds; the space of the others is given back."""
    blobs, lustre = exported("a", "b", "c")
    lustre.spoil("/jobs/7/b")

    told = free(blobs, lustre, FREE, Namespace.FLAT)
    assert (told.files, told.dirty) == (2, 1)
    assert not lustre.states["/jobs/7/b"] & HsmState.RELEASED


def test_a_file_that_cannot_be_looked_at_is_not_overwritten() -> None:
    """What might be on Lustre only is told before an import that would destroy it."""
    _, lustre = exported("a", "b", "c")
    lustre.spoil("/jobs/7/b")

    assert list(unsaved(lustre, "/jobs/7/", Namespace.FLAT)) == ["/jobs/7/b"]
