"""mfusepy with what its high-level calls leave out or do too slowly.

Left out: rename's flags, the handle of ftruncate, UTIME_NOW and UTIME_OMIT, attributes in listings. Too slow: a dict
for each stat, which is most of what a file system is asked; here the machine's own lstat fills FUSE's struct (glibc
2.33 or later exports it).
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import mfusepy

if TYPE_CHECKING:
    from slurm_amlfs.emulator.mount import Mount

UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2

_STAT_POINTER = ctypes.POINTER(mfusepy.c_stat)
_libc = ctypes.PyDLL(None, use_errno=True)
_lstat = _libc.lstat
_lstat.argtypes = (ctypes.c_char_p, _STAT_POINTER)
_fstat = _libc.fstat
_fstat.argtypes = (ctypes.c_int, _STAT_POINTER)
_fstatat = _libc.fstatat
_fstatat.argtypes = (ctypes.c_int, ctypes.c_char_p, _STAT_POINTER, ctypes.c_int)

AT_SYMLINK_NOFOLLOW = 0x100
READDIR_PLUS, FILL_DIR_PLUS = 1, 2
"""FUSE_READDIR_PLUS and FUSE_FILL_DIR_PLUS of fuse.h."""


class Bridge(mfusepy.FUSE):  # type: ignore[misc]
    """Runs a mount until it is unmounted. The methods are called by libfuse's threads."""

    operations: Mount

    def fgetattr(self, path: bytes | None, buffer: Any, info: Any) -> int:  # noqa: ANN401 - ctypes pointers
        """Fill FUSE's stat; negative is an errno."""
        mount = self.operations
        if mount.faults.breaks_files and path is not None and mount.faults.broken(os.fsdecode(path[1:])):
            return -errno.EIO
        if _fstat(info.contents.fh, buffer) if path is None else _lstat(mount.where(path), buffer):
            return -ctypes.get_errno()
        if mount.shown:
            self._show(buffer.contents)
        return 0

    def _show(self, seen: Any) -> None:  # noqa: ANN401 - a ctypes structure
        """Put in the times that a file shows while its contents are being fetched."""
        times = self.operations.shown.get(seen.st_ino)
        if times is not None:
            seen.st_atimespec.tv_sec, seen.st_atimespec.tv_nsec = divmod(times.atime_ns, 10**9)
            seen.st_mtimespec.tv_sec, seen.st_mtimespec.tv_nsec = divmod(times.mtime_ns, 10**9)

    def readdir_fuse_3(  # noqa: PLR0913, PLR0917 - libfuse's signature
        self,
        path: bytes | None,
        buffer: Any,  # noqa: ANN401 - ctypes
        filler: Callable[..., int],
        offset: int,
        info: Any,  # noqa: ANN401 - ctypes
        flags: int,
    ) -> int:
        """List a directory, with all attributes where the kernel asks for them.

        With offsets of our own, because libfuse lets the kernel remember only what is given with one. They count names
        as they were when the listing began.
        """
        del path
        folder = info.contents.fh
        names = self.operations.listings.get(folder)
        if names is None or not offset:
            names = [b".", b"..", *map(os.fsencode, os.listdir(folder))]  # noqa: PTH208 - an open directory
            self.operations.listings[folder] = names
        seen = mfusepy.c_stat()
        # Without attributes each name is looked up by itself, and a broken one is found so.
        fill = FILL_DIR_PLUS if flags & READDIR_PLUS and not self.operations.faults.breaks_files else 0
        for number in range(offset, len(names)):
            name = names[number]
            if _fstatat(folder, name, seen, AT_SYMLINK_NOFOLLOW):
                continue
            if self.operations.shown:
                self._show(seen)
            if filler(buffer, name, seen, number + 1, fill):
                break
        return 0

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        """Rename; RENAME_NOREPLACE and RENAME_EXCHANGE are refused as unsupported (EINVAL, renameat2(2))."""
        if flags:
            return -errno.EINVAL
        return self.operations.rename(os.fsdecode(old), os.fsdecode(new))

    def truncate_fuse_3(self, path: bytes | None, length: int, info: Any) -> int:  # noqa: ANN401 - a ctypes pointer
        """Truncate by handle where there is one, because an open file may have no name left."""
        if info:
            return self.operations.truncate_open(info.contents.fh, length)
        return self.operations.truncate(os.fsdecode(path or b""), length)

    def utimens_fuse_3(self, path: bytes | None, times: Any, info: Any) -> int:  # noqa: ANN401 - ctypes pointers
        """Set times, the special ones included."""
        where = info.contents.fh if path is None else self.operations.where(path)
        seen = os.fstat(where) if isinstance(where, int) else os.lstat(where)
        now = time.time_ns()
        stamps = []
        for wanted, before in (
            (times.contents.actime, seen.st_atime_ns),
            (times.contents.modtime, seen.st_mtime_ns),
        ):
            special = {UTIME_NOW: now, UTIME_OMIT: before}.get(wanted.tv_nsec)
            stamps.append(special if special is not None else wanted.tv_sec * 10**9 + wanted.tv_nsec)
        if path is None:
            os.utime(where, ns=(stamps[0], stamps[1]))
            return 0
        return self.operations.utimens(os.fsdecode(path), (stamps[0], stamps[1]))
