"""The emulated Lustre without its mount: what archive, restore and release do to a file."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_of_bytes import ArchiveOfBytes
from hsm_user import CAPACITY_BYTES, CLEAN, GID, MTIME_NS, UID, blocks, create, flags, read, write

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator.hsm import Hsm, HsmAction
from slurm_amlfs.emulator.hsm_rules import DIRTY, EXISTS, NOARCHIVE, NORELEASE


@pytest.fixture
def archive() -> ArchiveOfBytes:
    return ArchiveOfBytes({"in/a": b"A" * 100_000, "in/b": b"B", "in/empty": b""})


@pytest.fixture
def hsm(tmp_path: Path, archive: ArchiveOfBytes) -> Iterator[Hsm]:
    hsm = Hsm(tmp_path, archive, CAPACITY_BYTES)
    for name, data in archive.blobs.items():
        hsm.add_released(name, len(data), MTIME_NS, UID, GID, 0o640)
    yield hsm
    archive.gate.set()
    hsm.close()


def test_an_imported_file_shows_everything_and_holds_nothing(hsm: Hsm) -> None:
    """Size, times, owner and mode are there, the bytes are not (0x0d)."""
    info = hsm.look("in/a")
    assert info is not None
    assert (info.kind, info.size, info.mtime_ns) == (FileKind.REGULAR, 100_000, MTIME_NS)
    assert (info.uid, info.gid, info.mode) == (UID, GID, 0o640)
    assert info.flags == 0x0D
    assert blocks(hsm, "in/a") == 0
    assert hsm.used_bytes == 0


def test_reading_brings_the_contents_and_changes_nothing_else(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """After the first read the file is there, clean, with its old times."""
    assert read(hsm, "in/a") == archive.blobs["in/a"]
    info = hsm.look("in/a")
    assert info is not None
    assert (info.flags, info.mtime_ns, info.size) == (CLEAN, MTIME_NS, 100_000)
    assert hsm.used_bytes == 100_000
    assert list(hsm.changed("")) == []


def test_many_readers_share_one_restore(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """Concurrent opens of a released file fetch it once."""
    archive.gate.clear()
    got: list[bytes] = []
    readers = [threading.Thread(target=lambda: got.append(read(hsm, "in/a", 1))) for _ in range(8)]
    for reader in readers:
        reader.start()
    assert archive.reached.wait(10)
    archive.gate.set()
    for reader in readers:
        reader.join(10)
    assert got == [b"A"] * 8
    assert archive.fetched == ["in/a"]


def test_while_contents_arrive_the_file_shows_its_own_times(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """Nobody sees the time at which the bytes were written."""
    archive.gate.clear()
    hsm.request("in/a", HsmAction.RESTORE, 0)
    assert archive.reached.wait(10)
    os.truncate(hsm.tree.at("in/a"), 100_000)
    info = hsm.look("in/a")
    assert info is not None
    assert info.mtime_ns == MTIME_NS
    archive.gate.set()
    hsm.restore("in/a")
    after = hsm.look("in/a")
    assert after is not None
    assert after.mtime_ns == MTIME_NS


def test_flags_set_while_contents_arrive_stay(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """The restore takes away that the file is released, and no more."""
    archive.gate.clear()
    hsm.request("in/a", HsmAction.RESTORE, 0)
    assert archive.reached.wait(10)
    hsm.change_flags("in/a", NORELEASE, 0, 0, 0)
    archive.gate.set()
    hsm.restore("in/a")
    assert flags(hsm, "in/a") == CLEAN | NORELEASE


def test_a_failed_fetch_is_no_data_and_leaves_the_file_released(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """ENODATA, as lov_io_init_released; the next read tries again."""
    whole = archive.blobs.pop("in/a")
    with pytest.raises(OSError, match="No data") as failed:
        read(hsm, "in/a")
    assert failed.value.errno == errno.ENODATA
    assert (flags(hsm, "in/a"), blocks(hsm, "in/a"), hsm.used_bytes) == (0x0D, 0, 0)
    archive.blobs["in/a"] = whole
    assert read(hsm, "in/a") == whole


def test_a_blob_that_changed_size_is_what_the_file_becomes(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """The restored file is as long as what was fetched."""
    archive.blobs["in/a"] = b"short"
    assert read(hsm, "in/a") == b"short"
    info = hsm.look("in/a")
    assert info is not None
    assert (info.size, hsm.used_bytes) == (5, 5)


def test_a_partial_write_restores_first(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """What is not overwritten is the blob's."""
    write(hsm, "in/a", b"xyz")
    assert read(hsm, "in/a") == b"xyz" + archive.blobs["in/a"][3:]
    assert flags(hsm, "in/a") == CLEAN | DIRTY


