from __future__ import annotations

from slurm_amlfs.application.archiving import OutArchive
from slurm_amlfs.application.exporting import OutProof
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.errand import ProveOut
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import StageKey
from slurm_amlfs.domain.report import Archived, Exported
from slurm_amlfs.domain.view import HsmState
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre

PREFIXES = ("/jobs/7/",)


class Export:
    """Files of 10 bytes on Lustre, the container behind it, and rounds of archives."""

    def __init__(self, *names: str) -> None:
        self.blobs, self.lustre = FakeBlobs(), FakeLustre()
        self.lustre.store = self.blobs.put
        self.seconds = 0.0
        for name in names:
            self.lustre.write(f"/jobs/7/{name}", 10)

    def save(self, *names: str) -> None:
        """Have files archived, with their blobs."""
        for name in names:
            self.lustre.mark_archived(f"/jobs/7/{name}")
            self.blobs.put(f"jobs/7/{name}", 10)

    def begin(self, window: int = 100) -> OutArchive:
        """Begin a round."""
        return OutArchive(self.blobs, self.lustre, PREFIXES, Namespace.FLAT, window=window, clock=lambda: self.seconds)

    def round(self, archive: OutArchive | None = None) -> Archived:
        """Go on with a round to its end, while archives happen."""
        archive = archive or self.begin()
        for _ in range(200):
            found = archive.slice()
            if found.settled:
                return found
            self.lustre.finish_archives()
            self.seconds += 1
        raise AssertionError("the round does not end")

    def prove(self) -> Exported:
        """Prove what is in Blob."""
        errand = ProveOut(StageKey(7, Direction.OUT, 0), 0, "amlfs", PREFIXES)
        return OutProof(self.blobs, self.lustre, errand, Namespace.FLAT, lambda: 0.0).slice()


def test_what_is_not_clean_is_archived_and_nothing_else() -> None:
    """New, dirty and half archived files; not what is proved, a link, or somebody else's."""
    export = Export("new", "dirty", "begun", "clean")
    export.save("dirty", "clean")
    export.lustre.write("/jobs/7/dirty", 10)
    export.lustre.states["/jobs/7/begun"] = HsmState.EXISTS
    export.lustre.link("/jobs/7/link")
    export.lustre.write("/jobs/8/other", 10)

    assert export.round() == Archived(3, 3)
    assert export.prove() == Exported(4, 4, 40, 40, symlinks=1)
    assert export.lustre.states["/jobs/8/other"] == HsmState.NONE


def test_a_round_tells_how_far_it_is() -> None:
    """What is asked for, what is done; that it waits, and for how long."""
    export = Export(*(f"{number:03}" for number in range(150)))
    archive = export.begin()
    first = archive.slice()
    export.seconds += 30
    waited = archive.slice()
    export.lustre.finish_archives(40)
    later = archive.slice()

    assert (first.files, first.files_done, first.under_way, first.settled) == (150, 0, 100, False)
    assert (waited.idle, waited.quiet.total_seconds()) == (True, 30)
    assert (later.files_done, later.quiet.total_seconds()) == (40, 0)


def test_a_file_that_fails_for_ever_is_named() -> None:
    """With why; all others are in Blob."""
    export = Export("a", "bad", "c")
    export.lustre.failing = {"/jobs/7/bad"}
    found = export.round()

    assert found == Archived(3, 2, failed=1, reasons=(("/jobs/7/bad", "has no copy after 3 requests"),))
    assert export.prove().names == ("/jobs/7/bad",)


def test_a_round_begun_again_finds_what_was_done() -> None:
    """A crash loses the round and no archive: what ended meanwhile is clean, the rest is asked for again."""
    export = Export(*(f"{number:03}" for number in range(150)))
    export.begin().slice()
    export.lustre.finish_archives(60)
    found = export.round()

    assert found == Archived(90, 90)
    assert export.prove().files_done == 150


def test_a_file_written_during_its_archive_is_taken_by_the_next_round() -> None:
    """The first says that it changed; the second archives what it has become."""
    export = Export("a", "b")
    archive = export.begin()
    archive.slice()
    export.lustre.write("/jobs/7/b", 11)
    first = export.round(archive)

    assert first == Archived(2, 1, changed=1)
    assert export.round() == Archived(1, 1)
    assert export.prove().files_done == 2


def test_a_file_whose_blob_is_gone_is_named_and_left_alone() -> None:
    """Lustre calls it archived and would do nothing; whether it or the blob's absence is right is not ours to say."""
    export = Export("gone", "other", "released", "new")
    export.save("gone", "other", "released")
    export.lustre.release(["/jobs/7/released"])
    export.blobs.drop("jobs/7/gone")
    export.blobs.put("jobs/7/other", 9)
    export.blobs.drop("jobs/7/released")
    found = export.round()

    assert (found.files, found.files_done, found.failed) == (4, 1, 3)
    told = dict(found.reasons)
    assert "hsm_set --dirty" in told["/jobs/7/gone"]
    assert "hsm_set --dirty" in told["/jobs/7/other"]
    assert "look for that in Blob" in told["/jobs/7/released"]
    assert export.lustre.states["/jobs/7/gone"].clean


def test_a_second_hard_link_is_told_as_one() -> None:
    """A file has its blob under one of its names."""
    export = Export("a")
    export.save("a")
    export.lustre.hard_link("/jobs/7/a", "/jobs/7/b")

    assert export.round().reasons == (("/jobs/7/b", "has other hard links, and its blob under one of them only"),)


def test_what_ails_all_ends_the_round_early() -> None:
    """Blob gone for hours: after a hundred failures no more is asked for, or thousands would be tried one by one."""
    export = Export(*(f"{number:05}" for number in range(3000)))
    export.lustre.failing = {file.path for file in export.lustre.walk("/")}
    found = export.round(export.begin(window=2000))

    assert 100 <= found.failed < 200
    assert found.files_done == 0
    assert len(found.reasons) == 3


def test_nothing_to_archive() -> None:
    """All clean, or no files at all: the round is over at once."""
    export = Export("a")
    export.save("a")

    assert export.round() == Archived(0, 0)
    assert Export().round() == Archived(0, 0)
