"""The emulated Lustre without its mount: what files are, and what archive, restore and release do to them."""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_of_bytes import ArchiveOfBytes

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator.hsm import Hsm, HsmAction, RestoreRate
from slurm_amlfs.emulator.hsm_rules import ARCHIVED, DIRTY, EXISTS, NOARCHIVE, NORELEASE

CAPACITY_BYTES = 10_000_000
MTIME_NS = 1_600_000_000_123_456_789
UID, GID = os.getuid(), os.getgid()
CLEAN = EXISTS | ARCHIVED


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


def flags(hsm: Hsm, path: str) -> int:
    info = hsm.look(path)
    assert info is not None
    return info.flags


def read(hsm: Hsm, path: str, size: int = 1 << 20) -> bytes:
    fd = hsm.files.open(path, os.O_RDONLY)
    try:
        return hsm.files.read(fd, size, 0)
    finally:
        hsm.files.release(fd)


def write(hsm: Hsm, path: str, data: bytes, flags: int = os.O_WRONLY) -> None:
    fd = hsm.files.open(path, flags)
    try:
        hsm.files.write(fd, data, 0)
    finally:
        hsm.files.release(fd)


def create(hsm: Hsm, path: str, data: bytes = b"new") -> None:
    fd = hsm.files.create(path, os.O_WRONLY, 0o644, UID, GID)
    hsm.files.write(fd, data, 0)
    hsm.files.release(fd)


def blocks(hsm: Hsm, path: str) -> int:
    return os.lstat(hsm.tree.at(path)).st_blocks


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


def test_attributes_alone_make_nothing_dirty(hsm: Hsm) -> None:
    """chmod, chown, times: the service does not export those."""
    read(hsm, "in/a")
    hsm.update_attributes("in/a", 5, UID, GID, 0o600)
    info = hsm.look("in/a")
    assert info is not None
    assert (info.flags, info.mtime_ns, info.mode) == (CLEAN, 5, 0o600)


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


def test_prefixes_of_changed_are_strings(hsm: Hsm) -> None:
    """The prefix "da" takes "data" and "data2/x" and nothing else."""
    hsm.files.make_directory("data2", 0o755, UID, GID)
    for path in ("data", "data2/x", "other"):
        create(hsm, path)
    assert sorted(hsm.changed("da")) == ["data", "data2/x"]
    assert sorted(hsm.changed("data2")) == ["data2/x"]
    assert sorted(hsm.changed("data2/")) == ["data2/x"]
    assert list(hsm.changed("nothing/here")) == []


def test_a_full_file_system_refuses_more(tmp_path: Path, archive: ArchiveOfBytes) -> None:
    """ENOSPC for a write, ENODATA for a read whose contents do not fit; nothing stays counted."""
    small = Hsm(tmp_path / "small", archive, 50_000)
    small.add_released("in/a", 100_000, MTIME_NS, UID, GID, 0o644)
    with pytest.raises(OSError, match="No data"):
        read(small, "in/a")
    create(small, "new", b"x" * 50_000)
    with pytest.raises(OSError, match="No space") as full:
        write(small, "new", b"y" * 50_001)
    assert full.value.errno == errno.ENOSPC
    assert (small.used_bytes, small.free_bytes) == (50_000, 0)
    small.files.unlink("new")
    assert small.used_bytes == 0
    small.close()


def test_space_of_an_open_file_without_a_name_is_held_until_it_is_closed(hsm: Hsm) -> None:
    """As on any Unix."""
    create(hsm, "new", b"x" * 10)
    fd = hsm.files.open("new", os.O_RDWR)
    hsm.files.unlink("new")
    assert (hsm.look("new"), hsm.used_bytes) == (None, 10)
    hsm.files.write(fd, b"y" * 20, 0)
    assert hsm.used_bytes == 20
    hsm.files.release(fd)
    assert hsm.used_bytes == 0


