"""A Lustre in memory with the promises of `lustre.Lustre`, and a container in memory."""

# ruff: noqa: D102 - the protocols say what each method promises

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from slurm_amlfs.domain.view import FileKind, HsmState
from slurm_amlfs.emulator import metadata
from slurm_amlfs.emulator.contents import Blob
from slurm_amlfs.emulator.tree import FileInfo

LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RELEASED = (HsmState.EXISTS | HsmState.ARCHIVED | HsmState.RELEASED).value
CLEAN = (HsmState.EXISTS | HsmState.ARCHIVED).value
DIRTY = (HsmState.EXISTS | HsmState.ARCHIVED | HsmState.DIRTY).value


class MemoryContents:
    """Blobs in a dict."""

    def __init__(self) -> None:
        self.blobs: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.broken_after: int | None = None

    def put(self, name: str, data: bytes = b"", **attributes: str) -> None:
        self.blobs[name] = (data, attributes)

    def walk(self, prefix: str) -> Iterator[Blob]:
        for number, (name, (data, attributes)) in enumerate(sorted(self.blobs.items())):
            if self.broken_after is not None and number >= self.broken_after:
                raise OSError(errno.EIO, "the listing broke off")
            if name.startswith(prefix):
                yield Blob(name, len(data), LONG_AGO, attributes)

    def fetch(self, name: str, into: BinaryIO) -> None:
        if name not in self.blobs:
            raise FileNotFoundError(errno.ENOENT, "no such blob", name)
        into.write(self.blobs[name][0])

    def store(self, name: str, source: Path, info: FileInfo) -> None:
        data = b"" if info.kind is FileKind.DIRECTORY else os.fsencode(source)
        self.blobs[name] = (
            data,
            metadata.write(kind=info.kind, uid=info.uid, gid=info.gid, mode=info.mode, mtime_ns=info.mtime_ns),
        )

    def close(self) -> None:
        self.blobs.clear()


class MemoryLustre:
    """A tree in a dict. `while_archiving` is called while a file is stored, to change it meanwhile."""

    def __init__(self, contents: MemoryContents) -> None:
        self.files: dict[str, FileInfo] = {}
        self.contents = contents
        self.while_archiving: Callable[[str], None] = lambda _path: None

    def write(self, path: str, size: int = 1, flags: int = 0, **attributes: int) -> None:
        self._parents(path)
        info = FileInfo(FileKind.REGULAR, size, 0, 0, 0, 0o644, flags)
        self.files[path] = replace(info, **attributes)  # type: ignore[arg-type]

    def look(self, path: str) -> FileInfo | None:
        return self.files.get(path)

    def add_released(  # noqa: PLR0913, PLR0917 - the attributes of a file
        self, path: str, size: int, mtime_ns: int, uid: int, gid: int, mode: int
    ) -> None:
        self._new(path, FileInfo(FileKind.REGULAR, size, mtime_ns, uid, gid, mode, RELEASED))

    def add_directory(self, path: str, uid: int, gid: int, mode: int) -> None:
        self._parents(path)
        self.files[path] = FileInfo(FileKind.DIRECTORY, 0, 0, uid, gid, mode)

    def add_symlink(self, path: str, target: str, uid: int, gid: int) -> None:
        self._new(path, FileInfo(FileKind.SYMLINK, 0, 0, uid, gid, 0o777, CLEAN, target))

    def add_marker(self, path: str) -> None:
        self._new(path, FileInfo(FileKind.REGULAR, 0, 0, 0, 0, 0o644, HsmState.NOARCHIVE.value))

    def remove(self, path: str) -> None:
        if any(other.startswith(path + "/") for other in self.files):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        self.files.pop(path, None)

    def update_attributes(self, path: str, mtime_ns: int, uid: int, gid: int, mode: int) -> None:
        self.files[path] = replace(self.files[path], mtime_ns=mtime_ns, uid=uid, gid=gid, mode=mode)

    def changed(self, prefix: str) -> Iterator[str]:
        for path, info in list(self.files.items()):
            flags = HsmState(info.flags)
            wanted = info.kind is not FileKind.DIRECTORY and not flags & HsmState.NOARCHIVE
            if path.startswith(prefix) and wanted and not flags.clean:
                yield path

    def archive(self, path: str) -> bool:
        before = self.files[path]
        self.contents.store(path, Path(path), before)
        self.while_archiving(path)
        if self.files[path] != before:
            return False
        self.files[path] = replace(before, flags=CLEAN)
        return True

    def _new(self, path: str, info: FileInfo) -> None:
        self._parents(path)
        if path in self.files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        self.files[path] = info

    def _parents(self, path: str) -> None:
        above = path.rpartition("/")[0]
        if not above:
            return
        there = self.files.get(above)
        if there is None:
            self._parents(above)
            self.files[above] = FileInfo(FileKind.DIRECTORY, 0, 0, 0, 0, 0o755)
        elif there.kind is not FileKind.DIRECTORY:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), above)
