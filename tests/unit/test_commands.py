from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from slurm_amlfs.adapters.commands import run
from slurm_amlfs.errors import TemporaryError


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY])
def test_a_host_that_is_short_of_something_is_waited_for(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """No job is at fault for it."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "run", refuse)
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
