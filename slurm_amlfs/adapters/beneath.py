"""Reaching paths below a mount, and none elsewhere.

Promised: nothing outside the mount is read or touched, whatever users do to their directories meanwhile. Each path is
walked from the mount's root by directory descriptors, none of its parents through a link; names are only ever used
relative to such a descriptor. A name that cannot be on a file system ("..", an empty part) is not there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from slurm_amlfs.domain.quote import quote
from slurm_amlfs.errors import TemporaryError

NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""What a path that is not there is answered with, one through a link or of an impossible name included."""

NO_NAMES = {"", ".", ".."}
"""What no file has for its name."""

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Explained:
    """A block whose OSErrors become TemporaryErrors. There is one for each file, which a generator is too slow for."""

    __slots__ = ("_mount", "_path")

    def __init__(self, mount: Path, path: str) -> None:
        self._mount = mount
        self._path = path

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Turn an OSError.

        Raises:
            TemporaryError: there was one.
        """
        if isinstance(error, OSError):
            what = f"{self._mount}: {quote(self._path)}: {error.strerror}"
            raise TemporaryError(f"{what}; see that the mount is well, it goes on by itself") from error


class Beneath:
    """The tree below one mount.

    Args:
        mount: Where it is mounted on this host.
        is_mount: Says whether a path is a mount point.
        alive: Is called now and then by what takes long.
    """

    def __init__(self, mount: Path, is_mount: Callable[[Path], bool], alive: Callable[[], None]) -> None:
        self.alive = alive
        self._mount = mount
        self._is_mount = is_mount

    def mounted(self) -> bool:
        """Say whether the mount is there."""
        return self._is_mount(self._mount)

    def root(self, stack: ExitStack) -> int:
        """Open the mount's root; `stack` closes it.

        Raises:
            TemporaryError: nothing is mounted there: the empty folder below must not be taken for the file system.
            OSError: it does not answer.
        """
        root = self._open_root()
        stack.callback(os.close, root)
        return root

    def folder(self, stack: ExitStack, parts: Sequence[str]) -> int | None:
        """Open a directory, one part after the other and through no link; None if it is not there.

        Raises:
            TemporaryError: nothing is mounted there.
            OSError: it does not answer.
        """
        folder = self._open_root()
        try:
            for part in parts:
                above, folder = folder, os.open(part, _FOLDER, dir_fd=folder)
                os.close(above)
        except OSError as error:
            os.close(folder)
            if error.errno in NOT_THERE:
                return None
            raise
        stack.callback(os.close, folder)
        return folder

    def explained(self, path: str) -> Explained:
        """Turn an OSError within into a TemporaryError that names the path."""
        return Explained(self._mount, path)

    def _open_root(self) -> int:
        root = os.open(self._mount, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if not self.mounted():
            os.close(root)
            raise TemporaryError(
                f"no Lustre is mounted at {self._mount}; mount the file system there, it goes on by itself"
            )
        return root


def parts_of(path: str) -> list[str] | None:
    """Split a path into names; None if no file can have it. "/" has none; one trailing "/" is no name."""
    if not path.startswith("/") or "\0" in path:
        return None
    names = path[1:].removesuffix("/").split("/") if path != "/" else []
    return None if not NO_NAMES.isdisjoint(names) else names
