"""Telling the kernel to forget what it remembers of a path whose file changed behind it.

The kernel waits for reads of the file that are under way, and such a read may wait for a restore; so a thread of its
own does the telling, and who changed the file waits for it only so long.
"""

from __future__ import annotations

import ctypes
import os
import queue
import threading

import mfusepy

WAIT_SECONDS = 0.1
"""How long the one who changed a file waits at most until the kernel knows."""

JOIN_SECONDS = 2.0
"""How long an unmount waits for the thread, which the kernel may hold up until the connection is gone."""


class KernelCache:
    """The mount's remembered names and attributes. To be made inside a FUSE callback, and closed by `destroy`'s."""

    def __init__(self) -> None:
        library = mfusepy._libfuse  # noqa: SLF001 - the one way to the library that the mount runs on
        library.fuse_invalidate_path.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        self._invalidate = library.fuse_invalidate_path
        self._fuse = library.fuse_get_context().contents.fuse
        self._news: queue.SimpleQueue[tuple[str, threading.Event] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._tell, name="kernel-cache", daemon=True)
        self._thread.start()

    def forget(self, path: str) -> None:
        """Have a path forgotten, and wait a moment for it."""
        if not self._closed:
            told = threading.Event()
            self._news.put((path, told))
            told.wait(WAIT_SECONDS)

    def close(self) -> None:
        """End the thread, so that nothing touches libfuse's memory any more."""
        self._closed = True
        self._news.put(None)
        self._thread.join(JOIN_SECONDS)

    def _tell(self) -> None:
        while (news := self._news.get()) is not None and not self._closed:
            path, told = news
            self._invalidate(self._fuse, b"/" + os.fsencode(path))
            told.set()
