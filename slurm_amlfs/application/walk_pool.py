"""The threads for what walks whole trees: what waits for one does so by its urgency, and can be changed until then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from slurm_amlfs.application.walk_queue import WalkQueue
from slurm_amlfs.domain.urgency import Rank

FoundT = TypeVar("FoundT")


class _Wish(NamedTuple, Generic[FoundT]):
    work: Callable[[], FoundT]
    future: Future[FoundT]


class WalkPool(Generic[FoundT]):
    """So many threads. Only what a thread is free for is handed to it; all else waits in the queue."""

    def __init__(self, threads: int) -> None:
        """Begin with all threads free."""
        self._lock = threading.Lock()
        self._free = threads
        self._queue: WalkQueue[_Wish[FoundT]] = WalkQueue(threads)
        self._waiting: dict[str, Future[FoundT]] = {}
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="walk")

    def put(self, key: str, rank: Rank, work: Callable[[], FoundT]) -> Future[FoundT]:
        """Have something done, under a key under which nothing waits."""
        future: Future[FoundT] = Future()
        with self._lock:
            self._waiting[key] = future
            self._queue.put(key, rank, _Wish(work, future))
            self._hand_out()
        return future

    def change(self, key: str, rank: Rank, work: Callable[[], FoundT]) -> None:
        """Have this done in place of what waits under the key; nothing if that was begun meanwhile."""
        with self._lock:
            if (future := self._waiting.get(key)) is not None:
                self._queue.put(key, rank, _Wish(work, future))
                # What was only foreseen may have had no thread left.
                self._hand_out()

    def waiting(self) -> list[str]:
        """List the keys of what no thread has begun yet."""
        with self._lock:
            return list(self._waiting)

    def drop(self, keys: Collection[str]) -> set[str]:
        """Let these wait no longer; return those that did, and were not begun meanwhile."""
        with self._lock:
            dropped = self._waiting.keys() & set(keys)
            self._cancel(dropped)
        return dropped

    def shutdown(self, *, wait: bool = True) -> None:
        """Begin nothing more, and finish what has begun; without `wait` its futures tell when it ends."""
        with self._lock:
            self._cancel(set(self._waiting))
        self._executor.shutdown(wait=wait)

    def _cancel(self, keys: set[str]) -> None:
        for wish in self._queue.drop(keys):
            wish.future.cancel()
            wish.future.set_running_or_notify_cancel()
        for key in keys:
            del self._waiting[key]

    def _hand_out(self) -> None:
        while self._free and (taken := self._queue.take()) is not None:
            key, foreseen, wish = taken
            del self._waiting[key]
            self._free -= 1
            self._executor.submit(self._do, wish, foreseen=foreseen)

    def _do(self, wish: _Wish[FoundT], *, foreseen: bool) -> None:
        try:
            found = wish.work()
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result is told
            wish.future.set_exception(error)
        else:
            wish.future.set_result(found)
        with self._lock:
            self._free += 1
            if foreseen:
                self._queue.end()
            self._hand_out()
