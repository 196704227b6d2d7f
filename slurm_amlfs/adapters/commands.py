"""Running somebody else's command: an argument list, an absolute path, a time limit, the C locale."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm_amlfs.errors import TemporaryError

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


def run(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    env: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
    stdin: bytes = b"",
) -> Outcome:
    """Run a command to its end.

    Args:
        argv: The first is an absolute path; no shell sees any of it.
        timeout_seconds: After which it is killed.
        env: More for its environment, which has little else in it.
        keep_open: File descriptors that it inherits.
        stdin: What it reads.

    Raises:
        TemporaryError: not done in time, or it cannot be started: the host is short of memory, processes or files, or
            an upgrade is replacing the program. None of it is a fault of the job that it is run for.
    """
    name = argv[0]
    base = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            check=False,
            timeout=timeout_seconds,
            env={**base, "LC_ALL": "C", **(env or {})},
            pass_fds=tuple(keep_open),
        )
    except subprocess.TimeoutExpired as error:
        raise TemporaryError(f"{name} did not end in {timeout_seconds:g} s; wait, it is run again") from error
    except OSError as error:
        raise TemporaryError(
            f"{name} cannot be started ({error.strerror}); install it, mend its path in the configuration,"
            " or free memory and processes: it is tried again"
        ) from error
    return Outcome(done.returncode, done.stdout, done.stderr)
