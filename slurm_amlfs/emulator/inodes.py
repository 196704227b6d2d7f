"""What the emulator remembers of files in use, and the space that all files hold.

A file that nobody has open and nothing moves is not in memory at all; its state is in its extended attribute.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from slurm_amlfs.emulator.hsm_rules import RELEASED, HsmRecord
from slurm_amlfs.emulator.tree import Tree


@dataclass(slots=True)
class Inode:
    """A file in use; every field is read and written under `Inodes.lock`, except where the reader copes.

    `held_bytes` is what of its size counts as used space. `whole` says that its contents are here; `marked` that a
    write has nothing more to note in its HSM record. `writes` counts writes, `releases` counts releases, so that who
    copied or read can tell whether the contents moved under it. `gone` says that no name is left.
    """

    number: int
    held_bytes: int
    whole: bool
    users: int = 0
    writers: int = 0
    marked: bool = False
    writes: int = 0
    releases: int = 0
    gone: bool = False


@dataclass(slots=True)
class Times:
    """Access and modification time that a file shows while its contents are being fetched."""

    atime_ns: int
    mtime_ns: int


@dataclass(slots=True)
class Space:
    """Used and total bytes. Used is the sum of the sizes of all files that are not released, holes included."""

    capacity_bytes: int
    used_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, size: int) -> None:
        """Count `size` more bytes as used.

        Raises:
            OSError: ENOSPC, and nothing is counted.
        """
        with self._lock:
            if size > 0 and self.used_bytes + size > self.capacity_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.used_bytes += size

    def take_what(self, move: Callable[[int], int]) -> int:
        """Count as used what `move` says, who is told how many bytes are free; negative is nothing. Return the same."""
        with self._lock:
            size = move(self.capacity_bytes - self.used_bytes)
            self.used_bytes += max(0, size)
            return size

    def give(self, size: int) -> None:
        """Count `size` bytes as free again."""
        with self._lock:
            self.used_bytes -= size

    @property
    def free_bytes(self) -> int:
        """Bytes that can still be taken."""
        return max(0, self.capacity_bytes - self.used_bytes)


class Inodes:
    """The files in use. `lock` guards their fields and every change of an HSM record; nothing slow runs under it."""

    def __init__(self, tree: Tree, space: Space) -> None:
        self.lock = threading.Lock()
        self.shown: dict[int, Times] = {}
        self._tree = tree
        self._space = space
        self._table: dict[int, Inode] = {}

    def at_rest(self, number: int) -> bool:
        """Say whether nobody uses a file; to be asked by who has the lock."""
        return number not in self._table

    def use(self, fd: int) -> Inode:
        """Find or make the record of an open backing file; `leave` ends the use."""
        with self.lock:
            return self.use_locked(fd, os.fstat(fd))

    def use_locked(self, fd: int, seen: os.stat_result, record: HsmRecord | None = None) -> Inode:
        """Do the same for who has the lock, and has read the file's attributes, and perhaps its record, under it."""
        inode = self._table.get(seen.st_ino)
        if inode is None:
            whole = not (record or self._tree.record(fd)).flags & RELEASED
            inode = self._table[seen.st_ino] = Inode(seen.st_ino, seen.st_size if whole else 0, whole)
        inode.users += 1
        return inode

    def leave(self, inode: Inode) -> None:
        """End one use. The space of a file without names is free when its last user has left."""
        with self.lock:
            inode.users -= 1
            if inode.users == 0:
                del self._table[inode.number]
                if inode.gone:
                    self._space.give(inode.held_bytes)

    @contextmanager
    def using(self, fd: int) -> Iterator[Inode]:
        """Use a file for the length of a block."""
        inode = self.use(fd)
        try:
            yield inode
        finally:
            self.leave(inode)

    def vanished(self, number: int, held_bytes: int) -> None:
        """Note that a file lost its last name; `held_bytes` is what it held if nobody uses it."""
        with self.lock:
            inode = self._table.get(number)
            if inode is not None:
                inode.gone = True
                return
        self._space.give(held_bytes)

    def writers(self, number: int) -> int:
        """Count who has a file open for writing."""
        inode = self._table.get(number)
        return inode.writers if inode is not None else 0
