"""One process apart that answers calls, and can be killed when it does not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from slurm_amlfs.adapters.frames import Channel
from slurm_amlfs.errors import PermanentError, TemporaryError

_PASSED_ON = ("PATH", "HOME", "LD_LIBRARY_PATH", "PYTHONPATH")
"""All that it gets of the daemon's environment, in which there may be secrets."""


class Apart:
    """A process that was started. One thread asks at a time.

    Args:
        argv: The program; the descriptor of its end of the channel is added.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        self._ended: list[int] = []
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*argv, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**environment, "LC_ALL": "C.UTF-8"},
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise

    @property
    def over(self) -> bool:
        """Say whether the process has ended."""
        return self._process.poll() is not None

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def ask(self, method: str, args: tuple[object, ...], seconds: float) -> Any:  # noqa: ANN401 - each method's own
        """Have something done; return what is answered.

        Raises:
            TimeoutError: no sign of life for so many seconds.
            EOFError, OSError: the process is gone.
            TemporaryError, PermanentError: as told.
        """
        ended = []
        while self._ended:
            ended.append(self._ended.pop())
        self._channel.send((method, args, ended), seconds)
        while True:
            word, told = self._channel.receive(seconds)
            match word:
                case "well":
                    return told
                case "temporary":
                    raise TemporaryError(told)
                case "permanent":
                    raise PermanentError(told)
                case "broke":
                    raise TemporaryError(f"internal error, see the daemon's log: {told}")

    def end_walk(self, number: int) -> None:
        """Let a walk be forgotten, by the next call."""
        self._ended.append(number)

    def kill(self) -> None:
        """Kill it and all that it has started, and wait for nothing: one that hangs in the kernel goes when it can."""
        if not self.over:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def reaped(self, seconds: float) -> bool:
        """Wait for its end so long; say whether it has come."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.over

    def close(self) -> None:
        """Close the channel, when nobody asks any more. Twice is success."""
        self._channel.close()
