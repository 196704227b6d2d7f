"""What HSM does under programs on the emulated mount, and how the mount begins and ends."""

# ruff: noqa: PTH208 - the calls themselves are what is tested

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


def test_a_file_released_under_an_open_mapping_reads_the_same(lustre: EmulatedLustre) -> None:
    """Its pages come back by a second restore."""
    big = lustre.mount / "in/big"
    with big.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        assert view[:10] == BIG[:10]
        assert lustre.do("hsm_release", big)[0] == 0
        assert view[:] == BIG


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
