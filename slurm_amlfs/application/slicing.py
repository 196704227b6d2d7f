"""What goes on from slice to slice, kept in between by the lease or the stage that it is done for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable
from typing import Generic, Protocol, TypeVar


class Closing(Protocol):
    """What can be ended before its time."""

    def close(self) -> None:
        """End it. Twice is success."""


class Settling(Protocol):
    """What a slice tells."""

    @property
    def settled(self) -> bool:
        """Say whether it was the last."""


KeyT = TypeVar("KeyT", bound=Hashable)
WorkT = TypeVar("WorkT", bound=Closing)
FoundT = TypeVar("FoundT", bound=Settling)


class Kept(Generic[KeyT, WorkT]):
    """Work of one kind that is not over; safe to use from several threads, for one key by one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._works: dict[KeyT, tuple[object, WorkT]] = {}

    def go_on(self, key: KeyT, wanted: object, begin: Callable[[], WorkT], go: Callable[[WorkT], FoundT]) -> FoundT:
        """Do a slice of what is wanted for a key: of what is under way if that is the same, else from the beginning.

        Whatever `go` raises ends the work.
        """
        with self._lock:
            known, work = self._works.pop(key, (None, None))
        if work is not None and known != wanted:
            work.close()
            work = None
        if work is None:
            work = begin()
        try:
            found = go(work)
        except BaseException:
            work.close()
            raise
        if found.settled:
            work.close()
        else:
            with self._lock:
                self._works[key] = (wanted, work)
        return found

    def keep(self, keys: Collection[KeyT]) -> None:
        """End the work for all other keys."""
        with self._lock:
            dropped = [self._works.pop(key) for key in self._works.keys() - set(keys)]
        for _, work in dropped:
            work.close()

    def keep_only(self, wanted: Callable[[WorkT], bool]) -> None:
        """End all other work."""
        with self._lock:
            keys = [key for key, (_, work) in self._works.items() if wanted(work)]
        self.keep(keys)
