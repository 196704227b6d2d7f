"""Restores from a folder, with the copytool's library and without: nobody can tell which of the two it was."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from folder_site import ATIME_NS, BLOBS, FolderSite
from hsm_user import CLEAN, GID, MTIME_NS, UID, blocks, flags, read

from sandbox.emulator import COPYTOOL
from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.emulator.faulty import RESTORE
from slurm_amlfs.emulator.hsm import HsmAction
from slurm_amlfs.emulator.hsm_rules import DIRTY, LOST, NORELEASE
from slurm_amlfs.emulator.tree import RECORD


@pytest.fixture(params=["python", "library"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FolderSite]:
    site = FolderSite(tmp_path, COPYTOOL if request.param == "library" else None)
    yield site
    site.hsm.close()


def fails(site: FolderSite, path: str) -> bool:
    """Say whether a restore ends without data, and the file is then as it was, times included."""
    before = site.backing(path).stat()
    with pytest.raises(OSError, match="No data") as failed:
        site.hsm.restore(path)
    after = site.backing(path).stat()
    assert failed.value.errno == errno.ENODATA
    assert (after.st_atime_ns, after.st_mtime_ns) == (before.st_atime_ns, before.st_mtime_ns)
    assert (after.st_size, after.st_blocks, flags(site.hsm, path)) == (before.st_size, 0, 0x0D)
    return site.hsm.used_bytes == 0


@pytest.mark.parametrize("path", BLOBS)
def test_a_restore_brings_the_bytes_and_changes_nothing_else(site: FolderSite, path: str) -> None:
    """Times to the nanosecond, owner, mode and the archive's id; the space is counted."""
    before = site.backing(path).stat()
    site.hsm.restore(path)
    assert site.held(path) == (BLOBS[path], CLEAN, ATIME_NS, MTIME_NS, len(BLOBS[path]))
    after = site.backing(path).stat()
    assert (after.st_mode, after.st_uid, after.st_ino) == (before.st_mode, before.st_uid, before.st_ino)
    assert os.getxattr(site.hsm.tree.at(path), RECORD) == b"9 1"
    site.hsm.restore(path)
    assert site.hsm.used_bytes == len(BLOBS[path])


def test_many_are_asked_for_and_restored(site: FolderSite) -> None:
    """In one request, as the daemon does; each can then be released and restored again."""
    for _ in range(2):
        site.hsm.request_all(BLOBS, HsmAction.RESTORE, 0)
        for path, data in BLOBS.items():
            assert read(site.hsm, path) == data
        assert site.hsm.used_bytes == sum(map(len, BLOBS.values()))
        site.hsm.request_all(BLOBS, HsmAction.RELEASE, 0)
        assert site.hsm.used_bytes == 0


@pytest.mark.parametrize("odd", ["lost", "gone", "a folder", "way"])
def test_what_is_named_before_a_refused_file_is_restored(site: FolderSite, odd: str) -> None:
    """And nothing behind it; what needs no restore is passed over."""
    site.hsm.restore("d/b")
    if odd == "lost":
        site.hsm.change_flags("d/empty", LOST, 0, 0, 0)
    name = {"lost": "d/empty", "gone": "d/none", "a folder": "d"}.get(odd)
    paths = iter(["d/a", "d/b", name, "top"]) if name else refused_after("d/a", "d/b")
    with pytest.raises(OSError, match=r"not permitted|No such|Invalid|denied"):
        site.hsm.request_all(paths, HsmAction.RESTORE, 0)

    assert read(site.hsm, "d/a") == BLOBS["d/a"]
    assert flags(site.hsm, "top") == 0x0D


def refused_after(*paths: str) -> Iterator[str]:
    """Name files, and then one that the caller may not name."""
    yield from paths
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_flags_and_archive_of_the_record_are_kept(site: FolderSite) -> None:
    """Only that it is released is taken away."""
    site.hsm.change_flags("d/a", NORELEASE, 0, 7, 0)
    site.hsm.restore("d/a")
    assert os.getxattr(site.hsm.tree.at("d/a"), RECORD) == b"19 7"


@pytest.mark.parametrize("data", [b"", b"short", b"A" * 101, b"A" * 20_000])
def test_a_blob_of_another_size_is_what_the_file_becomes(site: FolderSite, data: bytes) -> None:
    """Shorter or longer."""
    (site.blobs / "d/a").write_bytes(data)
    site.hsm.restore("d/a")
    assert site.held("d/a") == (data, CLEAN, ATIME_NS, MTIME_NS, len(data))


