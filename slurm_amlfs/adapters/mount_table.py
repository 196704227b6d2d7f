"""What is mounted, by the kernel's own table: it answers also while a mount hangs, and says of what type each is."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from slurm_amlfs.errors import TemporaryError

LUSTRE = ("lustre", "fuse.amlfs")
"""Types of file systems that are Lustre; the second is the emulator's."""

_AUTOMOUNT = "autofs"
_INSIDE = ".amlfs"

_TABLE = "/proc/self/mountinfo"
_OCTAL = re.compile(rb"\\([0-7]{3})")
_PIECE_BYTES = 1 << 16


class MountTable:
    """Says whether a file system of one of some types is mounted at a path.

    The table is read again only when the kernel tells that it has changed (proc(5): a poll of it).
    """

    def __init__(self, types: Collection[str] = LUSTRE) -> None:
        self._types = frozenset(types)
        self._table = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._table, select.POLLPRI)
        self._known: dict[Path, str] = {}

    def __call__(self, path: Path) -> bool:
        """Say whether it is there.

        Raises:
            TemporaryError: something else is mounted there, which must not be taken for it.
        """
        if self._poll.poll(0):
            self._known.clear()
        kind = self._known.get(path)
        if kind is None:
            kind = self._type_at(path)
            if kind == _AUTOMOUNT:
                # It is mounted when somebody goes there (x-systemd.automount in fstab).
                with suppress(OSError):
                    (path / _INSIDE).stat()
                kind = self._type_at(path)
            self._known[path] = kind
        if kind and kind not in self._types:
            raise TemporaryError(f"what is mounted at {path} is {kind} and not Lustre; mount the file system there")
        return bool(kind)

    def _type_at(self, path: Path) -> str:
        """Give the type of what is mounted at a path, the latest where there are several; "" if nothing is."""
        # Of links above it the table knows nothing; whether it is one itself, only the mount could tell.
        place = os.fsencode(os.path.join(os.path.realpath(path.parent), path.name))  # noqa: PTH118 - as the table has it
        found = b""
        for line in self._read().splitlines():
            before, _, after = line.partition(b" - ")
            where = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), before.split(b" ")[4])
            if where == place:
                found = after.split(b" ")[0]
        return os.fsdecode(found)

    def _read(self) -> bytes:
        os.lseek(self._table, 0, os.SEEK_SET)
        pieces = []
        while piece := os.read(self._table, _PIECE_BYTES):
            pieces.append(piece)
        return b"".join(pieces)
