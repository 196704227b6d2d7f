"""The emulated Lustre is a POSIX file system."""

# ruff: noqa: PTH108, PTH123, PTH208, PTH101, S103 - the calls themselves are what is tested

import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated_lustre import OTHER, USER, EmulatedLustre, build_lfs, until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.getuid() != 0, reason="mounting with allow_other is root's"),
]

DIRTY = "(0x0000000b) exists dirty archived, archive_id:1"
MTIME = 1_600_000_000
BIG = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def lfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_lfs(tmp_path_factory.mktemp("lfs"))


@pytest.fixture
def lustre(tmp_path: Path, lfs: Path) -> Iterator[EmulatedLustre]:
    lustre = EmulatedLustre(tmp_path / "e", lfs)
    lustre.blob("in/big", BIG)
    lustre.blob("in/small", b"small\n")
    lustre.start()
    yield lustre
    lustre.clean()


def test_mmap_reads_and_writes(lustre: EmulatedLustre) -> None:
    """Mapped files are fetched too, and dirty after a write through the mapping."""
    with (lustre.mount / "in/big").open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        assert view[:] == BIG
        view[0:4] = b"mmap"
        view.flush()
    assert (lustre.mount / "in/big").read_bytes() == b"mmap" + BIG[4:]
    assert lustre.state(lustre.mount / "in/big") == DIRTY


def test_the_file_system_is_as_full_as_what_it_holds(lustre: EmulatedLustre) -> None:
    """Df shows the capacity less what is not released; more is ENOSPC."""
    lustre.stop()
    lustre.capacity = 4_096_000
    lustre.start()
    before = os.statvfs(lustre.mount)
    assert (before.f_blocks * before.f_frsize, before.f_bfree) == (4_096_000, before.f_blocks)
    (lustre.mount / "in/big").read_bytes()
    assert os.statvfs(lustre.mount).f_bavail * 4096 == pytest.approx(4_096_000 - len(BIG), abs=4096)
    with pytest.raises(OSError, match="No space left"):
        (lustre.mount / "more").write_bytes(BIG)
    (lustre.mount / "more").unlink()
    assert lustre.do("hsm_release", lustre.mount / "in/big")[0] == 0
    assert os.statvfs(lustre.mount).f_bfree == before.f_bfree


def test_posix(lustre: EmulatedLustre) -> None:
    """Directories, links, modes, owners, times, attributes, rename, unlink, as on any file system."""
    top = lustre.mount / "top"
    top.mkdir(mode=0o750)
    (top / "file").write_bytes(b"x" * 10)
    (top / "link").symlink_to("file")
    (top / "hard").hardlink_to(top / "file")
    os.mkfifo(top / "fifo")
    assert (top / "link").read_bytes() == b"x" * 10
    assert (top / "hard").stat().st_ino == (top / "file").stat().st_ino
    assert (top / "file").stat().st_nlink == 2
    assert sorted(os.listdir(top)) == ["fifo", "file", "hard", "link"]
    (top / "file").chmod(0o4711)
    os.chown(top / "file", USER, OTHER)
    os.utime(top / "file", ns=(1_000_000_001, 2_000_000_002))
    seen = (top / "file").stat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid) == (0o711, USER, OTHER)
    assert (seen.st_atime_ns, seen.st_mtime_ns) == (1_000_000_001, 2_000_000_002)
    os.setxattr(top / "file", "user.note", b"hello\0there")
    assert os.getxattr(top / "file", "user.note") == b"hello\0there"
    assert os.listxattr(top / "file") == ["user.note"]
    os.removexattr(top / "file", "user.note")
    with pytest.raises(OSError, match="not supported"):
        os.setxattr(top / "file", "user.amlfs.hsm", b"0 0")
    (top / "file").rename(top / "other")
    with pytest.raises(OSError, match="not empty"):
        top.rmdir()
    with (top / "other").open("r+b") as file:
        os.fsync(file.fileno())
        os.ftruncate(file.fileno(), 3)
        assert os.fstat(file.fileno()).st_size == 3
    for name in ("other", "hard", "link", "fifo"):
        (top / name).unlink()
    top.rmdir()
    assert not top.exists()


def test_an_open_file_without_a_name_works(lustre: EmulatedLustre) -> None:
    """As temporary files do."""
    with (lustre.mount / "gone").open("w+b") as file:
        (lustre.mount / "gone").unlink()
        file.write(b"still here")
        file.flush()
        os.ftruncate(file.fileno(), 5)
        file.seek(0)
        assert file.read() == b"still"
        assert (os.fstat(file.fileno()).st_size, os.fstat(file.fileno()).st_nlink) == (5, 0)
        assert os.listdir(lustre.mount) == ["in"]
    used = os.statvfs(lustre.mount)
    assert used.f_bfree == used.f_blocks