@pytest.mark.parametrize("instead", ["nothing", "folder"])
def test_without_its_blob_a_file_stays_released(site: FolderSite, instead: str) -> None:
    """ENODATA; when the blob is there again it is restored."""
    (site.blobs / "d/a").unlink()
    if instead == "folder":
        (site.blobs / "d/a").mkdir()
    assert fails(site, "d/a")
    if instead == "folder":
        (site.blobs / "d/a").rmdir()
    (site.blobs / "d/a").write_bytes(BLOBS["d/a"])
    site.hsm.restore("d/a")
    assert site.held("d/a") == (BLOBS["d/a"], CLEAN, ATIME_NS, MTIME_NS, 100)


def test_a_blob_that_is_a_symlink_is_what_it_points_to(site: FolderSite) -> None:
    """The folder is the measurer's own: its links are followed, also to elsewhere."""
    (site.folder / "elsewhere").write_bytes(b"E" * 100)
    (site.blobs / "d/a").unlink()
    (site.blobs / "d/a").symlink_to(site.folder / "elsewhere")
    site.hsm.restore("d/a")
    assert site.held("d/a") == (b"E" * 100, CLEAN, ATIME_NS, MTIME_NS, 100)


@pytest.mark.parametrize("shown", ["z/d/a", "e/a", "d/A"])
def test_a_file_that_was_renamed_comes_from_its_blob(site: FolderSite, shown: str) -> None:
    """By itself, or with a directory above it; a blob of the new name is not its own."""
    (site.blobs / shown).parent.mkdir(parents=True, exist_ok=True)
    (site.blobs / shown).write_bytes(b"x" * 100)
    site.hsm.add_directory("z", UID, GID, 0o755)
    old, new = {"z/d/a": ("d", "z/d"), "e/a": ("d", "e"), "d/A": ("d/a", "d/A")}[shown]
    site.hsm.files.rename(old, new)
    site.hsm.restore(shown)
    assert site.held(shown) == (BLOBS["d/a"], CLEAN, ATIME_NS, MTIME_NS, 100)


def test_what_waits_follows_a_rename(site: FolderSite) -> None:
    """The request knows the new name, and the record the blob."""
    site.faults.set(Fault(Name.STALL, RESTORE))
    site.hsm.request_all(["d/b", "d/a"], HsmAction.RESTORE, 0)
    site.hsm.files.rename("d/a", "top2")
    site.faults.clear()
    assert read(site.hsm, "top2") == BLOBS["d/a"]


def test_a_file_in_use_is_seen_to_be_whole_by_its_users(site: FolderSite) -> None:
    """Who has it open for writing goes on with the bytes that came."""
    fd = site.hsm.files.open("d/a", os.O_WRONLY)
    site.hsm.restore("d/a")
    site.hsm.files.write(fd, b"xyz", 0)
    site.hsm.files.release(fd)
    assert site.held("d/a")[:2] == (b"xyz" + BLOBS["d/a"][3:], CLEAN | DIRTY)
    assert site.hsm.used_bytes == 100


def test_a_file_with_no_name_left_is_not_restored(site: FolderSite) -> None:
    """Nor is another that has got its name since."""
    site.faults.set(Fault(Name.STALL, RESTORE))
    site.hsm.request_all(["d/b", "d/a"], HsmAction.RESTORE, 0)
    request = site.hsm.current("d/a")
    assert request is not None
    site.backing("d/a").rename(site.folder / "kept")
    site.hsm.add_released("d/a", 100, MTIME_NS, UID, GID, 0o640)
    site.faults.clear()
    site.hsm._requests.wait(request)  # noqa: SLF001 - the end of a request whose file has no name
    assert request.error == errno.ENOENT
    assert (flags(site.hsm, "d/a"), blocks(site.hsm, "d/a")) == (0x0D, 0)


def test_without_room_a_file_stays_released(site: FolderSite) -> None:
    """The space that is told off is what the emulator counts, not what the machine has."""
    site.hsm.close()
    site.hsm = site.started(99)
    assert fails(site, "d/a")
    site.hsm.restore("d/b")
    assert site.held("d/b") == (b"B", CLEAN, ATIME_NS, MTIME_NS, 1)


def test_a_restore_that_the_machine_cuts_off_leaves_the_file_released(site: FolderSite) -> None:
    """A backing file that may not grow so far: half of the bytes come, and go again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    taken = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        assert fails(site, "d/full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, taken)
    site.hsm.restore("d/full")
    assert site.held("d/full") == (BLOBS["d/full"], CLEAN, ATIME_NS, MTIME_NS, 16384)


def test_a_fault_reaches_every_restore(site: FolderSite) -> None:
    """A blob that fails does so, however its file is restored."""
    site.faults.set(Fault(Name.PARTIAL, RESTORE, blobs=("d/a",)))
    assert fails(site, "d/a")
    site.faults.clear()
    site.hsm.restore("d/a")
    assert site.held("d/a")[0] == BLOBS["d/a"]