def test_used_space_follows_every_way_to_lose_a_file(hsm: Hsm) -> None:
    """Rename over it, unlink of one of two names, of the last."""
    create(hsm, "one", b"x" * 10)
    create(hsm, "two", b"y" * 7)
    hsm.files.rename("one", "two")
    assert hsm.used_bytes == 10
    hsm.files.link("two", "three")
    hsm.files.unlink("two")
    assert hsm.used_bytes == 10
    hsm.remove("three")
    hsm.remove("three")
    assert hsm.used_bytes == 0


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """States, usage and waiting requests, after a clean stop and after none."""
    archive = ArchiveOfBytes({"a": b"A" * 10, "b": b"B"})
    first = Hsm(tmp_path, archive, CAPACITY_BYTES, max_requests=1)
    for name in archive.blobs:
        first.add_released(name, len(archive.blobs[name]), MTIME_NS, UID, GID, 0o644)
    first.restore("a")
    first.close()
    second = Hsm(tmp_path, archive, CAPACITY_BYTES, max_requests=1)
    assert (flags(second, "a"), flags(second, "b"), second.used_bytes) == (CLEAN, 0x0D, 10)
    archive.gate.clear()
    archive.reached.clear()
    second.request("b", HsmAction.RESTORE, 0)
    assert archive.reached.wait(10)
    third = Hsm(tmp_path, ArchiveOfBytes({"b": b"B"}), CAPACITY_BYTES)
    third.restore("b")
    assert (flags(third, "b"), third.used_bytes) == (CLEAN, 11)
    third.close()
    archive.gate.set()
    second.close()


def test_a_fetch_keeps_the_pace(tmp_path: Path) -> None:
    """100,000 bytes at 500,000 a second take a fifth of a second at least."""
    archive = ArchiveOfBytes({"a": b"A" * 100_000})
    hsm = Hsm(tmp_path, archive, CAPACITY_BYTES, RestoreRate(bytes_per_second=500_000))
    hsm.add_released("a", 100_000, MTIME_NS, UID, GID, 0o644)
    before = os.times().elapsed
    hsm.restore("a")
    assert os.times().elapsed - before >= 0.19
    hsm.close()


def test_a_symlink_on_the_way_is_not_followed(hsm: Hsm, tmp_path: Path) -> None:
    """An import must not leave the folder, whatever its users put there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    hsm.files.make_symlink("in/link", os.fspath(outside), UID, GID)
    with pytest.raises(NotADirectoryError):
        hsm.add_released("in/link/x", 1, MTIME_NS, UID, GID, 0o644)
    with pytest.raises(NotADirectoryError):
        hsm.add_directory("in/link/x", UID, GID, 0o755)
    assert hsm.look("in/link/x") is None
    assert list(hsm.changed("in/link/")) == []
    assert list(outside.iterdir()) == []


def test_directories_and_symlinks_are_imported(hsm: Hsm) -> None:
    """A directory that is there gets the attributes; one that is missing is made, its parents too."""
    hsm.add_directory("in", UID, GID, 0o711)
    hsm.add_directory("deep/er", UID, GID, 0o700)
    hsm.add_symlink("deep/l", "../in/a", UID, GID)
    top, made, link = hsm.look("in"), hsm.look("deep/er"), hsm.look("deep/l")
    assert top is not None
    assert made is not None
    assert link is not None
    assert (top.kind, top.mode, made.mode) == (FileKind.DIRECTORY, 0o711, 0o700)
    assert (link.kind, link.target) == (FileKind.SYMLINK, "../in/a")
    with pytest.raises(NotADirectoryError):
        hsm.add_directory("deep/l", UID, GID, 0o755)


@pytest.mark.skipif(os.getuid() != 0, reason="trusted.* attributes, which symlinks need, are root's")
def test_symlinks_are_changed_until_they_are_archived(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """An imported one is not, a new one is."""
    hsm.add_symlink("imported", "in/a", UID, GID)
    hsm.files.make_symlink("made", "in/b", UID, GID)
    assert list(hsm.changed("")) == ["made"]
    hsm.archive("made")
    assert list(hsm.changed("")) == []
    assert archive.blobs["made"] == b"in/b"


@pytest.mark.parametrize("name", ["a b", "new\nline", "quo'te\"", "\udcff\udc80", "ü", "x" * 255, "%s", "-rf"])
def test_any_name_works(hsm: Hsm, archive: ArchiveOfBytes, name: str) -> None:
    """Names are bytes."""
    archive.blobs[f"odd/{name}"] = b"odd"
    hsm.add_released(f"odd/{name}", 3, MTIME_NS, UID, GID, 0o644)
    assert read(hsm, f"odd/{name}") == b"odd"
    write(hsm, f"odd/{name}", b"ODD")
    assert list(hsm.changed("odd/")) == [f"odd/{name}"]
    assert hsm.archive(f"odd/{name}")
    assert archive.blobs[f"odd/{name}"] == b"ODD"


def test_the_mode_of_a_made_directory_is_what_was_asked(hsm: Hsm) -> None:
    """Under a setgid directory it has the bit and the group."""
    hsm.files.make_directory("team", 0o2770, UID, GID)
    hsm.files.make_directory("team/sub", 0o750, UID, GID)
    assert stat.S_IMODE(os.lstat(hsm.tree.at("team/sub")).st_mode) == 0o2750
