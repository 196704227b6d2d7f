"""Which blob a file belongs to, after it or a directory above it was renamed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_of_bytes import ArchiveOfBytes

from slurm_amlfs.emulator.hsm import Hsm, HsmAction
from slurm_amlfs.emulator.tree import RECORD

UID, GID = os.getuid(), os.getgid()


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[Hsm]:
    archive = ArchiveOfBytes({name: name.encode() for name in ("a/b/one", "a/b/two", "a/three")})
    hsm = Hsm(tmp_path, archive, 1_000_000)
    for name in archive.blobs:
        hsm.add_released(name, len(name), 0, UID, GID, 0o644)
    yield hsm
    hsm.close()


def read(hsm: Hsm, path: str) -> bytes:
    fd = hsm.files.open(path, os.O_RDONLY)
    try:
        return hsm.files.read(fd, 100, 0)
    finally:
        hsm.files.release(fd)


def test_a_renamed_file_keeps_its_state_and_its_blob(hsm: Hsm) -> None:
    """It comes back from the blob that it had."""
    hsm.files.rename("a/three", "a/b/drei")
    info = hsm.look("a/b/drei")
    assert info is not None
    assert info.flags == 0x0D
    assert read(hsm, "a/b/drei") == b"a/three"


def test_files_under_a_renamed_directory_keep_their_blobs(hsm: Hsm) -> None:
    """Also when it is renamed again, and when a file leaves it."""
    hsm.files.rename("a", "z")
    assert read(hsm, "z/b/one") == b"a/b/one"
    hsm.files.rename("z/b", "y")
    hsm.files.rename("y/two", "zwei")
    assert read(hsm, "zwei") == b"a/b/two"
    assert read(hsm, "z/three") == b"a/three"


def test_a_name_that_is_restored_needs_no_note(hsm: Hsm) -> None:
    """There and back again leaves nothing behind."""
    hsm.files.rename("a", "z")
    hsm.files.rename("z", "a")
    hsm.files.rename("a/three", "drei")
    hsm.files.rename("drei", "a/three")
    assert os.getxattr(hsm.tree.at("a/three"), RECORD) == b"d 1"
    assert os.listxattr(hsm.tree.at("a")) == []
    assert read(hsm, "a/b/one") == b"a/b/one"


def test_imports_under_a_renamed_directory_belong_to_their_own_blobs(tmp_path: Path) -> None:
    """The directory's old name is not theirs."""
    archive = ArchiveOfBytes({"old/x": b"old", "new/x": b"replaced", "new/y": b"new"})
    hsm = Hsm(tmp_path, archive, 1_000_000)
    hsm.add_released("old/x", 3, 0, UID, GID, 0o644)
    hsm.files.rename("old", "new")
    hsm.add_released("new/y", 3, 0, UID, GID, 0o644)
    assert (read(hsm, "new/x"), read(hsm, "new/y")) == (b"old", b"new")
    hsm.close()


def test_an_archive_after_a_rename_goes_to_the_new_name(tmp_path: Path) -> None:
    """Files go to the same path in the container."""
    archive = ArchiveOfBytes({"old/x": b"data"})
    hsm = Hsm(tmp_path, archive, 1_000_000)
    hsm.add_released("old/x", 4, 0, UID, GID, 0o644)
    hsm.files.rename("old", "new")
    fd = hsm.files.open("new/x", os.O_RDWR)
    hsm.files.write(fd, b"DATA", 0)
    hsm.files.release(fd)
    assert hsm.archive("new/x")
    assert archive.blobs == {"old/x": b"data", "new/x": b"DATA"}
    archive.blobs["new/x"] = b"NEWS"
    hsm.request("new/x", HsmAction.RELEASE, 0)
    assert read(hsm, "new/x") == b"NEWS"
    hsm.close()


def test_all_names_of_a_file_have_one_blob(hsm: Hsm) -> None:
    """Whichever name is read, and after the first one is gone."""
    hsm.files.link("a/three", "a/b/drei")
    hsm.files.unlink("a/three")
    assert read(hsm, "a/b/drei") == b"a/three"


def test_a_rename_while_the_contents_are_asked_for_loses_nothing(tmp_path: Path) -> None:
    """The request follows the file to its new name."""
    archive = ArchiveOfBytes({"d/a": b"A", "d/b": b"B"})
    hsm = Hsm(tmp_path, archive, 1_000_000, max_requests=1)
    for name in archive.blobs:
        hsm.add_released(name, 1, 0, UID, GID, 0o644)
    archive.gate.clear()
    for name in archive.blobs:
        hsm.request(name, HsmAction.RESTORE, 0)
    assert archive.reached.wait(10)
    hsm.files.rename("d", "e")
    archive.gate.set()
    hsm.restore("e/b")
    hsm.restore("e/a")
    assert archive.fetched == ["d/a", "d/b"]
    hsm.close()
