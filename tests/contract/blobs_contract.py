"""What every Blobs keeps, the fake and the real adapter on Azurite alike.

A subclass gives the fixtures `blobs` and `upload`, a function of a name and a size in bytes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slurm_amlfs.application.ports import Blobs

Upload = Callable[[str, int], None]

ODD_NAMES = [
    "with blank/b c",
    "quote'\"x",
    "new\nline",
    "carriage\rreturn",
    "tab\tx",
    "é/ü漢字😀",
    "%41%2F",
    "double//slash",
    "plus+&amp;<>#?;",
    "u" * 1000,
    "dots./x.",
]
"""Names that a service takes; each has to come back as it is."""


class BlobsContract:
    """The promises of the Blobs port."""

    def test_empty_container(self, blobs: Blobs) -> None:
        """Nothing is listed where nothing is."""
        assert list(blobs.walk("/")) == []

    def test_prefix_is_a_string(self, blobs: Blobs, upload: Upload) -> None:
        """/a takes every name that begins so; /a/ only what is below."""
        for name in ("a", "a/x", "ab", "b/a"):
            upload(name, 1)
        assert {blob.name for blob in blobs.walk("/")} == {"a", "a/x", "ab", "b/a"}
        assert {blob.name for blob in blobs.walk("/a")} == {"a", "a/x", "ab"}
        assert {blob.name for blob in blobs.walk("/a/")} == {"a/x"}

    def test_pages_are_the_same_blobs(self, blobs: Blobs, upload: Upload) -> None:
        """A listing by pages has what a walk has, in the same order; nothing is in no page."""
        for name in ("a/x", "a/y", "ab", "b"):
            upload(name, 1)
        assert [blob for page in blobs.pages("/a") for blob in page] == list(blobs.walk("/a"))
        assert [blob for page in blobs.pages("/c/") for blob in page] == []

    def test_children_end_at_their_slash(self, blobs: Blobs, upload: Upload) -> None:
        """Of a folder its blobs and its folders; of the beginning of names, whatever begins so, up to the next "/"."""
        for name in ("a", "a/", "a/x", "a/b/1", "a/b/c/2", "a-/3", "ab/4", "b", "é/5"):
            upload(name, 1)
        assert children(blobs, "/") == ({"a", "b"}, {"a/", "a-/", "ab/", "é/"})
        assert children(blobs, "/a") == ({"a"}, {"a/", "a-/", "ab/"})
        assert children(blobs, "/a/") == ({"a/", "a/x"}, {"a/b/"})
        assert children(blobs, "/a/b/c/2") == ({"a/b/c/2"}, set())
        assert children(blobs, "/none/") == (set(), set())
        [told] = [blob for page in blobs.children("/a/x") for blob in page.blobs]
        assert told == blobs.find("a/x")

    def test_what_is_told_of_a_blob(self, blobs: Blobs, upload: Upload) -> None:
        """Size, time and etag come with the name, the same from a list and from a look-up."""
        upload("a/x", 7)
        [listed] = blobs.walk("/a/x")
        assert (listed.name, listed.size_bytes, listed.etag != "") == ("a/x", 7, True)
        assert listed.last_modified.utcoffset() is not None
        assert blobs.find("a/x") == listed

    def test_find_is_exact(self, blobs: Blobs, upload: Upload) -> None:
        """A look-up meets the whole name only."""
        upload("a/x", 7)
        assert [blobs.find(name) for name in ("a", "a/", "a/xx", "A/x", "")] == [None] * 5

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_names_come_back_as_they_are(self, blobs: Blobs, upload: Upload, name: str) -> None:
        """No name is decoded, cut or normalised on the way."""
        upload(name, 3)
        assert [blob.name for blob in blobs.walk("/")] == [name]
        found = blobs.find(name)
        assert found is not None
        assert found.name == name
        folder = folder_of(name)
        assert children(blobs, "/") == ((set(), {folder}) if folder else ({name}, set()))


def children(blobs: Blobs, prefix: str) -> tuple[set[str], set[str]]:
    """Name the blobs and the folders directly under a prefix."""
    pages = list(blobs.children(prefix))
    return {blob.name for page in pages for blob in page.blobs}, {name for page in pages for name in page.folders}


def folder_of(name: str) -> str:
    """Give the first folder of a name, with its slash; empty if it is in none."""
    return name[: name.find("/") + 1]
