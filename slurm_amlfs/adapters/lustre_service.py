"""The part of the daemon that touches a mounted Lustre: it runs in a process of its own and answers one call at a time.

A mount can hang for ever, and nobody can take back a thread that waits for it; a process can be killed. What takes long
says now and then that it lives.
"""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from slurm_amlfs.adapters.apart_service import answer, live_with
from slurm_amlfs.adapters.frames import Channel, Row, numbers_of, rows_of
from slurm_amlfs.adapters.lfs import Lfs
from slurm_amlfs.adapters.lustre import LustreMount
from slurm_amlfs.domain.view import FileView

ALIVE_SECONDS = 0.5
"""How often a long call says that it lives."""
FIRST_FILES, MOST_FILES, TIMES = 8, 512, 4
"""Files of a walk that are told at once: few at first, for who only wants to know whether there is one, then more."""


class LustreService:
    """Answers what `lustre_apart` asks. Walks that are not at their end are kept, each by its number."""

    def __init__(self, channel: Channel, make: Callable[[Callable[[], None]], LustreMount]) -> None:
        """Take the channel; `make` makes the port, and is given what says that a call lives."""
        self._channel = channel
        self._lock = threading.Lock()
        self._told = 0.0
        self._lustre = make(self.alive)
        self._walks: dict[int, Iterator[FileView]] = {}
        self._number = 0

    def alive(self) -> None:
        """Say that the call goes on; most times nothing is said."""
        now = time.monotonic()
        if now - self._told >= ALIVE_SECONDS:
            with self._lock:
                if now - self._told >= ALIVE_SECONDS:
                    self._told = now
                    self._channel.send(("alive", None))

    def serve(self) -> None:
        """Answer until the daemon is gone."""
        while True:
            try:
                method, args, ended = self._channel.receive()
                for number in ended:
                    self._walks.pop(number, None)
                self._told = time.monotonic()
                self._channel.send(answer(self._do, method, args))
            except (EOFError, OSError):
                return

    def _do(self, method: str, args: tuple[Any, ...]) -> object:
        lustre = self._lustre
        match method:
            case "looks":
                return rows_of(lustre.looks(*args).values())
            case "hsm_states":
                return numbers_of(lustre.hsm_states(*args))
            case "walk":
                self._number += 1
                self._walks[self._number] = lustre.walk(*args)
                return (self._number, *self._go_on(self._number, FIRST_FILES))
            case "go_on":
                return self._go_on(*args)
            case "space":
                space = lustre.space()
                return space.total_bytes, space.free_bytes
            case "mounted" | "restore" | "archive" | "hsm_busy" | "release" | "put_receipt" | "drop_receipt":
                return getattr(lustre, method)(*args)
            case _:
                raise ValueError(method)

    def _go_on(self, number: int, files: int) -> tuple[list[Row], bool]:
        """Walk on; say whether that was the end."""
        walk = self._walks.pop(number)
        until = time.monotonic() + ALIVE_SECONDS
        views: list[FileView] = []
        for view in walk:
            views.append(view)
            if len(views) >= files or (not len(views) % FIRST_FILES and time.monotonic() >= until):
                self._walks[number] = walk
                return rows_of(views), False
        return rows_of(views), True


def serve(end: socket.socket, mount: Path, lfs: Path, lfs_seconds: float, is_mount: Callable[[Path], bool]) -> None:
    """Serve one mount for the daemon at the other end, and end with it."""
    live_with(end)
    # A walk that is not at its end keeps its directory open, and there may be hundreds.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def make(alive: Callable[[], None]) -> LustreMount:
        return LustreMount(mount, Lfs(lfs, timeout_seconds=lfs_seconds, alive=alive), is_mount, alive)

    LustreService(Channel(end), make).serve()
