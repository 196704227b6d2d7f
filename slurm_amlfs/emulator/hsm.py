"""The emulated Lustre file system: what the engine imports into and exports from, and what the mount shows.

One process holds it, and nothing in it may touch its own mount point: the thread that answers would be the one that
asks. Paths are relative to the file system's root, "" is the root, undecodable bytes are surrogate-escaped.
"""

# ruff: noqa: PTH101 - a Path costs more than the system call it makes

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator import quick_calls
from slurm_amlfs.emulator.copytool import Copytool
from slurm_amlfs.emulator.files import Files
from slurm_amlfs.emulator.hsm_rules import (
    ARCHIVED,
    DEFAULT_ARCHIVE_ID,
    DIRTY,
    EXISTS,
    MAX_REQUESTS,
    NOARCHIVE,
    HsmAction,
    HsmRecord,
    changed,
    is_compatible,
    is_needed,
    may_ask,
)
from slurm_amlfs.emulator.inodes import Inodes, Space
from slurm_amlfs.emulator.requests import Request, Requests
from slurm_amlfs.emulator.restore_pace import RestoreRate
from slurm_amlfs.emulator.transfers import Contents, Transfers
from slurm_amlfs.emulator.tree import FileInfo, Tree
from slurm_amlfs.emulator.usage import load_used_bytes, save_used_bytes

__all__ = ["Contents", "FileInfo", "FileKind", "Hsm", "HsmAction", "RestoreRate"]

log = logging.getLogger(__name__)


def _nobody(path: str) -> None:
    """Tell nobody that a path changed."""
    del path


ROOT_UID = 0


