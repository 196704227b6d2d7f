"""What imports and archives need of the emulated Lustre; `hsm.Hsm` with a marker is the real one.

Paths are relative to the root of the file system, text with surrogate escapes, "" for the root.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from slurm_amlfs.emulator.tree import FileInfo


class Lustre(Protocol):
    """A file tree with HSM states. All calls may be made from several threads at once; each may raise OSError."""

    def look(self, path: str) -> FileInfo | None:
        """See one path; None when it is not there."""

    def add_released(  # noqa: PLR0913, PLR0917 - the attributes of a file
        self, path: str, size: int, mtime_ns: int, uid: int, gid: int, mode: int
    ) -> None:
        """Make a file that is archived and released; its parents are made."""

    def add_directory(self, path: str, uid: int, gid: int, mode: int) -> None:
        """Make a directory, or give an existing one these attributes."""

    def add_symlink(self, path: str, target: str, uid: int, gid: int) -> None:
        """Make a symlink that is in the archive already."""

    def add_marker(self, path: str) -> None:
        """Make an empty file of root's that is never archived."""

    def remove(self, path: str) -> None:
        """Remove a file, symlink or empty directory. Gone is success."""

    def update_attributes(self, path: str, mtime_ns: int, uid: int, gid: int, mode: int) -> None:
        """Set attributes without touching HSM flags."""

    def changed(self, prefix: str) -> Iterator[str]:
        """Stream the files and symlinks whose path begins with `prefix` that are new or dirty."""

    def archive(self, path: str) -> bool:
        """Store one path as a blob; False when it changed meanwhile and stays dirty."""
