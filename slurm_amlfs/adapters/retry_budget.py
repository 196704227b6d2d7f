"""How many calls may be repeated in any hour. Safe to share between threads; the time is an argument.

A listing that begins again needs all its pages once more, so it reserves them before its first one: what is reserved
counts as used until it is used, or has lain idle for an hour.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)


class RetryBudget:
    """At most `per_hour` repeated calls in any hour, whoever asks; `spent` are those of an earlier process."""

    def __init__(self, per_hour: int, spent: Iterable[datetime] = ()) -> None:
        self.per_hour = per_hour
        self._spent: deque[datetime] = deque(sorted(spent))
        self._reserved: dict[str, tuple[int, datetime]] = {}
        self._lock = threading.Lock()

    @property
    def most_at_once(self) -> int:
        """Give the most that one listing reserves, so that one of any length can begin again some time."""
        return max(self.per_hour // 2, 1)

    def spend(self, now: datetime, key: str = "") -> bool:
        """Take one, of what is reserved for a key if anything is; or say that none is left."""
        with self._lock:
            self._forget(now)
            reserved = self._reserved.pop(key, (0, now))[0]
            if not reserved and self._left() < 1:
                return False
            if reserved > 1:
                self._reserved[key] = (reserved - 1, now)
            self._spent.append(now)
            return True

    def reserve(self, now: datetime, key: str, number: int) -> bool:
        """Keep so many for a key, all or none."""
        with self._lock:
            self._forget(now)
            before = self._reserved.pop(key, (0, now))[0]
            enough = self._left() >= number
            kept = number if enough else before
            if kept:
                self._reserved[key] = (kept, now)
            return enough

    def reserved(self, now: datetime, key: str) -> int:
        """Say how many are kept for a key."""
        with self._lock:
            self._forget(now)
            return self._reserved.get(key, (0, now))[0]

    def is_ample(self, now: datetime) -> bool:
        """Say whether more than half is left: only then may a call be repeated at once, and not when the loop comes."""
        with self._lock:
            self._forget(now)
            return 2 * self._left() > self.per_hour

    def free_in(self, now: datetime, number: int = 1) -> timedelta:
        """Say how long until so many are left, zero if they are."""
        with self._lock:
            self._forget(now)
            lacking = number - self._left()
            if lacking <= 0:
                return timedelta(0)
            return self._spent[lacking - 1] + WINDOW - now if lacking <= len(self._spent) else WINDOW

    def _left(self) -> int:
        return self.per_hour - len(self._spent) - sum(number for number, _ in self._reserved.values())

    def _forget(self, now: datetime) -> None:
        while self._spent and self._spent[0] <= now - WINDOW:
            self._spent.popleft()
        for key in [key for key, (_, touched) in self._reserved.items() if touched <= now - WINDOW]:
            del self._reserved[key]
