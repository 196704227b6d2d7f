from __future__ import annotations

import errno
import os
import subprocess
import time
from pathlib import Path
from typing import NoReturn

import pytest

from slurm_amlfs.adapters.commands import Outcome, run
from slurm_amlfs.errors import TemporaryError

LONG_SECONDS = 20.0


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY])
def test_a_host_that_is_short_of_something_is_waited_for(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """No job is at fault for it."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(TemporaryError, match=r"cannot be started .*; install it.* it is tried again"):
        run(["/bin/true"], timeout_seconds=9)


def test_a_program_that_an_upgrade_replaces_is_waited_for(tmp_path: Path) -> None:
    """Not there, not yet executable, or not yet written: each passes."""
    half, plain = tmp_path / "half", tmp_path / "plain"
    half.write_bytes(b"\x7fELF")
    half.chmod(0o755)
    plain.write_text("#!/bin/sh\n")
    for path in (tmp_path / "none", half, plain):
        with pytest.raises(TemporaryError, match="cannot be started"):
            run([str(path)], timeout_seconds=9)


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_what_does_not_end_in_time_is_killed(monkeypatch: pytest.MonkeyPatch, *, has_pidfd: bool) -> None:
    """A child of its own that holds the output open is not waited for either."""
    if not has_pidfd:
        monkeypatch.setattr(os, "pidfd_open", _no_such_call)
    began = time.monotonic()
    with pytest.raises(TemporaryError, match=r"/bin/sh did not end in 0.2 s"):
        run(["/bin/sh", "-c", "sleep 30 & wait"], timeout_seconds=0.2)
    assert time.monotonic() - began < LONG_SECONDS


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_all_output_is_read_whatever_goes_in(monkeypatch: pytest.MonkeyPatch, *, has_pidfd: bool) -> None:
    """More than a pipe holds, each way, and a program that reads nothing."""
    if not has_pidfd:
        monkeypatch.setattr(os, "pidfd_open", _no_such_call)
    content = b"x" * 1_000_000
    done = run(["/bin/sh", "-c", "cat; cat /dev/stdin >&2; exit 3"], timeout_seconds=LONG_SECONDS, stdin=content)
    assert (done.code, done.stdout, done.stderr) == (3, content, content)
    assert run(["/bin/true"], timeout_seconds=LONG_SECONDS, stdin=content) == Outcome(0, b"", b"")


def test_who_tells_more_and_more_may_take_long() -> None:
    """Whoever waits is told that it lives; and what falls silent is killed."""
    alive: list[bool] = []
    line = "for number in 1 2 3 4 5 6; do echo $number; sleep 0.5; done"
    done = run(["/bin/sh", "-c", line], timeout_seconds=2.0, alive=lambda: alive.append(True))
    assert done.stdout.split() == [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert len(alive) > 1
    with pytest.raises(TemporaryError, match=r"did not end in 0.5 s"):
        run(["/bin/sh", "-c", "echo; sleep 30 & wait"], timeout_seconds=0.5, alive=lambda: None)


def _no_such_call(_: int) -> NoReturn:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