def test_touch_now_and_one_time_alone(lustre: EmulatedLustre) -> None:
    """UTIME_NOW and UTIME_OMIT are not times."""
    small = lustre.mount / "in/small"
    assert lustre.run("/usr/bin/touch", "-a", "-d", "@7", small).returncode == 0
    assert (small.stat().st_atime, small.stat().st_mtime) == (7, MTIME)
    assert lustre.run("/usr/bin/touch", "-m", small).returncode == 0
    assert small.stat().st_atime == 7
    assert small.stat().st_mtime > MTIME


def test_permissions_are_those_of_unix(lustre: EmulatedLustre) -> None:
    """Owner, group and others, directories too; files belong to who made them."""
    os.chmod(lustre.mount, 0o777)
    assert lustre.run("/bin/sh", "-c", f"umask 027; echo secret > {lustre.mount}/mine", uid=USER).returncode == 0
    mine = lustre.mount / "mine"
    assert (mine.stat().st_uid, mine.stat().st_gid, stat.S_IMODE(mine.stat().st_mode)) == (USER, USER, 0o640)
    assert lustre.run("/usr/bin/cat", mine, uid=OTHER).returncode == 1
    assert lustre.run("/usr/bin/cat", mine, uid=OTHER, groups=[USER]).stdout == b"secret\n"
    assert lustre.run("/bin/sh", "-c", f"echo x >> {mine}", uid=OTHER, groups=[USER]).returncode != 0
    assert lustre.run("/usr/bin/chown", str(OTHER), mine, uid=USER).returncode == 1


def test_a_setgid_directory_gives_its_group(lustre: EmulatedLustre) -> None:
    """To files and directories, which have the bit in turn."""
    team = lustre.mount / "team"
    team.mkdir()
    os.chown(team, USER, OTHER)
    team.chmod(0o2775)
    assert lustre.run("/bin/sh", "-c", f"touch {team}/f; mkdir {team}/d", uid=USER).returncode == 0
    assert (team / "f").stat().st_gid == OTHER
    assert ((team / "d").stat().st_gid, (team / "d").stat().st_mode & stat.S_ISGID) == (OTHER, stat.S_ISGID)


def test_rename_without_replacing_replaces_nothing(lustre: EmulatedLustre) -> None:
    """Mv -n keeps both; a flag that is not supported must not be dropped."""
    (lustre.mount / "a").write_text("a")
    (lustre.mount / "b").write_text("b")
    lustre.run("/usr/bin/mv", "-n", lustre.mount / "a", lustre.mount / "b")
    assert ((lustre.mount / "a").read_text(), (lustre.mount / "b").read_text()) == ("a", "b")


NAMES = [b"a b", b"new\nline", b"quo'te\"", b"\xff\x80", "\u00fc".encode(), b"x" * 255, b"%s", b"-rf", b"$(id)"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_works(lustre: EmulatedLustre, name: bytes) -> None:
    """Names are bytes."""
    path = os.fsencode(lustre.mount) + b"/" + name
    with open(path, "wb") as file:
        file.write(b"data")
    assert name in os.listdir(os.fsencode(lustre.mount))
    assert lustre.run(lustre.lfs, b"hsm_archive", path).returncode == 0
    until(
        lambda: (
            lustre.run(lustre.lfs, b"hsm_state", path).stdout
            == path + b": (0x00000009) exists archived, archive_id:1\n"
        )
    )
    assert lustre.run(lustre.lfs, b"hsm_release", path).returncode == 0
    assert lustre.run("/usr/bin/cat", path).stdout == b"data"
    os.unlink(path)


def test_a_big_directory_is_listed_whole(lustre: EmulatedLustre) -> None:
    """20,000 names, once each, with and without their attributes."""
    lustre.stop()
    with (lustre.folder / "imports").open("a") as imports:
        imports.writelines(f"many/{number} 0 0 644\n" for number in range(20_000))
    lustre.start()
    names = os.listdir(lustre.mount / "many")
    assert (len(names), len(set(names))) == (20_000, 20_000)
    done = lustre.run("/usr/bin/find", lustre.mount / "many", "-type", "f", "-size", "0", "-printf", "x")
    assert done.stdout == b"x" * 20_000
