"""The emulated Lustre without its mount: names, kinds, space, and what outlives the process."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_of_bytes import ArchiveOfBytes
from hsm_user import CAPACITY_BYTES, CLEAN, GID, MTIME_NS, UID, create, flags, read, write

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator.hsm import Hsm, HsmAction, RestoreRate


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


def test_attributes_alone_make_nothing_dirty(hsm: Hsm) -> None:
    """chmod, chown, times: the service does not export those."""
    read(hsm, "in/a")
    hsm.update_attributes("in/a", 5, UID, GID, 0o600)
    info = hsm.look("in/a")
    assert info is not None
    assert (info.flags, info.mtime_ns, info.mode) == (CLEAN, 5, 0o600)


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
