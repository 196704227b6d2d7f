"""The emulated file system's names, attributes and HSM records, kept in a folder of the machine.

Each file is a file of the same name under `FOLDER/tree`, so POSIX semantics are the machine's own; a released file is
a sparse one. What Lustre keeps in `trusted.hsm` is in an extended attribute here. Paths are relative to the file
system's root, "" is the root, undecodable bytes are surrogate-escaped. Nothing here locks or knows of FUSE.
"""

# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH115, PTH120 - a Path costs more than the system call it makes

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator import quick_calls
from slurm_amlfs.emulator.hsm_rules import IMPORTED, HsmRecord
from slurm_amlfs.emulator.hsm_text import read_record, write_record
from slurm_amlfs.errors import PermanentError

RECORD = "user.amlfs.hsm"
"""Extended attribute of a regular file: "FLAGS ARCHIVE_ID" in hex and decimal, then a newline and the blob's name."""

RECORD_BYTES = RECORD.encode()

LINK_RECORD = "trusted.amlfs.hsm"
"""The same for a symlink, on which Linux allows no user.* attributes (xattr(7))."""

MOVED_FROM = "user.amlfs.from"
"""Extended attribute of a directory that was renamed: the path that its blobs still have."""

HIDDEN = ".fuse_hidden"
"""How libfuse begins the name that it gives to a file that is unlinked while it is open. Such files are kept apart from
the tree, so that no listing and no export sees them, and end with the process."""

PRIVATE = frozenset({RECORD, MOVED_FROM})
"""Attributes that users of the mount neither see nor touch."""

DIRECTORY_MODE = 0o755

MOST_PARENTS = 100_000
"""How many directories are remembered as real and unmoved, so that each imported file need not walk up again."""

_KINDS = {stat.S_IFREG: FileKind.REGULAR, stat.S_IFDIR: FileKind.DIRECTORY, stat.S_IFLNK: FileKind.SYMLINK}
_NO_NAMES = frozenset({"", ".", ".."})
_NO_RECORD = HsmRecord()
_WITHOUT_RECORD = frozenset({errno.ENODATA, errno.EPERM, errno.ENOTSUP})


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One path. `mode` has permission bits only; `flags` are HSM flags; `target` is a symlink's, else ""."""

    kind: FileKind
    size: int
    mtime_ns: int
    uid: int
    gid: int
    mode: int
    flags: int = 0
    target: str = ""