def test_opening_for_writing_alone_restores_nothing(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """So touch(1) leaves a released file released."""
    fd = hsm.files.open("in/a", os.O_WRONLY)
    hsm.files.release(fd)
    assert archive.fetched == []
    assert flags(hsm, "in/a") == 0x0D


def test_truncating_to_nothing_fetches_nothing(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """The MDT does that alone (lov_io_init_released)."""
    fd = hsm.files.open("in/a", os.O_WRONLY | os.O_TRUNC)
    hsm.files.release(fd)
    hsm.files.truncate("in/b", 0)
    assert archive.fetched == []
    assert (flags(hsm, "in/a"), flags(hsm, "in/b")) == (CLEAN | DIRTY, CLEAN | DIRTY)
    assert hsm.used_bytes == 0


def test_truncating_to_a_size_fetches(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """The bytes that stay have to be there."""
    hsm.files.truncate("in/a", 10)
    assert archive.fetched == ["in/a"]
    assert read(hsm, "in/a") == b"A" * 10
    assert (flags(hsm, "in/a"), hsm.used_bytes) == (CLEAN | DIRTY, 10)


def test_a_new_file_has_no_state_and_is_changed(hsm: Hsm) -> None:
    """0x00 until an archive begins; a write alone does not change that."""
    create(hsm, "new")
    assert flags(hsm, "new") == 0
    assert list(hsm.changed("")) == ["new"]


def test_archiving_makes_clean(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """EXISTS while it runs, then EXISTS and ARCHIVED."""
    create(hsm, "new")
    archive.gate.clear()
    hsm.request("new", HsmAction.ARCHIVE, 0)
    assert archive.reached.wait(10)
    assert flags(hsm, "new") == EXISTS
    archive.gate.set()
    assert hsm.archive("new")
    assert (flags(hsm, "new"), archive.blobs["new"]) == (CLEAN, b"new")
    assert list(hsm.changed("")) == []
    assert archive.stored == ["new"]


def test_a_write_during_the_archive_leaves_it_dirty(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """The copy is not confirmed (ll_ioc_copy_end)."""
    create(hsm, "new")
    archive.gate.clear()
    done: list[bool] = []
    archiver = threading.Thread(target=lambda: done.append(hsm.archive("new")))
    archiver.start()
    assert archive.reached.wait(10)
    write(hsm, "new", b"NEW")
    archive.gate.set()
    archiver.join(10)
    assert done == [False]
    assert flags(hsm, "new") == EXISTS | DIRTY
    assert list(hsm.changed("")) == ["new"]
    assert hsm.archive("new")
    assert (flags(hsm, "new"), archive.blobs["new"]) == (CLEAN, b"NEW")


def test_a_failed_archive_leaves_exists(hsm: Hsm, archive: ArchiveOfBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """0x01: an archive was started and not finished."""

    def refuse(*_: object) -> None:
        raise ConnectionError("no")

    monkeypatch.setattr(archive, "store", refuse)
    create(hsm, "new")
    with pytest.raises(OSError, match="no"):
        hsm.archive("new")
    assert flags(hsm, "new") == EXISTS


def test_release_gives_the_space_back(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """The file stays as it looks, its blocks go; a second release is success."""
    before = read(hsm, "in/a")
    hsm.request("in/a", HsmAction.RELEASE, 0)
    hsm.request("in/a", HsmAction.RELEASE, 0)
    info = hsm.look("in/a")
    assert info is not None
    assert (info.flags, info.size, info.mtime_ns) == (0x0D, 100_000, MTIME_NS)
    assert (blocks(hsm, "in/a"), hsm.used_bytes) == (0, 0)
    assert read(hsm, "in/a") == before
    assert archive.fetched == ["in/a", "in/a"]


def test_a_small_file_frees_its_block_too(hsm: Hsm) -> None:
    """Less than a block is a whole block on disk."""
    read(hsm, "in/b")
    hsm.request("in/b", HsmAction.RELEASE, 0)
    assert blocks(hsm, "in/b") == 0


def test_what_is_not_safe_is_not_released(hsm: Hsm) -> None:
    """New, dirty and never_release files are EPERM, one that is open for writing EBUSY."""
    create(hsm, "new")
    write(hsm, "in/a", b"x")
    read(hsm, "in/b")
    hsm.change_flags("in/b", NORELEASE, 0, 0, 0)
    for path in ("new", "in/a", "in/b"):
        with pytest.raises(PermissionError) as refused:
            hsm.request(path, HsmAction.RELEASE, 0)
        assert refused.value.errno == errno.EPERM
    hsm.change_flags("in/b", 0, NORELEASE, 0, 0)
    fd = hsm.files.open("in/b", os.O_RDWR)
    with pytest.raises(OSError, match="busy") as busy:
        hsm.request("in/b", HsmAction.RELEASE, 0)
    hsm.files.release(fd)
    assert busy.value.errno == errno.EBUSY
    hsm.request("in/b", HsmAction.RELEASE, 0)
    assert flags(hsm, "in/b") == 0x0D


def test_a_reader_never_sees_the_hole_of_a_released_file(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """A file that is released while it is open for reading is fetched again."""
    fd = hsm.files.open("in/a", os.O_RDONLY)
    hsm.request("in/a", HsmAction.RELEASE, 0)
    assert hsm.files.read(fd, 5, 0) == b"AAAAA"
    hsm.files.release(fd)
    assert archive.fetched == ["in/a", "in/a"]


def test_remove_forgets_the_copy(hsm: Hsm) -> None:
    """hsm_remove clears EXISTS and ARCHIVED, and is EPERM for a released file."""
    with pytest.raises(PermissionError):
        hsm.request("in/a", HsmAction.REMOVE, 0)
    read(hsm, "in/a")
    hsm.request("in/a", HsmAction.REMOVE, 0)
    while hsm.current("in/a") is not None:
        pass
    assert flags(hsm, "in/a") == 0


def test_never_archive_is_left_out(hsm: Hsm) -> None:
    """A file marked so is not exported, and asking for it is EPERM."""
    create(hsm, "new")
    hsm.change_flags("new", NOARCHIVE, 0, 0, UID)
    assert list(hsm.changed("")) == []
    assert not hsm.archive("new")
    with pytest.raises(PermissionError):
        hsm.request("new", HsmAction.ARCHIVE, 0)
