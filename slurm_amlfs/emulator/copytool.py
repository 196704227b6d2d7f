"""What the emulator does most often, made by one call of copytool.c: a simple restore, looks at many files.

For measurements in which the emulator must not be what is slow. A restore is simple where a small file is at rest and
its blob is a file. Each call lets go of the interpreter, and takes it once again.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from slurm_amlfs.emulator.faults import Faults
from slurm_amlfs.errors import UserError

LINE_BYTES = 64
"""Most that the library writes of a file."""

_SEEN = struct.Struct("=QII")

NOT_SIMPLE = -1
"""What the library returns when it has left a file as it was."""


class Copytool:
    """Restores from the blobs of `FolderContents(blobs)`. While a fault is set it restores nothing.

    Raises:
        UserError: the library cannot be loaded.
    """

    def __init__(self, library: Path, blobs: Path, faults: Faults) -> None:
        name = os.fspath(library.absolute())
        try:
            calls = ctypes.CDLL(name)
            self._call, self._tell, self._look = calls.amlfs_restore, calls.amlfs_tell, calls.amlfs_look
        except (OSError, AttributeError) as error:
            raise UserError(
                f"{library} cannot be loaded as the emulator's copytool ({error});"
                " build it with make build/copytool.so, or leave out --copytool"
            ) from error
        self._call.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_int64)
        self._call.restype = ctypes.c_int64
        self._tell.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_char_p)
        self._tell.restype = ctypes.c_int64
        self._look.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_char_p)
        self._look.restype = None
        self._blobs = os.fspath(blobs)
        self._faults = faults

    def restore(self, where: str, blob: str, number: int, room: int) -> int:
        """Restore the file at `where`, if that is simple and it has this inode number and fits into `room` bytes.

        Return its size; or NOT_SIMPLE, and nothing has changed. The caller has the lock of all HSM records.
        """
        if self._faults.any:
            return NOT_SIMPLE
        size: int = self._call(os.fsencode(where), os.fsencode(f"{self._blobs}/{blob}"), number, room)
        return size

    def tell(self, folder: bytes, names: bytes) -> bytes:
        """Tell the states of files in a folder of this machine, as `door.Door` does; there is a NUL between names."""
        room = ctypes.create_string_buffer(LINE_BYTES * (names.count(b"\0") + 1))
        return ctypes.string_at(room, self._tell(folder, names, len(names), room))

    def look(self, root: str, paths: Sequence[str]) -> Iterator[tuple[int, int, int]]:
        """Give inode number, HSM flags and archive of each of the paths below `root`; the number is 0 for odd files."""
        names = os.fsencode("\0".join(paths))
        room = ctypes.create_string_buffer(_SEEN.size * len(paths))
        if paths:
            self._look(os.fsencode(root), names, len(names), room)
        return _SEEN.iter_unpack(room)
