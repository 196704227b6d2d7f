"""System calls by which the mount looks at a thousand files a request, made without letting go of the interpreter.

What they tell the kernel has in memory, in a microsecond. Python's own calls take less by themselves, but let another
thread have the interpreter for each, and to get it back costs many times the call while the copytool is busy.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading

_MOST_BYTES = 8192
"""An attribute holds flags, and the name of a blob, which has at most 1,024 characters."""


class _Room(threading.local):
    """Where the kernel writes to: to clear so much memory anew costs more than the call."""

    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(_MOST_BYTES)


_room = _Room()
_libc = ctypes.PyDLL(None, use_errno=True)
_lgetxattr = _libc.lgetxattr
_lgetxattr.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
_lgetxattr.restype = ctypes.c_ssize_t
_statx = _libc.statx
_statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)

_AT_FDCWD, _AT_SYMLINK_NOFOLLOW = -100, 0x100
_STATX_TYPE, _STATX_INO = 0x1, 0x100
_MODE_AND_NUMBER = struct.Struct("=28xH2xQ")
"""stx_mode and stx_ino of struct statx, which is the same on every machine (linux/stat.h)."""


def get(path: bytes, name: bytes) -> bytes:
    """Read an extended attribute of a path, following no link.

    Raises:
        OSError: as os.getxattr.
    """
    buffer = _room.buffer
    length = _lgetxattr(path, name, buffer, _MOST_BYTES)
    if length < 0:
        raise _error(path)
    return buffer[:length]  # type: ignore[return-value]  # a slice of c_char is bytes


def type_and_number(path: bytes) -> tuple[int, int]:
    """Read a path's mode, of which only the type of the file is right, and its inode number; follow no link.

    Raises:
        OSError: as os.lstat.
    """
    buffer = _room.buffer
    if _statx(_AT_FDCWD, path, _AT_SYMLINK_NOFOLLOW, _STATX_TYPE | _STATX_INO, buffer):
        raise _error(path)
    mode, number = _MODE_AND_NUMBER.unpack_from(buffer)
    return mode, number


def _error(path: bytes) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), os.fsdecode(path))
