"""What runs in threads, each under a key: no two of one key at once.

Walks through whole trees have a pool of their own, so that nobody's start waits for somebody's million files; and what
Slurm is told has one, so that nothing else waits for a slow slurmctld.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from slurm_amlfs.application.noticing import COMMENTS
from slurm_amlfs.application.walk_pool import WalkPool
from slurm_amlfs.domain.errand import Comment, Errand, Notify, Walk, key_of

Told = Callable[[], bool]
"""What puts the outcome in place, in the loop's own thread; it says whether that asks for a pass."""

_QUICK_WORKERS = 8
"""Threads for what takes one call: looks, starts and stops of transfers, receipts."""

_COMMENT_WORKERS = 2 * COMMENTS
"""Threads for comments and notices: half of them stay free for what announces a start."""


class Running:
    """What has been begun, or waits for a thread. Only one thread calls it; `bell` is rung when something ends."""

    def __init__(self, workers: int, bell: threading.Event) -> None:
        """Take how many threads there are for walks."""
        self._bell = bell
        self._walks: WalkPool[Told] = WalkPool(workers)
        self._calls = ThreadPoolExecutor(_QUICK_WORKERS, thread_name_prefix="call")
        self._comments = ThreadPoolExecutor(_COMMENT_WORKERS, thread_name_prefix="comment")
        self.futures: dict[str, Future[Told]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.futures

    def begin(self, errand: Errand, work: Callable[[], Told]) -> None:
        """Have an errand done, unless it is being done. A walk that no thread has begun is done as it is wished now."""
        key = key_of(errand)
        if isinstance(errand, Walk):
            self._walk(key, errand, work)
        elif key not in self.futures:
            pool = self._comments if isinstance(errand, (Comment, Notify)) else self._calls
            self._follow(key, pool.submit(work))

    def look(self, key: str, work: Callable[[], Told]) -> None:
        """Have a look made, unless it is being made."""
        if key not in self.futures:
            self._follow(key, self._calls.submit(work))

    def collect(self) -> Iterator[tuple[str, Future[Told]]]:
        """Yield what has ended."""
        for key in [key for key, future in self.futures.items() if future.done()]:
            yield key, self.futures.pop(key)

    def keep_walks(self, keys: Collection[str]) -> bool:
        """Let no other walks wait for a thread, and say whether any did. What has begun is finished."""
        dropped = self._walks.drop(set(self._walks.waiting()) - set(keys))
        for key in dropped:
            del self.futures[key]
        return bool(dropped)

    def close(self) -> None:
        """Finish what has begun, and begin nothing more."""
        self._walks.shutdown()
        self._calls.shutdown(cancel_futures=True)
        self._comments.shutdown(cancel_futures=True)

    def _walk(self, key: str, errand: Walk, work: Callable[[], Told]) -> None:
        if key not in self.futures:
            self._follow(key, self._walks.put(key, errand.rank, work))
        else:
            self._walks.change(key, errand.rank, work)

    def _follow(self, key: str, future: Future[Told]) -> None:
        self.futures[key] = future
        future.add_done_callback(lambda _: self._bell.set())
