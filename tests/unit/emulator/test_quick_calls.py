"""System calls made without letting go of the interpreter tell what Python's own tell."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from slurm_amlfs.emulator import quick_calls


@pytest.mark.parametrize("name", ["file", "folder", "link", "f\udcff"])
def test_type_and_number_are_those_of_lstat(tmp_path: Path, name: str) -> None:
    """Of whatever has the name, a link itself included."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "f\udcff").touch()
    seen = os.lstat(tmp_path / name)
    mode, number = quick_calls.type_and_number(os.fsencode(tmp_path / name))
    assert (stat.S_IFMT(mode), number) == (stat.S_IFMT(seen.st_mode), seen.st_ino)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """The error is the one of os.lstat."""
    with pytest.raises(FileNotFoundError) as missing:
        quick_calls.type_and_number(os.fsencode(tmp_path / "none"))
    assert (missing.value.errno, missing.value.filename) == (errno.ENOENT, str(tmp_path / "none"))


def test_threads_do_not_read_each_others_attributes(tmp_path: Path) -> None:
    """Each has its own place that the kernel writes to."""
    wrong: list[bytes] = []

    def read(number: int) -> None:
        path, value = os.fsencode(tmp_path / str(number)), str(number).encode() * 50
        Path(tmp_path, str(number)).touch()
        os.setxattr(path, "user.x", value)
        wrong.extend(got for _ in range(1000) if (got := quick_calls.get(path, b"user.x")) != value)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
