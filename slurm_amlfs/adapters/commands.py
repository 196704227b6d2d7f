"""Running somebody else's command: an argument list, an absolute path, a time limit, the C locale."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from slurm_amlfs.errors import TemporaryError

_LOOKS = 8
"""How often it is looked, within the time limit, whether output grows."""

_PASSED_ON = ("PATH", "HOME", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `code` is its exit code, negative for a signal; output is as written."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The last thing it said, as one printable line of at most 200 characters."""
        lines = self.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {self.code}"]
        return "".join(char if char.isprintable() else "?" for char in lines[-1])[:200]


def run(  # noqa: PLR0913 - what a run of a command is
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    env: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
    stdin: bytes = b"",
    alive: Callable[[], None] | None = None,
) -> Outcome:
    """Run a command to its end.

    Args:
        argv: The first is an absolute path; no shell sees any of it.
        timeout_seconds: After which it is killed.
        env: More for its environment, which has little else in it.
        keep_open: File descriptors that it inherits.
        stdin: What it reads.
        alive: Is called now and then while its output grows; `timeout_seconds` is for silence then, not for all of it.

    Raises:
        TemporaryError: not done in time, or it cannot be started: the host is short of memory, processes or files, or
            an upgrade is replacing the program. None of it is a fault of the job that it is run for.
    """
    name = argv[0]
    base = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    try:
        with _in_memory(stdin) as asked, _in_memory() as told, _in_memory() as complained:
            with subprocess.Popen(
                list(argv),
                stdin=asked,
                stdout=told,
                stderr=complained,
                env={**base, "LC_ALL": "C", **(env or {})},
                pass_fds=tuple(keep_open),
            ) as process:
                try:
                    _wait(process, timeout_seconds, _Growth(told, alive))
                except BaseException:
                    process.kill()
                    raise
            return Outcome(process.returncode, _read(told), _read(complained))
    except subprocess.TimeoutExpired as error:
        raise TemporaryError(f"{name} did not end in {timeout_seconds:g} s; wait, it is run again") from error
    except OSError as error:
        raise TemporaryError(
            f"{name} cannot be started ({error.strerror}); install it, mend its path in the configuration,"
            " or free memory and processes: it is tried again"
        ) from error


@contextmanager
def _in_memory(content: bytes = b"") -> Iterator[BinaryIO]:
    """Hold a file that has no name. Unlike a pipe it never fills, and nobody has to read while the command runs."""
    with open(os.memfd_create("command"), "w+b", buffering=0) as file:  # noqa: PTH123 - it has no path
        file.write(content)
        file.seek(0)
        yield file


def _read(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


class _Growth:
    """Whether a command's output grows, and who is told of it; without anybody to tell, it does not."""

    def __init__(self, output: BinaryIO, alive: Callable[[], None] | None) -> None:
        self._output = output
        self._alive = alive
        self._bytes = 0

    def __call__(self) -> bool:
        """Say whether it has grown since the last time."""
        before, self._bytes = self._bytes, os.fstat(self._output.fileno()).st_size
        if self._alive is None or self._bytes == before:
            return False
        self._alive()
        return True


def _wait(process: subprocess.Popen[bytes], timeout_seconds: float, grown: Callable[[], bool]) -> None:
    """Wait for the end. A pidfd tells of it at once, where subprocess looks now and then: a millisecond each time."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        # Linux before 5.3 has none.
        process.wait(timeout_seconds)
        return
    try:
        ending = select.poll()
        ending.register(pidfd, select.POLLIN)
        until = time.monotonic() + timeout_seconds
        while not ending.poll(timeout_seconds * 1000 / _LOOKS):
            if grown():
                until = time.monotonic() + timeout_seconds
            elif time.monotonic() >= until:
                raise subprocess.TimeoutExpired(process.args, timeout_seconds)
    finally:
        os.close(pidfd)
    process.wait()
