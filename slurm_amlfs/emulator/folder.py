"""Blobs that are files under a folder: for benchmarks in which Azurite must not be what is measured.

A blob named "a/b" is the file "a/b", so a name that cannot be a path cannot be a blob here, and "a" and "a/b" cannot
both be blobs. Metadata are kept in the extended attribute user.amlfs as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator import metadata
from slurm_amlfs.emulator.contents import Blob
from slurm_amlfs.emulator.tree import FileInfo

ATTRIBUTE = "user.amlfs"

FIRST_BYTES, PIECE_BYTES = 1 << 14, 1 << 20
"""Most that is read at first, and then at a time: room for a megabyte costs more than a small file."""

PARTIAL = ".amlfs-part"
"""Suffix of a file that is being written; never listed."""


class FolderContents:
    """A folder that plays a container. Written blobs appear whole or not at all, by rename."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._root = os.fspath(folder)

    def walk(self, prefix: str) -> Iterator[Blob]:
        """Stream blobs as `Contents.walk` says. Directories are blobs only when they carry metadata (a stub)."""
        yield from self._scan(prefix.rpartition("/")[0], prefix)

    def fetch(self, name: str, into: BinaryIO) -> None:
        """Read a blob as `Contents.fetch` says."""
        fd = os.open(f"{self._root}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            into.seek(0)
            most = FIRST_BYTES
            while piece := os.read(fd, most):
                into.write(piece)
                if len(piece) < most:
                    break
                most = PIECE_BYTES
        finally:
            os.close(fd)

    def store(self, name: str, source: Path, info: FileInfo) -> None:
        """Write a blob as `Contents.store` says."""
        attributes = metadata.write(kind=info.kind, uid=info.uid, gid=info.gid, mode=info.mode, mtime_ns=info.mtime_ns)
        place = Path(self._root, name)
        if info.kind is FileKind.DIRECTORY:
            place.mkdir(parents=True, exist_ok=True)
            os.setxattr(place, ATTRIBUTE, json.dumps(attributes).encode())
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"{place.name[:200]}.{os.urandom(4).hex()}{PARTIAL}")
        if info.kind is FileKind.SYMLINK:
            part.write_bytes(os.fsencode(info.target))
        else:
            shutil.copyfile(source, part)
        os.setxattr(part, ATTRIBUTE, json.dumps(attributes).encode())
        part.replace(place)

    def close(self) -> None:
        """Nothing is held."""

    def _scan(self, folder: str, prefix: str) -> Iterator[Blob]:
        try:
            entries = sorted(os.scandir(os.path.join(self._root, folder)), key=lambda entry: entry.name)  # noqa: PTH118 - 100,000 a second; Path objects would be most of the time
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if name.endswith(PARTIAL) or not (name.startswith(prefix) or (is_folder and prefix.startswith(name + "/"))):
                continue
            seen = entry.stat(follow_symlinks=False)
            attributes = _attributes(entry.path)
            if name.startswith(prefix) and (not is_folder or attributes):
                size = 0 if is_folder else seen.st_size
                yield Blob(name, size, datetime.fromtimestamp(seen.st_mtime, UTC), attributes)
            if is_folder:
                yield from self._scan(name, prefix)


def _attributes(path: str) -> dict[str, str]:
    try:
        loaded = json.loads(os.getxattr(path, ATTRIBUTE, follow_symlinks=False))
    except OSError:
        return {}
    return {str(key): str(value) for key, value in loaded.items()}
