"""Walking through what is below a mount."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from slurm_amlfs.adapters.beneath import Beneath, parts_of
from slurm_amlfs.adapters.looks import view_of
from slurm_amlfs.domain.view import FileKind, FileView
from slurm_amlfs.errors import PermanentError

_ONE_FILES_FAULT = {errno.EIO, errno.EREMOTEIO, errno.ENODATA, errno.EINVAL, errno.ESHUTDOWN}
"""What a stat fails with where the objects of a file are not to be reached; a client that was evicted gets the last."""


def walk(tree: Beneath, prefix: str, left_out: str) -> Iterator[FileView]:
    """Stream what is not a directory and whose path begins with `prefix`, but for one folder in the root.

    What cannot be looked at is told as unreadable.

    Raises:
        TemporaryError: the file system is not mounted, or does not answer.
        PermanentError: the prefix is no path.
    """
    above, _, begins = prefix.rpartition("/")
    if not prefix.startswith("/") or (above and parts_of(above) is None):
        raise PermanentError(f"{prefix!r} is no path on a file system; write it from / on")
    pending = [(above, begins)]
    while pending:
        tree.alive()
        for view in _list(tree, *pending.pop()):
            if view.kind is not FileKind.DIRECTORY:
                yield view
            elif view.path != f"/{left_out}":
                pending.append((view.path, ""))


def _list(tree: Beneath, folder: str, begins: str) -> Iterator[FileView]:
    with tree.explained(folder or "/"), ExitStack() as stack:
        parent = tree.folder(stack, parts_of(folder or "/") or [])
        if parent is None:
            return
        listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
        stack.callback(os.close, listed)
        for entry in stack.enter_context(os.scandir(listed)):
            if entry.name.startswith(begins):
                tree.alive()
                with suppress(FileNotFoundError):
                    yield _view(f"{folder}/{entry.name}", entry)


def _view(path: str, entry: os.DirEntry[str]) -> FileView:
    """Look at what was met; one file that cannot be looked at must not end the walk past all others."""
    try:
        return view_of(path, entry.stat(follow_symlinks=False))
    except OSError as error:
        if error.errno not in _ONE_FILES_FAULT:
            raise
        return FileView(path, FileKind.UNREADABLE, 0)
