"""The count of repeated calls on disk, so that a daemon that dies and starts again has no more of them.

One line is added for each step of a call; the latest line of a key is what holds. Nothing is synced: the page cache
outlives the process, and what a power failure takes are a few seconds.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from slurm_amlfs.adapters.retry_budget import WINDOW
from slurm_amlfs.errors import TemporaryError

FILE_NAME = "retries"
"""The ledger in the state directory."""

KEPT = timedelta(days=1)
"""For how long it is remembered that a call failed."""

_MOST_LINES = 50_000
_WORDS = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of the calls of one key.

    `owed` are calls that would be repeated ones if they were made now, `run` the pages got since the listing began,
    `spent` says that the step was a repeated call.
    """

    at: datetime
    key: str
    owed: int
    run: int
    spent: bool = False


class RetryLedger:
    """One file. Not safe for threads. One that cannot be written is told at each step, and read as far as it goes."""

    def __init__(self, path: Path, now: datetime) -> None:
        """Read what an earlier process left; what it wrote by a clock that was ahead counts as written now."""
        self._path = path
        self._latest: dict[str, Entry] = {}
        self._spent: deque[datetime] = deque()
        self._lines = _MOST_LINES
        try:
            text = path.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            text = ""
        except OSError as error:
            raise TemporaryError(f"{path} cannot be read ({error.strerror}); mend the disk of state_dir") from error
        for entry in _entries(text, now):
            self._keep(entry)
        self._forget(now)

    def entries(self) -> tuple[Entry, ...]:
        """Give the latest entry of each key."""
        return tuple(self._latest.values())

    def spent(self) -> tuple[datetime, ...]:
        """Give when calls were repeated in the hour before the start."""
        return tuple(self._spent)

    def add(self, entry: Entry) -> None:
        """Write an entry; on disk, as far as a process can tell, when this returns.

        Raises:
            TemporaryError: it cannot be written, as on a full disk.
        """
        self._keep(entry)
        try:
            if self._lines >= _MOST_LINES:
                self._rewrite(entry.at)
            else:
                self._append(_line(entry))
        except OSError as error:
            raise TemporaryError(f"{self._path} cannot be written ({error.strerror}); mend its disk") from error

    def _keep(self, entry: Entry) -> None:
        self._latest.pop(entry.key, None)
        self._latest[entry.key] = entry
        if entry.spent:
            self._spent.append(entry.at)

    def _append(self, text: str) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            data = text.encode()
            if os.write(file, data) != len(data):
                raise OSError(28, "No space left on device")
        finally:
            os.close(file)
        self._lines += 1

    def _rewrite(self, now: datetime) -> None:
        self._forget(now)
        draft = self._path.with_name(f".{self._path.name}.tmp")
        spent = [Entry(at, "-", 0, 0, spent=True) for at in self._spent]
        lines = [_line(it) for it in [*spent, *(_unspent(it) for it in self._latest.values())]]
        draft.write_text("".join(lines), encoding="ascii")
        draft.chmod(0o600)
        draft.replace(self._path)
        # All that is there is what has to be kept: the next time is as far off again.
        self._lines = min(len(lines), _MOST_LINES // 2)

    def _forget(self, now: datetime) -> None:
        while self._spent and self._spent[0] <= now - WINDOW:
            self._spent.popleft()
        self._latest.pop("-", None)
        for key in [key for key, it in self._latest.items() if it.at <= now - (KEPT if it.owed else WINDOW)]:
            del self._latest[key]


def _unspent(entry: Entry) -> Entry:
    return Entry(entry.at, entry.key, entry.owed, entry.run)


def _line(entry: Entry) -> str:
    return f"{entry.at.timestamp():.3f} {entry.key} {entry.owed} {entry.run} {int(entry.spent)}\n"


def _entries(text: str, now: datetime) -> Iterator[Entry]:
    for line in text.splitlines():
        words = line.split()
        try:
            at = min(datetime.fromtimestamp(float(words[0]), UTC), now)
            entry = Entry(at, words[1], int(words[2]), int(words[3]), spent=words[4] == "1")
        except (ValueError, IndexError, OverflowError):
            # The last line of a process that died, or of a full disk.
            continue
        if len(words) == _WORDS:
            yield entry
