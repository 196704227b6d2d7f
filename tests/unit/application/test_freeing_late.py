from __future__ import annotations

import pytest

from slurm_amlfs.application.exporting import Freeing
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Freed
from slurm_amlfs.domain.view import HsmState
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre

FILES = 1500


class Site:
    """1,500 proved files of 5 bytes, and a clock that goes as far with each batch as it is told."""

    def __init__(self) -> None:
        self.blobs, self.lustre = FakeBlobs(), FakeLustre()
        for number in range(FILES):
            self.blobs.put(f"a/{number:04}", 5)
            self.lustre.write(f"/a/{number:04}", 5)
            self.lustre.mark_archived(f"/a/{number:04}")
        self.seconds = 0.0
        self.step = 2.0
        self.freeing = Freeing(self.blobs, self.lustre, ("/a/",), Namespace.FLAT, self.clock)

    def clock(self) -> float:
        """Let time go by."""
        self.seconds += self.step
        return self.seconds

    def released(self) -> list[str]:
        """List what is released."""
        return [path for path, it in self.lustre.states.items() if it & HsmState.RELEASED]

    def until_some(self) -> Freed:
        """Go on until something was given back."""
        while not (freed := self.freeing.slice(())).files:
            pass
        return freed

    def to_the_end(self) -> Freed:
        """Go on until it is over."""
        while not (freed := self.freeing.slice(())).settled:
            pass
        return freed


@pytest.mark.parametrize("other", [None, 4], ids=["deleted", "another size"])
def test_what_left_blob_after_an_old_listing_is_not_released(other: int | None) -> None:
    """The file may be the last copy."""
    site = Site()
    given = site.until_some().files
    late = sorted(set(site.lustre.states) - set(site.released()))[:7]
    for path in late:
        name = path.removeprefix("/")
        site.blobs.drop(name) if other is None else site.blobs.put(name, other)
    site.seconds += 60
    freed = site.to_the_end()

    assert 0 < given < FILES
    assert not set(late) & set(site.released())
    assert (freed.files, freed.unproved) == (FILES - len(late), len(late))


def test_a_listing_that_took_long_itself_is_old() -> None:
    """It counts from its beginning."""
    site = Site()
    site.step = 61.0
    site.freeing.slice(())
    site.blobs.drop("a/0000")
    freed = site.to_the_end()

    assert (freed.files, freed.unproved) == (FILES - 1, 1)
    assert "/a/0000" not in site.released()
