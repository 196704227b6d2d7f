"""The emulated Lustre as programs see it: POSIX on a mount, and what HSM does under it."""

# ruff: noqa: PTH108, PTH123, PTH208, PTH101, S103 - the calls themselves are what is tested

import errno
import mmap
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated_lustre import OTHER, USER, EmulatedLustre, build_lfs, until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.getuid() != 0, reason="mounting with allow_other is root's"),
]

RELEASED = "(0x0000000d) released exists archived, archive_id:1"
CLEAN = "(0x00000009) exists archived, archive_id:1"
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


def test_a_released_file_looks_whole_and_reads_whole(lustre: EmulatedLustre) -> None:
    """Size, owner, mode and time are the blob's; no block is used before the first read."""
    big = lustre.mount / "in/big"
    seen = big.stat()
    assert (seen.st_size, seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (len(BIG), USER, USER, 0o644)
    assert (seen.st_mtime, seen.st_blocks) == (MTIME, 0)
    assert lustre.state(big) == RELEASED
    assert lustre.run("/usr/bin/cat", big, uid=OTHER).stdout == BIG
    assert lustre.state(big) == CLEAN
    assert (big.stat().st_mtime, big.stat().st_size) == (MTIME, len(BIG))


def test_looking_restores_nothing(lustre: EmulatedLustre) -> None:
    """ls, find, stat, touch and chmod leave the contents where they are."""
    for command in (
        ["/usr/bin/ls", "-lR", lustre.mount],
        ["/usr/bin/find", lustre.mount, "-size", "+1"],
        ["/usr/bin/touch", "-d", "@5", lustre.mount / "in/big"],
        ["/usr/bin/chmod", "600", lustre.mount / "in/big"],
    ):
        assert lustre.run(*command).returncode == 0
    assert lustre.log() == []
    assert lustre.state(lustre.mount / "in/big") == RELEASED
    assert (lustre.mount / "in/big").stat().st_mtime == 5


def test_many_readers_wait_for_one_fetch_and_nobody_else_waits(lustre: EmulatedLustre) -> None:
    """A stalled restore blocks who reads that file, and only them."""
    lustre.hold()
    readers = [subprocess.Popen(["/usr/bin/cat", lustre.mount / "in/big"], stdout=subprocess.PIPE) for _ in range(15)]
    until(lambda: lustre.log() == ["fetch in/big"])
    (lustre.mount / "other").write_text("free")
    assert (lustre.mount / "other").read_text() == "free"
    assert lustre.do("hsm_action", lustre.mount / "in/big")[1].endswith("RESTORE running (0 bytes moved)\n")
    lustre.let_go()
    assert all(reader.communicate(timeout=30)[0] == BIG for reader in readers)
    assert lustre.log() == ["fetch in/big"]


def test_a_failing_fetch_is_no_data_available(lustre: EmulatedLustre) -> None:
    """The reader gets ENODATA, the file stays released, and the next try works."""
    blob = lustre.folder / "blobs/in/small"
    blob.rename(blob.with_name("away"))
    small = lustre.mount / "in/small"
    with pytest.raises(OSError, match="No data available") as failed:
        small.read_bytes()
    assert failed.value.errno == errno.ENODATA
    assert lustre.state(small) == RELEASED
    blob.with_name("away").rename(blob)
    assert small.read_bytes() == b"small\n"


def test_writing_makes_dirty(lustre: EmulatedLustre) -> None:
    """Appending fetches first, O_TRUNC does not; a new file has no state."""
    with (lustre.mount / "in/small").open("ab") as file:
        file.write(b"more")
    assert (lustre.mount / "in/small").read_bytes() == b"small\nmore"
    assert lustre.state(lustre.mount / "in/small") == DIRTY
    (lustre.mount / "in/big").write_bytes(b"new")
    assert lustre.state(lustre.mount / "in/big") == DIRTY
    (lustre.mount / "new").write_bytes(b"new")
    assert lustre.state(lustre.mount / "new") == "(0x00000000)"
    assert lustre.log() == ["fetch in/small"]


def test_mmap_reads_and_writes(lustre: EmulatedLustre) -> None:
    """Mapped files are fetched too, and dirty after a write through the mapping."""
    with (lustre.mount / "in/big").open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        assert view[:] == BIG
        view[0:4] = b"mmap"
        view.flush()
    assert (lustre.mount / "in/big").read_bytes() == b"mmap" + BIG[4:]
    assert lustre.state(lustre.mount / "in/big") == DIRTY


def test_a_file_released_under_an_open_mapping_reads_the_same(lustre: EmulatedLustre) -> None:
    """Its pages come back by a second restore."""
    big = lustre.mount / "in/big"
    with big.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        assert view[:10] == BIG[:10]
        assert lustre.do("hsm_release", big)[0] == 0
        assert view[:] == BIG


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


def test_everything_is_there_after_a_restart(lustre: EmulatedLustre) -> None:
    """States, contents and attributes; a request that waited is done by the next process."""
    (lustre.mount / "new").write_bytes(b"new")
    (lustre.mount / "in/small").read_bytes()
    lustre.hold()
    assert lustre.do("hsm_restore", lustre.mount / "in/big")[0] == 0
    assert lustre.stop(signal.SIGKILL) == -signal.SIGKILL
    lustre.let_go()
    assert lustre.is_mounted()
    lustre.start()
    assert lustre.state(lustre.mount / "in/small") == CLEAN
    assert lustre.state(lustre.mount / "new") == "(0x00000000)"
    until(lambda: lustre.state(lustre.mount / "in/big") == CLEAN)
    assert (lustre.mount / "in/big").read_bytes() == BIG
    assert (lustre.mount / "new").read_bytes() == b"new"
    used = os.statvfs(lustre.mount)
    assert (used.f_blocks - used.f_bfree) * 4096 == pytest.approx(len(BIG) + 9, abs=4096)


def test_stopping_unmounts(lustre: EmulatedLustre) -> None:
    """Also when a reader waits for a stalled restore: it gets an error, and nothing is left mounted."""
    lustre.hold()
    with subprocess.Popen(["/usr/bin/cat", lustre.mount / "in/big"], stderr=subprocess.PIPE) as reader:
        until(lambda: lustre.log() == ["fetch in/big"])
        with subprocess.Popen(["/usr/bin/cat", lustre.mount / "in/small"], stderr=subprocess.PIPE) as other:
            stopper = threading.Thread(target=lustre.stop)
            stopper.start()
            until(lambda: not lustre.is_mounted())
            lustre.let_go()
            stopper.join(30)
            assert reader.wait(10) == 1
            assert other.wait(10) == 1


def test_what_an_import_changes_is_seen_at_once(lustre: EmulatedLustre) -> None:
    """Though the kernel remembers names and attributes: new, replaced and removed files."""
    small = lustre.mount / "in/small"
    assert small.read_bytes() == b"small\n"
    assert not (lustre.mount / "in/later").exists()
    (lustre.folder / "blobs/in/small").write_bytes(b"another size")
    lustre.behind(f"in/small 12 {OTHER} 600", "in/later 6 0 644", "remove in/big")
    assert (small.stat().st_size, small.stat().st_uid) == (12, OTHER)
    assert small.read_bytes() == b"another size"
    assert (lustre.mount / "in/later").stat().st_size == 6
    assert not (lustre.mount / "in/big").exists()
    assert sorted(os.listdir(lustre.mount / "in")) == ["later", "small"]


def test_a_busy_mount_loses_no_byte_and_no_time(lustre: EmulatedLustre) -> None:
    """Readers, writers, releases and renames at once, on the same files."""
    wrong: list[str] = []

    def work(worker: int) -> None:
        own = lustre.mount / f"own{worker}"
        for turn in range(25):
            if (lustre.mount / "in/big").read_bytes() != BIG:
                wrong.append(f"big in turn {turn} of {worker}")
            lustre.do("hsm_release", lustre.mount / "in/big")
            own.write_bytes(BIG[: 1000 * turn])
            lustre.do("hsm_archive", own)
            until(lambda path=own: "archived" in lustre.state(path))
            lustre.do("hsm_release", own)
            own = own.rename(lustre.mount / f"own{worker}.{turn}")
            if own.read_bytes() != BIG[: 1000 * turn]:
                wrong.append(f"own in turn {turn} of {worker}")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert not any(worker.is_alive() for worker in workers)
    assert wrong == []


def test_what_somebody_else_mounted_is_left_alone(lustre: EmulatedLustre, tmp_path: Path) -> None:
    """A second emulator on the same mount point says so and ends."""
    second = EmulatedLustre(tmp_path / "second", lustre.lfs)
    second.mount.symlink_to(lustre.mount)
    with pytest.raises(AssertionError):
        second.start()
    assert second.process is not None
    assert second.process.wait(10) == 1
    assert second.process.stdout is not None
    second.process.stdout.close()
    second.process = None
    assert (lustre.mount / "in/small").read_bytes() == b"small\n"
