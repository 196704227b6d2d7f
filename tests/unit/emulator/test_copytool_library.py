"""The copytool's library: what it restores, and what it leaves to Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from folder_site import ATIME_NS, BLOBS, SIMPLE, FolderSite
from hsm_user import CAPACITY_BYTES, CLEAN, MTIME_NS

from sandbox.emulator import COPYTOOL
from slurm_amlfs.emulator.assembly import Settings, running
from slurm_amlfs.emulator.copytool import NOT_SIMPLE, Copytool
from slurm_amlfs.emulator.faults import Faults
from slurm_amlfs.emulator.hsm import RestoreRate
from slurm_amlfs.emulator.tree import RECORD
from slurm_amlfs.errors import UserError


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FolderSite]:
    site = FolderSite(tmp_path, COPYTOOL)
    yield site
    site.hsm.close()


def call(site: FolderSite, path: str, more: int = 0, room: int = CAPACITY_BYTES) -> int:
    """Call the library for the file of a path, or for an inode whose number is `more` than its."""
    where = site.backing(path)
    assert site.copytool is not None
    return site.copytool.restore(str(where), path, where.lstat().st_ino + more, room)


def state(site: FolderSite, path: str) -> tuple[object, ...]:
    """Tell all that a backing file has."""
    where = site.backing(path)
    seen = where.stat()
    record = os.getxattr(where, RECORD) if RECORD in os.listxattr(where) else b""
    data = where.read_bytes() if where.is_file() else b""
    return seen.st_ino, seen.st_size, seen.st_blocks, seen.st_mtime_ns, seen.st_ctime_ns, record, data


def linked(path: Path) -> None:
    """Put a symlink into a file's place, which points to it."""
    path.symlink_to(path.rename(path.with_name("there")))


def waiting(path: Path) -> None:
    """Put a FIFO into a file's place: to open it plainly is to wait."""
    path.unlink()
    os.mkfifo(path)


def restored(path: Path) -> None:
    """Have a file's contents there."""
    path.write_bytes(b"mine" * 25)
    os.setxattr(path, RECORD, b"9 1")


CASES: dict[str, Callable[[Path, Path], object]] = {
    "longer blob": lambda _, blob: blob.write_bytes(b"A" * 101),
    "shorter blob": lambda _, blob: blob.write_bytes(b"A" * 99),
    "linked blob": lambda _, blob: linked(blob),
    "blob that waits": lambda _, blob: waiting(blob),
    "no blob": lambda _, blob: blob.unlink(),
    "blob of another name": lambda file, _: os.setxattr(file, RECORD, b"d 1\nd/b"),
    "restored": lambda file, _: restored(file),
    "no record": lambda file, _: os.removexattr(file, RECORD),
    "link": lambda file, _: linked(file),
}


@pytest.mark.parametrize("path", SIMPLE)
def test_what_is_small_and_at_rest_needs_nothing_else(site: FolderSite, path: str) -> None:
    """With just the room that there is."""
    assert call(site, path, room=len(BLOBS[path])) == len(BLOBS[path])
    assert site.held(path)[:4] == (BLOBS[path], CLEAN, ATIME_NS, MTIME_NS)


def test_it_is_used(site: FolderSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six files Python fetches the large one."""
    fetched: list[str] = []
    monkeypatch.setattr(site.contents, "fetch", lambda name, _: fetched.append(name))
    for path in BLOBS:
        site.hsm.restore(path)
    assert fetched == ["d/large"]


def test_a_limit_of_rate_holds(site: FolderSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where restores are paced Python makes them all."""
    site.hsm.close()
    site.hsm = site.started(CAPACITY_BYTES, RestoreRate(files_per_second=1e6))
    fetched: list[str] = []
    monkeypatch.setattr(site.contents, "fetch", lambda name, _: fetched.append(name))
    site.hsm.restore("d/a")
    assert fetched == ["d/a"]


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_simple_is_left_as_it_is(site: FolderSite, case: str) -> None:
    """And nothing is waited for."""
    CASES[case](site.backing("d/a"), site.blobs / "d/a")
    seen = state(site, "d/a")
    assert call(site, "d/a") == NOT_SIMPLE
    assert state(site, "d/a") == seen


@pytest.mark.parametrize(
    ("path", "more", "room"), [("d/a", 1, 100), ("d/a", 0, 99), ("d/large", 0, 10**9), ("d", 0, 0)]
)
def test_nothing_but_the_file_that_is_asked_for_is_touched(site: FolderSite, path: str, more: int, room: int) -> None:
    """Not another inode; not one for which there is no room, which is too large, or no file."""
    seen = state(site, path)
    assert call(site, path, more, room) == NOT_SIMPLE
    assert state(site, path) == seen


def test_one_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "no.so").touch()
    for library in (tmp_path / "none.so", tmp_path / "no.so"):
        with pytest.raises(UserError, match=r"no.*\.so cannot be loaded .* make build/copytool\.so"):
            Copytool(library, tmp_path, Faults())


def test_it_needs_a_folder_of_blobs(tmp_path: Path) -> None:
    """Azurite's it cannot read."""
    settings = Settings(tmp_path / "state", "http://127.0.0.1:1/devstoreaccount1/data", copytool=COPYTOOL)
    with pytest.raises(UserError, match="--contents"), running(settings):
        pass
