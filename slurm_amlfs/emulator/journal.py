"""What the emulator did: requests by operation and status, actions with their prefixes and times. For tests."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Action:
    """One use of the slot. `kind` is import, archive, autoImport or autoExport; times are aware UTC."""

    kind: str
    name: str
    prefixes: tuple[str, ...]
    started: datetime
    ended: datetime | None = None
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """The journal at one moment. `requests` counts by (operation, status); a cut connection has status 0."""

    requests: dict[tuple[str, int], int]
    actions: tuple[Action, ...]
    most_at_once: int


class Journal:
    """Counts and lists. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._actions: list[Action] = []
        self._running = 0
        self._most = 0

    def request(self, operation: str, status: int) -> None:
        """Count a request that was answered (status 0: its connection was cut)."""
        with self._lock:
            self._requests[operation, status] += 1

    def begin(self, kind: str, name: str, prefixes: tuple[str, ...]) -> int:
        """Note that an action runs; return its number for `end`."""
        with self._lock:
            self._actions.append(Action(kind, name, prefixes, datetime.now(UTC)))
            self._running += 1
            self._most = max(self._most, self._running)
            return len(self._actions) - 1

    def end(self, number: int, outcome: str) -> None:
        """Note that an action has ended, once."""
        with self._lock:
            if self._actions[number].ended is None:
                self._actions[number] = replace(self._actions[number], ended=datetime.now(UTC), outcome=outcome)
                self._running -= 1

    def page(self) -> Page:
        """Read everything."""
        with self._lock:
            return Page(dict(self._requests), tuple(self._actions), self._most)
