"""What happens to one file when it is archived, restored, released or removed from the archive.

Nothing here holds a lock while contents move; whether the file changed meanwhile is seen from its counters.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator.copytool import NOT_SIMPLE, Copytool
from slurm_amlfs.emulator.hsm_rules import (
    ARCHIVED,
    DEFAULT_ARCHIVE_ID,
    DIRTY,
    EXISTS,
    LOST,
    NOARCHIVE,
    RELEASED,
    HsmAction,
    HsmRecord,
    is_needed,
    may_release,
)
from slurm_amlfs.emulator.inodes import Inode, Inodes, Space, Times
from slurm_amlfs.emulator.requests import Request
from slurm_amlfs.emulator.restore_pace import Arriving, RestoreRate, Spacing
from slurm_amlfs.emulator.tree import FileInfo, Tree

KEEP_SIZE_PUNCH_HOLE = 3
"""FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE of linux/falloc.h."""

LARGEST_BLOCK_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Contents(Protocol):
    """Where archived contents are."""

    def fetch(self, name: str, into: BinaryIO) -> None:
        """Write a blob's bytes to `into`."""

    def store(self, name: str, source: Path, info: FileInfo) -> None:
        """Make a file's bytes and attributes the blob `name`."""


class Transfers:
    """Moves one file at a time between the tree and the archive."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it moves files between
        self,
        tree: Tree,
        inodes: Inodes,
        space: Space,
        contents: Contents,
        rate: RestoreRate,
        copytool: Copytool | None = None,
    ) -> None:
        self._tree = tree
        self._inodes = inodes
        self._space = space
        self._contents = contents
        self._files = Spacing(rate.files_per_second)
        self._bytes = Spacing(rate.bytes_per_second)
        self._copytool = copytool if rate.unlimited else None

    def restore(self, request: Request) -> None:
        """Fetch a released file's contents. Its size and times stay, unless the blob's size is another by now.

        A file that is not released, or gone, is success.

        Raises:
            OSError: EIO when the fetch failed, ENOSPC, ECANCELED; the file is released as before.
        """
        if self._copytool and self._restored_at_once(request, self._copytool):
            return
        fd = self._backing(request, os.O_RDWR)
        try:
            # All of this under one lock: nobody may set times between what was read and what is shown.
            with self._inodes.lock:
                seen = self._seen(request, fd)
                record, written = self._tree.record(fd), self._tree.records_written
                inode = self._inodes.use_locked(fd, seen, record)
                if record.flags & RELEASED:
                    self._inodes.shown[inode.number] = Times(seen.st_atime_ns, seen.st_mtime_ns)
                else:
                    inode.whole = True
            try:
                if not record.flags & RELEASED:
                    return
                size = self._bring(request, fd, self._tree.blob(request.path, record), seen.st_size)
                with self._inodes.lock:
                    if size != seen.st_size:
                        os.ftruncate(fd, size)
                        request.resized = True
                    inode.held_bytes, inode.whole = size, True
                    if written != self._tree.records_written:
                        record = self._tree.record(fd)
                    self._tree.set_record(fd, HsmRecord(record.flags & ~RELEASED, record.archive_id, record.blob))
                    self._show_times(fd, inode.number)
            finally:
                self._inodes.leave(inode)
        finally:
            os.close(fd)

    def _restored_at_once(self, request: Request, copytool: Copytool) -> bool:
        """Restore a file that can be restored by one call; say whether it was. If not, nothing has changed."""
        path, number = request.path, request.number
        with self._inodes.lock:
            if request.canceled or not (self._inodes.at_rest(number) and self._tree.is_plain(path)):
                return False
            where = self._tree.at(path)
            try:
                seen = os.lstat(where)
            except OSError:
                return False
            self._inodes.shown[number] = Times(seen.st_atime_ns, seen.st_mtime_ns)
            size = self._space.take_what(lambda room: copytool.restore(where, path, number, room))
            del self._inodes.shown[number]
            if size == NOT_SIMPLE:
                return False
            self._tree.records_written += 1
            request.moved_bytes = size
            return True

    def _bring(self, request: Request, fd: int, blob: str, size: int) -> int:
        """Fetch a blob into a file that has the size of its contents and none of them; return the size that came."""
        arriving = Arriving(fd, self._space, self._bytes, request)
        try:
            self._files.wait(1, arriving.unwanted)
            self._fetch(blob, arriving)
        except BaseException:
            self._space.give(arriving.end)
            with self._inodes.lock:
                punch(fd, max(size, arriving.end), size)
                self._show_times(fd, request.number)
            raise
        return arriving.end

    def _fetch(self, blob: str, arriving: Arriving) -> None:
        try:
            self._contents.fetch(blob, cast("BinaryIO", arriving))
        except OSError:
            raise
        except Exception as error:
            raise OSError(errno.EIO, f"blob {blob!r} could not be fetched: {error}") from error

    def _show_times(self, fd: int, number: int) -> None:
        times = self._inodes.shown.pop(number)
        os.utime(fd, ns=(times.atime_ns, times.mtime_ns))

    def archive(self, request: Request) -> bool:
        """Copy a file to the archive, if it needs that; say whether the archive then has what the file has.

        While it runs the file has EXISTS (mdt_hsm_agent_send). One that was written meanwhile stays dirty: the copy
        is not confirmed (ll_ioc_copy_end, "File content was changed during archiving").

        Raises:
            OSError: EIO when storing failed, ECANCELED; FileNotFoundError.
        """
        with self._open(request, os.O_RDONLY) as (fd, inode):
            with self._inodes.lock:
                record = self._tree.record(fd)
                if not is_needed(HsmAction.ARCHIVE, record.flags) or record.flags & NOARCHIVE:
                    return not record.flags & NOARCHIVE
                record = replace(
                    record,
                    flags=record.flags | EXISTS,
                    archive_id=request.archive_id or record.archive_id or DEFAULT_ARCHIVE_ID,
                )
                self._set(fd, inode, record)
                writes, blob = inode.writes, request.path
            info = self._tree.look(request.path)
            if info is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), request.path)
            self._store(blob, Path(f"/proc/self/fd/{fd}"), info)
            if request.canceled:
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            with self._inodes.lock:
                record = self._tree.record(fd)
                if inode.writes != writes:
                    self._set(fd, inode, replace(record, flags=record.flags | DIRTY))
                    return False
                self._set(fd, inode, replace(record, flags=(record.flags | ARCHIVED) & ~(DIRTY | LOST), blob=""))
                with contextlib.suppress(FileNotFoundError):
                    self._tree.remember_blob(request.path, blob, always=os.fstat(fd).st_nlink > 1)
            return True

    def _store(self, blob: str, source: Path, info: FileInfo) -> None:
        try:
            self._contents.store(blob, source, info)
        except OSError:
            raise
        except Exception as error:
            raise OSError(errno.EIO, f"blob {blob!r} could not be stored: {error}") from error

    def archive_other(self, path: str, info: FileInfo) -> None:
        """Store a symlink or directory, which has no contents of its own that could change."""
        self._store(path, Path(self._tree.at(path)), info)
        if info.kind is FileKind.SYMLINK:
            self._tree.mark_link(path, EXISTS | ARCHIVED)

    def release(self, path: str) -> None:
        """Give a clean archived file's space back. One that is released already is success (mdt_hsm_release).

        Raises:
            OSError: EPERM when its flags forbid it, EBUSY when it is open for writing (mdt_object_open_lock).
        """
        with self._open(Request(HsmAction.RELEASE, 0, path), os.O_RDWR) as (fd, inode), self._inodes.lock:
            record = self._tree.record(fd)
            if not may_release(record.flags):
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
            if inode.writers:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
            if record.flags & RELEASED:
                return
            seen = os.fstat(fd)
            inode.releases += 1
            inode.whole = False
            self._inodes.shown[inode.number] = Times(seen.st_atime_ns, seen.st_mtime_ns)
            self._set(fd, inode, replace(record, flags=record.flags | RELEASED))
            punch(fd, seen.st_size, seen.st_size)
            self._show_times(fd, inode.number)
            self._space.give(inode.held_bytes)
            inode.held_bytes = 0

    def remove(self, request: Request) -> None:
        """Forget the archive's copy. The blob stays, because the service does not propagate deletes either."""
        with self._open(request, os.O_RDONLY) as (fd, inode), self._inodes.lock:
            record = self._tree.record(fd)
            self._set(fd, inode, replace(record, flags=record.flags & ~(ARCHIVED | EXISTS | LOST)))

    def _set(self, fd: int, inode: Inode, record: HsmRecord) -> None:
        inode.marked = False
        self._tree.set_record(fd, record)

    @contextlib.contextmanager
    def _open(self, request: Request, flags: int) -> Iterator[tuple[int, Inode]]:
        fd = self._backing(request, flags)
        try:
            self._seen(request, fd)
            with self._inodes.using(fd) as inode:
                yield fd, inode
        finally:
            os.close(fd)

    def _backing(self, request: Request, flags: int) -> int:
        return os.open(self._tree.at(request.path), flags | os.O_NOFOLLOW | os.O_CLOEXEC)

    @staticmethod
    def _seen(request: Request, fd: int) -> os.stat_result:
        """Read the attributes of what was opened, which has to be the file that the request is for."""
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or request.number not in {0, seen.st_ino}:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), request.path)
        return seen


def punch(fd: int, length: int, size: int) -> None:
    """Free the blocks of the first `length` bytes and leave the file `size` bytes long.

    Whole blocks only are freed, so the hole ends at a multiple of what any file system has for a block.
    """
    if length and _libc.fallocate(fd, KEEP_SIZE_PUNCH_HOLE, 0, -(-length // LARGEST_BLOCK_BYTES) * LARGEST_BLOCK_BYTES):
        os.ftruncate(fd, 0)
    os.ftruncate(fd, size)
