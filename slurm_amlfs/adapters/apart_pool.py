"""The few processes that reach one file system, started when they are needed, and what is so while it does not answer.

A call that shows no sign of life in time costs its process: that is killed, and the file system is said to hang. From
then on one call at a time tries, and the others are told so at once, until one is answered. A process that cannot be
killed, because it waits in the kernel, is counted as one of the few: when all do, nobody tries before one has gone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from slurm_amlfs.adapters.apart import Apart
from slurm_amlfs.errors import AmlfsError, TemporaryError

log = logging.getLogger(__name__)

_DIES_SECONDS = 1.0
"""How long the end of a killed process is waited for: in the kernel's own time it takes milliseconds."""
_LOOK_SECONDS = 1.0
"""How often one that waits for a process looks whether one of those that could not be killed has gone."""


@dataclass(slots=True)
class _Hang:
    since: datetime
    tried: bool = False


class ApartPool:
    """The processes of one file system; safe to use from several threads.

    Args:
        name: The file system's.
        argv: The program.
        seconds: How long a call may show no sign of life.
        most: Processes at once.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        seconds: float,
        most: int,
        start: Callable[[Sequence[str]], Apart] = Apart,
    ) -> None:
        self._name = name
        self._argv = argv
        self._seconds = seconds
        self._most = most
        self._start = start
        self._changed = threading.Condition()
        self._free: list[Apart] = []
        self._all: set[Apart] = set()
        self._stuck: list[Apart] = []
        self._hang: _Hang | None = None
        self._closed = False

    def call(self, method: str, *args: object, on: Apart | None = None) -> tuple[Apart, Any]:
        """Have something done by any of the processes, or by that which has begun it; return that and the answer.

        Raises:
            TemporaryError: the file system does not answer, the process ended, or as told.
            PermanentError: as told.
        """
        apart, tries = self._take(on)
        try:
            answer = apart.ask(method, args, self._seconds)
        except TimeoutError as error:
            self._lose(apart, hangs=True)
            raise self._unanswered() from error
        except (EOFError, OSError) as error:
            self._lose(apart, tries=tries)
            raise self._ended() from error
        except AmlfsError:
            self._answered(apart)
            raise
        except BaseException:
            # Whatever it still answers is to nobody's question.
            self._lose(apart, tries=tries)
            raise
        self._answered(apart)
        return apart, answer

    @property
    def busy(self) -> int:
        """Count the calls under way."""
        with self._changed:
            return len(self._all) - len(self._free)

    @property
    def stuck(self) -> int:
        """Count the processes that were killed and have not gone."""
        with self._changed:
            self._stuck = [it for it in self._stuck if not it.over]
            return len(self._stuck)

    def close(self) -> None:
        """End all processes, and with them the calls under way; begin none. Twice is success."""
        with self._changed:
            self._closed = True
            for apart in self._all:
                apart.kill()
            until = time.monotonic() + _DIES_SECONDS
            for apart in self._all:
                apart.reaped(max(until - time.monotonic(), 0))
            for apart in self._free:
                apart.close()
            self._changed.notify_all()

    def _take(self, on: Apart | None) -> tuple[Apart, bool]:
        """Give a process to ask, and say whether that is to try whether the file system answers again."""
        with self._changed:
            while True:
                self._stuck = [it for it in self._stuck if not it.over]
                if self._closed:
                    raise TemporaryError(f"the file system {self._name} is left alone, the daemon ends")
                if self._hang is not None and (self._hang.tried or len(self._stuck) >= self._most):
                    raise self._unanswered()
                apart = self._free_one(on)
                if apart is not None:
                    break
                self._changed.wait(_LOOK_SECONDS)
            if self._hang is not None:
                self._hang.tried = True
            return apart, self._hang is not None

    def _free_one(self, on: Apart | None) -> Apart | None:
        if on is not None:
            if on not in self._all:
                raise self._ended()
            if on in self._free:
                self._free.remove(on)
                return on
            return None
        while self._free:
            apart = self._free.pop()
            if not apart.over:
                return apart
            self._all.discard(apart)
            apart.close()
        if len(self._all) + len(self._stuck) >= self._most:
            return None
        try:
            apart = self._start(self._argv)
        except OSError as error:
            raise TemporaryError(
                f"the process that reaches the file system {self._name} cannot be started ({error.strerror});"
                " free memory and processes, it is tried again"
            ) from error
        self._all.add(apart)
        return apart

    def _answered(self, apart: Apart) -> None:
        with self._changed:
            if self._hang is not None:
                log.info("lustre-answers", extra={"amlfs_pairs": {"fs": self._name, "since": self._hang.since}})
            self._hang = None
            self._free.append(apart)
            # Not only one: who waits may wait for another process.
            self._changed.notify_all()

    def _lose(self, apart: Apart, *, hangs: bool = False, tries: bool = False) -> None:
        apart.kill()
        reaped = apart.reaped(_DIES_SECONDS)
        apart.close()
        with self._changed:
            self._all.discard(apart)
            if not reaped:
                self._stuck.append(apart)
            if hangs and self._hang is None:
                since = datetime.now(UTC) - timedelta(seconds=self._seconds)
                self._hang = _Hang(since)
                pairs = {"fs": self._name, "since": since, "stuck": len(self._stuck)}
                log.error("lustre-hangs", extra={"amlfs_pairs": pairs})
            if self._hang is not None and (hangs or tries):
                self._hang.tried = False
            self._changed.notify_all()

    def _unanswered(self) -> TemporaryError:
        since = datetime.now(UTC) if self._hang is None else self._hang.since
        return TemporaryError(
            f"the file system {self._name} does not answer since {since:%Y-%m-%d %H:%M:%S} UTC; see that its mount, the"
            " network and its servers are well, it goes on by itself"
        )

    def _ended(self) -> TemporaryError:
        return TemporaryError(f"the process that reaches the file system {self._name} ended; it is started again")