class Tree:
    """The folder behind one file system. Creates it if need be.

    Raises:
        PermanentError: the folder cannot hold extended attributes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = os.fspath(folder / "tree")
        os.makedirs(self.root, exist_ok=True)
        self._hidden = os.fspath(folder / "hidden")
        shutil.rmtree(self._hidden, ignore_errors=True)
        os.makedirs(self._hidden)
        self._check_attributes()
        self._parents: dict[str, bool] = {}
        self.records_written = 0
        """Who holds the lock that guards all records, and finds this as it was, need not read any of them again."""

    def _check_attributes(self) -> None:
        try:
            os.setxattr(self.root, "user.amlfs.check", b"1")
            os.removexattr(self.root, "user.amlfs.check")
        except OSError as error:
            raise PermanentError(
                f"{self.root} takes no extended attributes ({error.strerror}), in which the emulator keeps HSM states;"
                " choose a folder on ext4, xfs or btrfs (or on tmpfs from Linux 6.6)"
            ) from error

    def at(self, path: str) -> str:
        """Say where a path is on this machine."""
        if HIDDEN in path:
            name = path.rpartition("/")[2]
            if name.startswith(HIDDEN):
                return f"{self._hidden}/{name}"
        return f"{self.root}/{path}" if path else self.root

    def look(self, path: str) -> FileInfo | None:
        """Read one path without following a last symlink; None if it is not there."""
        where = self.at(path)
        try:
            self._parent_is_plain(path)
            seen = os.lstat(where)
            kind = _KINDS.get(stat.S_IFMT(seen.st_mode), FileKind.OTHER)
            target = os.readlink(where) if kind is FileKind.SYMLINK else ""
            flags = self.record(path, kind).flags
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileInfo(
            kind,
            seen.st_size,
            seen.st_mtime_ns,
            seen.st_uid,
            seen.st_gid,
            stat.S_IMODE(seen.st_mode),
            flags,
            target,
        )

    def record(self, path: str | int, kind: FileKind = FileKind.REGULAR) -> HsmRecord:
        """Read a path's or open file's HSM record; what has none is all zero, as in Lustre."""
        try:
            if isinstance(path, int):
                return read_record(os.getxattr(path, RECORD))
            if kind is FileKind.REGULAR:
                return read_record(quick_calls.get(os.fsencode(self.at(path)), RECORD_BYTES))
            if kind is FileKind.SYMLINK:
                return read_record(os.getxattr(self.at(path), LINK_RECORD, follow_symlinks=False))
        except OSError as error:
            if error.errno not in _WITHOUT_RECORD:
                raise
        return _NO_RECORD

    def set_record(self, path: str | int, record: HsmRecord) -> None:
        """Write a regular file's HSM record."""
        self.records_written += 1
        os.setxattr(path if isinstance(path, int) else self.at(path), RECORD, write_record(record))

    def mark_link(self, path: str, flags: int) -> None:
        """Write a symlink's HSM record. Without CAP_SYS_ADMIN it keeps none, and then always counts as new."""
        try:
            os.setxattr(self.at(path), LINK_RECORD, write_record(HsmRecord(flags)), follow_symlinks=False)
        except PermissionError:
            return

    def add_released(  # noqa: PLR0913, PLR0917 - the attributes of a file
        self, path: str, size: int, mtime_ns: int, uid: int, gid: int, mode: int
    ) -> None:
        """Make a file whose contents are in the archive only; parents are made.

        Raises:
            FileExistsError: something has that name.
            NotADirectoryError: a parent is a file.
        """
        fd = self._create(path)
        record = IMPORTED if self._parent_is_plain(path) else replace(IMPORTED, blob=path)
        try:
            os.ftruncate(fd, size)
            os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
            os.setxattr(fd, RECORD, write_record(record))
            os.utime(fd, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(fd)

    def _create(self, path: str) -> int:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        try:
            self._parent_is_plain(path)
            return os.open(self.at(path), flags, 0o600)
        except FileNotFoundError:
            self.make_parents(path)
            return os.open(self.at(path), flags, 0o600)

    def make_parents(self, path: str) -> None:
        """Make the directories above a path, owned by root, as far as they are missing.

        Raises:
            NotADirectoryError: a file or a symlink is in the way.
        """
        parent = os.path.dirname(path)
        if not parent:
            return
        try:
            self._parent_is_plain(path)
        except FileNotFoundError:
            self.make_parents(parent)
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.at(parent), DIRECTORY_MODE)
            os.chmod(self.at(parent), DIRECTORY_MODE)

    def files(self, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Stream regular files and symlinks whose path begins with `prefix`, a plain string comparison."""
        try:
            self._parent_is_plain(prefix)
        except (FileNotFoundError, NotADirectoryError):
            return
        waiting = [os.path.dirname(prefix)]
        while waiting:
            folder = waiting.pop()
            try:
                entries = list(os.scandir(self.at(folder)))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if path.startswith(prefix) or prefix.startswith(path + "/"):
                        waiting.append(path)
                elif path.startswith(prefix) and (entry.is_file(follow_symlinks=False) or entry.is_symlink()):
                    yield path, entry

    def blob(self, path: str, record: HsmRecord) -> str:
        """Name the blob that holds a file's contents."""
        if record.blob:
            return record.blob
        try:
            plain = self._parent_is_plain(path)
        except OSError:
            plain = False
        return path if plain else self._derived(path)

    def is_plain(self, path: str) -> bool:
        """Say whether a path is in the tree and, where its record names no blob, the name of its blob."""
        try:
            return HIDDEN not in path and self._parent_is_plain(path)
        except OSError:
            return False

    def remember_blob(self, path: str, blob: str, *, always: bool = False) -> None:
        """Note which blob a file belongs to, if its path does not tell it (or `always`, for a file of many names)."""
        record = self.record(path)
        wanted = blob if always or self._derived(path) != blob else ""
        if record.flags and record.blob != wanted:
            self.set_record(path, replace(record, blob=wanted))

    def move(self, old: str, new: str) -> None:
        """Rename, keeping HSM states and, for a directory, the names that the blobs under it have."""
        self.forget_parents()
        seen = os.lstat(self.at(old))
        if stat.S_ISDIR(seen.st_mode):
            origin = self._derived(old)
            os.rename(self.at(old), self.at(new))
            self.forget_parents()
            if self._derived(new, ignore_own=True) != origin:
                os.setxattr(self.at(new), MOVED_FROM, os.fsencode(origin))
            elif MOVED_FROM in os.listxattr(self.at(new)):
                os.removexattr(self.at(new), MOVED_FROM)
            return
        regular = stat.S_ISREG(seen.st_mode)
        blob = self.blob(old, self.record(old)) if regular else ""
        os.rename(self.at(old), self.at(new))
        if regular:
            self.remember_blob(new, blob, always=seen.st_nlink > 1)

    def check_way(self, path: str) -> None:
        """Refuse a path that would leave the folder; to be called with what did not come through the kernel.

        Raises:
            OSError: EINVAL, ENOTDIR, ENOENT.
        """
        if not _NO_NAMES.isdisjoint(path.split("/")):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        self._parent_is_plain(path)

    def forget_parents(self) -> None:
        """Forget which directories are real and unmoved; to be called when one may have become something else."""
        self._parents.clear()

    def _derived(self, path: str, *, ignore_own: bool = False) -> str:
        below = ""
        while path:
            if not (ignore_own and not below):
                with contextlib.suppress(OSError):
                    origin = os.fsdecode(os.getxattr(self.at(path), MOVED_FROM, follow_symlinks=False))
                    return origin + below
            path, _, name = path.rpartition("/")
            below = f"/{name}{below}"
        return below[1:]

    def _parent_is_plain(self, path: str) -> bool:
        """Say whether the directory above a path tells its blobs' names, that is, was not renamed.

        A symlink on the way is an error: a root process that followed it would leave the folder.

        Raises:
            FileNotFoundError: the directory is not there.
            NotADirectoryError: something on the way is no directory.
        """
        parent = path.rpartition("/")[0]
        if not parent:
            return True
        known = self._parents.get(parent)
        if known is None:
            self._parent_is_plain(parent)
            if not stat.S_ISDIR(os.lstat(self.at(parent)).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), parent)
            if len(self._parents) > MOST_PARENTS:
                self._parents.clear()
            known = self._parents[parent] = self._derived(parent) == parent
        return known
