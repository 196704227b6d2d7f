"""Folders with the modes of the contract, whatever the daemon's umask is."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

_PASS = 0o711

OF_THE_DISK = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ENOMEM}
)
"""Errors that may pass by themselves, or when somebody mends the disk."""


def make_folder(path: Path, mode: int) -> None:
    """Make a folder, or set the mode of the one that is there; its parent is made passable for hooks and users.

    Raises:
        OSError: it cannot be made, or something else has its name.
    """
    path.mkdir(exist_ok=True)
    path.chmod(mode)
    parent_mode = stat.S_IMODE(path.parent.stat().st_mode)
    if parent_mode & _PASS != _PASS:
        path.parent.chmod(parent_mode | _PASS)
