"""Restores as they mostly are, made by one call of copytool.c: a small file, at rest, whose blob is a file.

For measurements in which the emulator must not be what is slow. The call keeps the interpreter: what it touches has to
be in memory, and then to get the interpreter back would cost more than it. So nobody sees a file half restored, either.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from slurm_amlfs.emulator.faults import Faults
from slurm_amlfs.errors import UserError

NOT_SIMPLE = -1
"""What the library returns when it has left a file as it was."""


class Copytool:
    """Restores from the blobs of `FolderContents(blobs)`. While a fault is set it restores nothing.

    Raises:
        UserError: the library cannot be loaded.
    """

    def __init__(self, library: Path, blobs: Path, faults: Faults) -> None:
        try:
            self._call = ctypes.PyDLL(os.fspath(library.absolute())).amlfs_restore
        except (OSError, AttributeError) as error:
            raise UserError(
                f"{library} cannot be loaded as the emulator's copytool ({error});"
                " build it with make build/copytool.so, or leave out --copytool"
            ) from error
        self._call.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_int64)
        self._call.restype = ctypes.c_int64
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