class Hsm:
    """One file system in `folder`, which is made if need be; what was left by an earlier process is taken over.

    `on_change` is called with each path that changed by other means than `files`, after the change and without locks.
    `max_requests` is how many HSM requests run at a time (Lustre's hsm.max_requests, 3 there by default; 384 in a
    Microsoft engineer's settings for lemur). `copytool` restores what it can where `restore_rate` is unlimited.

    Raises:
        PermanentError: the folder cannot hold extended attributes.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it is set up with
        self,
        folder: Path,
        contents: Contents,
        capacity_bytes: int,
        restore_rate: RestoreRate = RestoreRate(),  # noqa: B008 - frozen
        max_requests: int = MAX_REQUESTS,
        copytool: Copytool | None = None,
    ) -> None:
        self.tree = Tree(folder)
        self.copytool = copytool
        self._folder = folder
        self._space = Space(capacity_bytes, load_used_bytes(folder, self.tree))
        self.inodes = Inodes(self.tree, self._space)
        self._transfers = Transfers(self.tree, self.inodes, self._space, contents, restore_rate, copytool)
        self.on_change: Callable[[str], None] = _nobody
        self._requests = Requests(folder / "requests", max_requests, self._run, self._after)
        self.files = Files(self.tree, self.inodes, self._space, self._requests, self._restore_for_io)
        for action, archive_id, path in list(self._requests.left_over()):
            self._queue_again(action, archive_id, path)

    def _queue_again(self, action: HsmAction, archive_id: int, path: str) -> None:
        try:
            self.request(path, action, ROOT_UID, archive_id=archive_id)
        except OSError as error:
            log.info("hsm_request_dropped action=%s path=%r error=%s", action, path, error)

    def close(self) -> None:
        """Stop the workers and note what is used, so that the next start need not count."""
        self._requests.close()
        save_used_bytes(self._folder, self._space.used_bytes)

    def stop_requests(self) -> None:
        """Let nobody wait for contents any more: they get ENODATA. What waited is taken up by the next start."""
        self._requests.stop()

    @property
    def used_bytes(self) -> int:
        """Bytes of all files that are not released."""
        return self._space.used_bytes

    @property
    def capacity_bytes(self) -> int:
        """Bytes that the file system can hold."""
        return self._space.capacity_bytes

    @property
    def free_bytes(self) -> int:
        """Bytes that can still be written."""
        return self._space.free_bytes

    def add_released(  # noqa: PLR0913, PLR0917 - the attributes of a file
        self, path: str, size: int, mtime_ns: int, uid: int, gid: int, mode: int
    ) -> None:
        """Import one blob: the file exists, archived and released (0x0d). Parents are made, owned by root, 0755.

        Raises:
            FileExistsError: something has that name.
            NotADirectoryError: a parent is a file or a symlink.
        """
        self.tree.add_released(path, size, mtime_ns, uid, gid, mode)

    def add_directory(self, path: str, uid: int, gid: int, mode: int) -> None:
        """Make a directory, or give one that is there these attributes.

        Raises:
            NotADirectoryError: something else has that name, or one on the way.
        """
        self.tree.make_parents(f"{path}/.")
        os.chown(self.tree.at(path), uid, gid)
        os.chmod(self.tree.at(path), mode)
        self.on_change(path)

    def add_symlink(self, path: str, target: str, uid: int, gid: int) -> None:
        """Make a symlink that is in the archive already; parents are made.

        Raises:
            FileExistsError: something has that name.
            NotADirectoryError: a parent is a file or a symlink.
        """
        self.tree.make_parents(path)
        self.files.make_symlink(path, target, uid, gid)
        self.tree.mark_link(path, EXISTS | ARCHIVED)

    def remove(self, path: str) -> None:
        """Remove a file, symlink or empty directory. Gone is success.

        Raises:
            OSError: ENOTEMPTY.
        """
        info = self.look(path)
        if info is None:
            return
        if info.kind is FileKind.DIRECTORY:
            self.files.remove_directory(path)
        else:
            self.files.unlink(path)
        self.on_change(path)

    def update_attributes(self, path: str, mtime_ns: int, uid: int, gid: int, mode: int) -> None:
        """Set a path's attributes; its HSM state stays."""
        where = self.tree.at(path)
        is_link = stat.S_ISLNK(os.lstat(where).st_mode)
        os.chown(where, uid, gid, follow_symlinks=False)
        if not is_link:
            os.chmod(where, mode)
        self.files.set_times(path, mtime_ns, mtime_ns)
        self.on_change(path)

    def look(self, path: str) -> FileInfo | None:
        """Read one path without following a last symlink; None if it is not there."""
        return self.files.look(path)

    def changed(self, prefix: str) -> Iterator[str]:
        """Stream the files and symlinks whose path begins with `prefix`, a string, that are new or dirty.

        Files that must not be archived (never_archive) are left out.
        """
        for path, entry in self.tree.files(prefix):
            kind = FileKind.SYMLINK if entry.is_symlink() else FileKind.REGULAR
            try:
                flags = self.tree.record(path, kind).flags
            except FileNotFoundError:
                continue
            if (flags & DIRTY or not flags & ARCHIVED) and not flags & NOARCHIVE:
                yield path

    def archive(self, path: str) -> bool:
        """Copy a path to the archive now, in this thread; say whether the archive then has what the path has.

        False: it was written meanwhile and stays dirty, or it is marked never_archive.

        Raises:
            OSError: EIO when storing failed; FileNotFoundError.
        """
        info = self.look(path)
        if info is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if info.kind is not FileKind.REGULAR:
            self._transfers.archive_other(path, info)
            return True
        with self._requests.running(HsmAction.ARCHIVE, os.lstat(self.tree.at(path)).st_ino, path) as request:
            return self._transfers.archive(request)

    def restore(self, path: str) -> None:
        """Have a file's contents here; blocks. Not released is success.

        Raises:
            OSError: ENODATA when they could not be fetched, EPERM when the file is lost; FileNotFoundError.
        """
        self._restore_for_io(os.lstat(self.tree.at(path)).st_ino, path)

    def _restore_for_io(self, number: int, path: str) -> None:
        record = self.tree.record(path)
        if not is_needed(HsmAction.RESTORE, record.flags & ~DIRTY):
            return
        if not is_compatible(HsmAction.RESTORE, record, 0):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        request = self._requests.add(HsmAction.RESTORE, number, path)
        self._requests.wait(request)
        if request.error:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA), path)

    def request(self, path: str, action: HsmAction, uid: int, *, archive_id: int = 0) -> None:
        """Ask as `lfs hsm_*` does. Release is done at once, everything else is queued (ll_dir_ioctl, mdt_hsm_request).

        The caller checks what the file's mode bits say; `uid` 0 has CAP_SYS_ADMIN.

        Raises:
            OSError: EPERM, EBUSY; ENOENT; EINVAL for what is no regular file.
        """
        self.request_all([path], action, uid, archive_id=archive_id)

    def request_all(self, paths: Iterable[str], action: HsmAction, uid: int, *, archive_id: int = 0) -> None:
        """Ask for many files in one request; what comes before one that is refused is taken.

        Raises:
            OSError: as `request`.
        """
        taken: list[tuple[int, str, int]] = []
        try:
            for path in self._hastened(paths, archive_id, taken) if action is HsmAction.RESTORE else paths:
                if action is HsmAction.RELEASE:
                    self._transfers.release(path)
                    self.on_change(path)
                elif asked := self._ask(path, action, uid, archive_id):
                    taken.append(asked)
        finally:
            if taken:
                self._requests.add_all(action, taken)

    def _hastened(self, paths: Iterable[str], archive_id: int, taken: list[tuple[int, str, int]]) -> Iterator[str]:
        """Take what the library tells at once to be restored; yield the others, each in its turn."""
        if self.copytool is None:
            yield from paths
            return
        ways: list[str] = []
        refused: OSError | None = None
        try:
            for path in paths:
                ways.append(path)  # noqa: PERF402 - those before an error count
        except OSError as error:
            refused = error
        for path, (number, flags, known_id) in zip(ways, self.copytool.look(self.tree.root, ways), strict=True):
            record = HsmRecord(flags, known_id)
            wanted_id = archive_id or known_id or DEFAULT_ARCHIVE_ID
            if number and is_compatible(HsmAction.RESTORE, record, wanted_id):
                taken.append((number, path, wanted_id))
            else:
                yield path
        if refused is not None:
            raise refused

    def _ask(self, path: str, action: HsmAction, uid: int, archive_id: int) -> tuple[int, str, int] | None:
        """Say what is to be queued for a file, if anything is."""
        mode, number = quick_calls.type_and_number(os.fsencode(self.tree.at(path)))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        if action is HsmAction.CANCEL and self._requests.current(number) is None:
            return None
        record = self.tree.record(path)
        if not may_ask(action, privileged=uid == ROOT_UID):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        if action is HsmAction.CANCEL:
            self._requests.cancel(number)
            return None
        if not is_needed(action, record.flags):
            return None
        archive_id = archive_id or record.archive_id or DEFAULT_ARCHIVE_ID
        if not is_compatible(action, record, archive_id):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        return number, path, archive_id

    def _run(self, request: Request) -> None:
        if request.action is HsmAction.RESTORE:
            self._transfers.restore(request)
        elif request.action is HsmAction.ARCHIVE:
            self._transfers.archive(request)
        elif request.action is HsmAction.REMOVE:
            self._transfers.remove(request)

    def _after(self, request: Request) -> None:
        if request.resized:
            self.on_change(request.path)

    def record(self, path: str) -> HsmRecord:
        """Read a path's HSM record; what is no regular file has none (all zero)."""
        return self.tree.record(path)

    def change_flags(self, path: str, to_set: int, to_clear: int, archive_id: int, uid: int) -> None:
        """Do `lfs hsm_set` or `hsm_clear` (mdt_hsm_state_set).

        Raises:
            OSError: EPERM, EINVAL; ENOENT.
        """
        fd = os.open(self.tree.at(path), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            with self.inodes.using(fd) as inode, self.inodes.lock:
                record = changed(self.tree.record(fd), to_set, to_clear, archive_id, privileged=uid == ROOT_UID)
                self.tree.set_record(fd, record)
                inode.marked = False
        finally:
            os.close(fd)

    def current(self, path: str) -> Request | None:
        """Find what is going on with a file."""
        return self._requests.current(os.lstat(self.tree.at(path)).st_ino)
