"""Looking at files below a mount, one by one or many of a directory at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import islice

from slurm_amlfs.adapters.beneath import NO_NAMES, NOT_THERE, Beneath, parts_of
from slurm_amlfs.domain.view import FileKind, FileView

AHEAD_FILES = 100
"""Files of one directory from which on it is read to look at them."""
AHEAD_TIMES = 4
"""Entries that are read of a directory for each file wanted of it; the others are then looked at one by one."""

_KINDS = {stat.S_IFREG: FileKind.REGULAR, stat.S_IFDIR: FileKind.DIRECTORY, stat.S_IFLNK: FileKind.SYMLINK}


def view_of(path: str, facts: os.stat_result) -> FileView:
    """Make what is told of a path."""
    kind = _KINDS.get(stat.S_IFMT(facts.st_mode), FileKind.OTHER)
    return FileView(
        path=path,
        kind=kind,
        size_bytes=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        changed_ns=facts.st_ctime_ns,
        uid=facts.st_uid,
        links=facts.st_nlink,
    )


def looks(tree: Beneath, paths: Sequence[str]) -> dict[str, FileView]:
    """Stat many paths, following no link; what is not there is absent. A trailing "/" asks for a directory.

    Each directory is walked to once. Where many files of one are asked for it is read, and they are looked at in its
    own order: Lustre then fetches their attributes ahead (statahead), many at a time and not one trip to the metadata
    server after the other.

    Raises:
        TemporaryError: the file system is not mounted, or does not answer.
    """
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(path.removesuffix("/").rpartition("/")[0], []).append(path)
    views: dict[str, FileView] = {}
    for above, group in groups.items():
        ahead = _look_ahead(tree, above, group) if len(group) >= AHEAD_FILES else {}
        with ExitStack() as stack:
            folders: dict[str, int | None] = {}
            for path in group:
                facts = ahead.get(path) or stat_path(tree, stack, folders, path)
                if facts and (stat.S_ISDIR(facts.st_mode) or not path.endswith("/")):
                    views[path] = view_of(path, facts)
    return views


def stat_path(tree: Beneath, stack: ExitStack, folders: dict[str, int | None], path: str) -> os.stat_result | None:
    """Stat a path, following no link; None if it is not there. Its directory is kept open in `folders` by `stack`.

    Raises:
        TemporaryError: the file system is not mounted, or does not answer.
    """
    with tree.explained(path):
        opened = folder_of(tree, stack, folders, path)
        return None if opened is None else stat_in(tree, *opened)


def stat_in(tree: Beneath, folder: int, name: str) -> os.stat_result | None:
    """Stat what has a name in an open directory, following no link; None if it is not there.

    Raises:
        OSError: it does not answer.
    """
    tree.alive()
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise


def folder_of(tree: Beneath, stack: ExitStack, folders: dict[str, int | None], path: str) -> tuple[int, str] | None:
    """Open the directory of a path, kept in `folders` by `stack`; give it and the name in there. None if there is none.

    Raises:
        TemporaryError: the file system is not mounted.
        OSError: it does not answer.
    """
    above, slash, name = path.removesuffix("/").rpartition("/")
    if path == "/":
        name = "."
    elif not slash or name in NO_NAMES or "\0" in name:
        return None
    if above not in folders:
        parts = None if above.endswith("/") else parts_of(above or "/")
        folders[above] = None if parts is None else tree.folder(stack, parts)
    folder = folders[above]
    return None if folder is None else (folder, name)


def _look_ahead(tree: Beneath, above: str, group: Sequence[str]) -> dict[str, os.stat_result]:
    """Stat what is met of a directory's files while it is read, for as long as that may be worth it."""
    parts = parts_of(above or "/")
    facts: dict[str, os.stat_result] = {}
    if parts is None:
        return facts
    wanted = set(group)
    with tree.explained(above or "/"), ExitStack() as stack:
        folder = tree.folder(stack, parts)
        if folder is None:
            return facts
        listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        stack.callback(os.close, listed)
        for entry in islice(stack.enter_context(os.scandir(listed)), AHEAD_TIMES * len(wanted)):
            path = f"{above}/{entry.name}"
            if path in wanted:
                tree.alive()
                with suppress(FileNotFoundError):
                    facts[path] = entry.stat(follow_symlinks=False)
                if len(facts) == len(wanted):
                    break
    return facts
