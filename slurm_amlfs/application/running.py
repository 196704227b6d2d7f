"""What runs in threads, each under a key: no two of one key at once.

Walks through whole trees have threads of their own, so that nobody's start waits for somebody's million files; and what
Slurm is told has some, so that nothing else waits for a slow slurmctld. What touches a file system waits for it in
threads that are for this file system only: one that does not answer keeps its own and no others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from slurm_amlfs.application.noticing import COMMENTS
from slurm_amlfs.application.walk_pool import WalkPool
from slurm_amlfs.domain.errand import Comment, Errand, Notify, TurnGate, Walk, file_systems_of, key_of
from slurm_amlfs.domain.urgency import Rank

_TOLD = (Comment, Notify, TurnGate)
"""What Slurm is told."""

Told = Callable[[], bool]
"""What puts the outcome in place, in the loop's own thread; it says whether that asks for a pass."""

_QUICK_WORKERS = 8
"""Threads for what takes one call of Azure or Slurm: looks, starts and stops of transfers."""

_MOUNT_WORKERS = 4
"""Threads for what takes one call of a file system: looks at its space, and receipts."""

_COMMENT_WORKERS = 2 * COMMENTS
"""Threads for comments and notices: half of them stay free for what announces a start."""


class Running:
    """What has been begun, or waits for a thread. Only one thread calls it; `bell` is rung when something ends."""

    def __init__(self, workers: int, bell: threading.Event) -> None:
        """Take how many threads there are for walks on one file system."""
        self._bell = bell
        self._workers = workers
        self._walks: dict[tuple[str, ...], WalkPool[Told]] = {}
        self._mounts: dict[tuple[str, ...], ThreadPoolExecutor] = {}
        self._calls = ThreadPoolExecutor(_QUICK_WORKERS, thread_name_prefix="call")
        self._comments = ThreadPoolExecutor(_COMMENT_WORKERS, thread_name_prefix="comment")
        self.futures: dict[str, Future[Told]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.futures

    def begin(self, errand: Errand, work: Callable[[], Told]) -> None:
        """Have an errand done, unless it is being done. A walk that no thread has begun is done as it is wished now."""
        key = key_of(errand)
        if isinstance(errand, Walk):
            self._walk(key, file_systems_of(errand), errand.rank, work)
        elif key not in self.futures:
            pool = self._comments if isinstance(errand, _TOLD) else self._pool(file_systems_of(errand))
            self._follow(key, pool.submit(work))

    def look(self, key: str, work: Callable[[], Told], *file_systems: str) -> None:
        """Have a look made, unless it is being made; say which mounts it touches."""
        if key not in self.futures:
            self._follow(key, self._pool(file_systems).submit(work))

    def collect(self) -> Iterator[tuple[str, Future[Told]]]:
        """Yield what has ended."""
        for key in [key for key, future in self.futures.items() if future.done()]:
            yield key, self.futures.pop(key)

    def keep_walks(self, keys: Collection[str]) -> bool:
        """Let no other walks wait for a thread, and say whether any did. What has begun is finished."""
        wanted = set(keys)
        dropped = {key for pool in self._walks.values() for key in pool.drop(set(pool.waiting()) - wanted)}
        for key in dropped:
            del self.futures[key]
        return bool(dropped)

    def close(self, seconds: float) -> bool:
        """Begin nothing more, and wait so long for what has begun; say whether all of it has ended."""
        for walks in self._walks.values():
            walks.shutdown(wait=False)
        for pool in (self._calls, self._comments, *self._mounts.values()):
            pool.shutdown(wait=False, cancel_futures=True)
        return not wait([it for it in self.futures.values() if not it.done()], seconds).not_done

    def _pool(self, file_systems: tuple[str, ...]) -> ThreadPoolExecutor:
        """Give the threads for what touches just these."""
        if not file_systems:
            return self._calls
        if file_systems not in self._mounts:
            self._mounts[file_systems] = ThreadPoolExecutor(_MOUNT_WORKERS, thread_name_prefix="mount")
        return self._mounts[file_systems]

    def _walk(self, key: str, place: tuple[str, ...], rank: Rank, work: Callable[[], Told]) -> None:
        if place not in self._walks:
            self._walks[place] = WalkPool(self._workers)
        if key not in self.futures:
            self._follow(key, self._walks[place].put(key, rank, work))
        else:
            self._walks[place].change(key, rank, work)

    def _follow(self, key: str, future: Future[Told]) -> None:
        self.futures[key] = future
        future.add_done_callback(lambda _: self._bell.set())
