"""The queue of HSM requests."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_of_bytes import ArchiveOfBytes

from slurm_amlfs.emulator.hsm import Hsm, HsmAction

UID, GID = os.getuid(), os.getgid()
USER = 61001
MANY = 20


@pytest.fixture
def archive() -> ArchiveOfBytes:
    return ArchiveOfBytes({f"f{number}": b"x" for number in range(MANY)})


@pytest.fixture
def hsm(tmp_path: Path, archive: ArchiveOfBytes) -> Iterator[Hsm]:
    hsm = Hsm(tmp_path, archive, 1_000_000, max_requests=2)
    for name in archive.blobs:
        hsm.add_released(name, 1, 0, UID, GID, 0o644)
    yield hsm
    archive.gate.set()
    hsm.close()


def wait(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def test_requests_wait_in_order_and_a_bounded_number_runs(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """hsm.max_requests; the others are waiting."""
    archive.gate.clear()
    for number in range(MANY):
        hsm.request(f"f{number}", HsmAction.RESTORE, USER)
    wait(lambda: len(archive.fetched) == 2)
    states = [hsm.current(f"f{number}") for number in range(MANY)]
    assert [request is not None and request.running for request in states] == [True] * 2 + [False] * (MANY - 2)
    archive.gate.set()
    wait(lambda: all(hsm.current(f"f{number}") is None for number in range(MANY)))
    assert sorted(archive.fetched) == sorted(archive.blobs)
    assert hsm.used_bytes == MANY


def test_asking_twice_is_asking_once(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """Also by a reader, and when it is there already."""
    archive.gate.clear()
    for _ in range(3):
        hsm.request("f0", HsmAction.RESTORE, USER)
    archive.gate.set()
    hsm.restore("f0")
    hsm.request("f0", HsmAction.RESTORE, USER)
    assert archive.fetched == ["f0"]


def test_what_waits_can_be_cancelled(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """Whoever waits for it is told, and the file stays released."""
    archive.gate.clear()
    for number in range(3):
        hsm.request(f"f{number}", HsmAction.RESTORE, USER)
    wait(lambda: len(archive.fetched) == 2)
    waiting = hsm.current("f2")
    assert waiting is not None
    hsm.request("f2", HsmAction.CANCEL, 0)
    assert waiting.over
    assert waiting.error == errno.ECANCELED
    archive.gate.set()
    wait(lambda: hsm.used_bytes == 2)
    assert hsm.current("f2") is None
    info = hsm.look("f2")
    assert info is not None
    assert info.flags == 0x0D
    assert "f2" not in archive.fetched


def test_what_runs_can_be_cancelled(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """The fetch ends at its next write."""
    archive.gate.clear()
    hsm.request("f0", HsmAction.RESTORE, USER)
    assert archive.reached.wait(10)
    hsm.request("f0", HsmAction.CANCEL, 0)
    archive.gate.set()
    wait(lambda: hsm.current("f0") is None)
    info = hsm.look("f0")
    assert info is not None
    assert (info.flags, hsm.used_bytes) == (0x0D, 0)


def test_cancelling_nothing_is_success_for_anybody(hsm: Hsm) -> None:
    """mdt_hsm_register_hal passes over it before it looks at permissions."""
    hsm.request("f0", HsmAction.CANCEL, USER)


def test_ordinary_users_may_not_ask_for_the_rest(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """Archive, remove, and cancel of something."""
    archive.gate.clear()
    hsm.request("f0", HsmAction.RESTORE, USER)
    for action in (HsmAction.ARCHIVE, HsmAction.REMOVE, HsmAction.CANCEL):
        with pytest.raises(PermissionError) as refused:
            hsm.request("f0", action, USER)
        assert refused.value.errno == errno.EPERM


def test_one_file_does_one_thing_at_a_time(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """An archive in the engine's thread waits for the restore, and then has nothing to do."""
    archive.gate.clear()
    hsm.request("f0", HsmAction.RESTORE, USER)
    assert archive.reached.wait(10)
    done: list[bool] = []
    archiver = threading.Thread(target=lambda: done.append(hsm.archive("f0")))
    archiver.start()
    archive.gate.set()
    archiver.join(10)
    assert done == [True]
    assert archive.stored == []


def test_a_file_that_vanishes_is_no_trouble(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """Its request ends, the others go on."""
    archive.gate.clear()
    for number in range(4):
        hsm.request(f"f{number}", HsmAction.RESTORE, USER)
    wait(lambda: len(archive.fetched) == 2)
    hsm.files.unlink("f2")
    hsm.files.unlink("f0")
    archive.gate.set()
    hsm.restore("f3")
    wait(lambda: hsm.used_bytes == 2)


def test_stopping_lets_nobody_wait(hsm: Hsm, archive: ArchiveOfBytes) -> None:
    """Readers get an error, those who come later too."""
    archive.gate.clear()
    for number in range(3):
        hsm.request(f"f{number}", HsmAction.RESTORE, USER)
    wait(lambda: len(archive.fetched) == 2)
    stopper = threading.Thread(target=hsm.stop_requests)
    stopper.start()
    for path in ("f2", "f9"):
        with pytest.raises(OSError, match="No data"):
            hsm.restore(path)
    archive.gate.set()
    stopper.join(10)
