"""How fast contents come back from the archive, and the writer that holds a fetch to that."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from slurm_amlfs.emulator.inodes import Space
from slurm_amlfs.emulator.rates import SHORTEST_SLEEP_SECONDS
from slurm_amlfs.emulator.requests import Request

LONGEST_SLEEP_SECONDS = 0.1
"""How long a cancel may go unnoticed."""


@dataclass(frozen=True, slots=True)
class RestoreRate:
    """Speed of all restores together; 0 is unlimited.

    The service restores at most about 7.5e9 bytes a second (tiered-checkpoints.md); 186 files a second were seen in
    blob-integration.md's sample of 78,100 files.
    """

    bytes_per_second: float = 0.0
    files_per_second: float = 0.0

    @property
    def unlimited(self) -> bool:
        """Say that nothing is held up."""
        return not (self.bytes_per_second or self.files_per_second)


class Spacing:
    """Turns amounts into waits so that no more than `per_second` passes; time in which nothing moved is not saved."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_each = 1.0 / per_second if per_second > 0 else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait_seconds(self, amount: float) -> float:
        """Book `amount` and say how long to wait until it may be gone."""
        if not self._seconds_each:
            return 0.0
        with self._lock:
            now = self._clock()
            self._free_at = max(now, self._free_at) + amount * self._seconds_each
            return self._free_at - now

    def wait(self, amount: float, stop: Callable[[], bool]) -> None:
        """Wait until `amount` may be gone.

        Raises:
            OSError: ECANCELED when `stop` says so meanwhile.
        """
        if not self._seconds_each and not stop():
            return
        due = self._clock() + self.wait_seconds(amount)
        while True:
            if stop():
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            ahead = due - self._clock()
            if ahead < SHORTEST_SLEEP_SECONDS:
                return
            time.sleep(min(ahead, LONGEST_SLEEP_SECONDS))


class Arriving:
    """What a fetch writes to, as to an open file: keeps the pace, counts what arrived, and stops when asked to.

    `end` is the end of the contents; the request knows what was written so far. The space for more than `end` is taken
    from `space` as it is needed and stays taken.
    """

    def __init__(self, fd: int, space: Space, spacing: Spacing, request: Request) -> None:
        self._fd = fd
        self._space = space
        self._spacing = spacing
        self._request = request
        self._position = 0
        self.end = 0

    def unwanted(self) -> bool:
        """Say whether the request was canceled."""
        return self._request.canceled

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def seekable(self) -> bool:
        """Say that pieces may come in any order."""
        return True

    def tell(self) -> int:
        """Say where the next write goes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to where the next write goes."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.end}[whence]
        self._position = start + offset
        return self._position

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all of `data`, when the pace allows.

        Raises:
            OSError: ECANCELED when asked to stop, ENOSPC when the file system is full.
        """
        size = memoryview(data).nbytes
        self._spacing.wait(size, self.unwanted)
        if self._position + size > self.end:
            self._space.take(self._position + size - self.end)
            self.end = self._position + size
        left = size
        while left:
            piece = data if left == size else memoryview(data).cast("B")[size - left :]
            written = os.pwrite(self._fd, piece, self._position)
            self._position += written
            self._request.moved_bytes += written
            left -= written
        return size
