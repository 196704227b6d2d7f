"""Extended attributes of backing files, read and written without letting go of the interpreter.

The kernel has them in memory, and a call takes a microsecond. Python's own calls let another thread have the
interpreter for each, and to get it back costs many times that when mount and copytool are both busy.
"""

from __future__ import annotations

import ctypes
import os

_MOST_BYTES = 8192
"""Flags, and the name of a blob, which has at most 1,024 characters."""

_libc = ctypes.PyDLL(None, use_errno=True)
_fgetxattr = _libc.fgetxattr
_fgetxattr.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
_fgetxattr.restype = ctypes.c_ssize_t
_lgetxattr = _libc.lgetxattr
_lgetxattr.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
_lgetxattr.restype = ctypes.c_ssize_t
_fsetxattr = _libc.fsetxattr
_fsetxattr.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)


def get(where: str | int, name: bytes) -> bytes:
    """Read an attribute of a path, following no link, or of an open file.

    Raises:
        OSError: as os.getxattr.
    """
    buffer = ctypes.create_string_buffer(_MOST_BYTES)
    if isinstance(where, int):
        length = _fgetxattr(where, name, buffer, _MOST_BYTES)
    else:
        length = _lgetxattr(os.fsencode(where), name, buffer, _MOST_BYTES)
    if length < 0:
        raise _error(where)
    return ctypes.string_at(buffer, length)


def put(fd: int, name: bytes, value: bytes) -> None:
    """Write an attribute of an open file.

    Raises:
        OSError: as os.setxattr.
    """
    if _fsetxattr(fd, name, value, len(value), 0):
        raise _error(fd)


def _error(where: str | int) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), where)
