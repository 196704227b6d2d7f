"""Files as programs use them: open, read, write, truncate, rename, unlink, with what each does to the HSM state.

As in Lustre a released file's contents come back at the first I/O that needs them (lov_io_init_released), and already
at open for reading here, because the kernel asks FUSE twice for a page that could not be read. A truncation to
nothing needs no contents. Writing makes a file dirty at once; Lustre does so at close (mdt_mfd_close).
"""

# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH211 - a Path costs more than the system call it makes

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from slurm_amlfs.emulator.hsm_rules import RELEASED, written
from slurm_amlfs.emulator.inodes import Inode, Inodes, Space
from slurm_amlfs.emulator.requests import Requests
from slurm_amlfs.emulator.tree import FileInfo, Tree

OPEN_FLAGS = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
"""What of a program's open flags reaches the backing file; FUSE itself does the rest."""


@dataclass(slots=True)
class Handle:
    """An open file. `path` follows it when it is renamed."""

    fd: int
    path: str
    inode: Inode
    writing: bool


class Files:
    """The data path. File handles are the descriptors of the backing files."""

    def __init__(
        self,
        tree: Tree,
        inodes: Inodes,
        space: Space,
        requests: Requests,
        restore: Callable[[int, str], None],
    ) -> None:
        self._tree = tree
        self._inodes = inodes
        self._space = space
        self._requests = requests
        self._restore = restore
        self._handles: dict[int, Handle] = {}
        self._growing = threading.Lock()

    def open(self, path: str, flags: int) -> int:
        """Open a file that exists. Blocks while its contents are fetched, if it is opened for reading.

        Raises:
            OSError: ENODATA when the contents could not be fetched (vvp_io_fini returns lov_io_init_released's code).
        """
        fd = os.open(self._tree.at(path), (flags & OPEN_FLAGS) | os.O_CLOEXEC | os.O_NOFOLLOW)
        return self._opened(fd, path, flags)

    def create(self, path: str, flags: int, mode: int, uid: int, gid: int) -> int:
        """Make and open a file; its HSM state is 0. `gid` is the caller's, a setgid directory's wins."""
        fd = os.open(
            self._tree.at(path),
            (flags & OPEN_FLAGS) | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW,
            0o600,
        )
        os.fchown(fd, uid, self._group(path, gid))
        os.fchmod(fd, stat.S_IMODE(mode))
        return self._opened(fd, path, flags & ~os.O_TRUNC)

    def _opened(self, fd: int, path: str, flags: int) -> int:
        inode = self._inodes.use(fd)
        writing = flags & os.O_ACCMODE != os.O_RDONLY
        handle = self._handles[fd] = Handle(fd, path, inode, writing)
        with self._inodes.lock:
            inode.writers += writing
        try:
            if flags & os.O_TRUNC:
                self._truncate(handle, 0)
            elif flags & os.O_ACCMODE != os.O_WRONLY and not inode.whole:
                self._fetch(handle)
        except BaseException:
            self.release(fd)
            raise
        return fd

    def release(self, fd: int) -> None:
        """Close a handle."""
        handle = self._handles.pop(fd)
        with self._inodes.lock:
            handle.inode.writers -= handle.writing
        os.close(fd)
        self._inodes.leave(handle.inode)

    def _fetch(self, handle: Handle) -> None:
        while not handle.inode.whole:
            self._restore(handle.inode.number, handle.path)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Read; a file that is released meanwhile is fetched again rather than read as zeros."""
        handle = self._handles[fd]
        inode = handle.inode
        while True:
            releases = inode.releases
            if not inode.whole:
                self._fetch(handle)
            data = os.pread(fd, size, offset)
            if inode.releases == releases and inode.whole:
                return data

    def write(self, fd: int, data: bytes, offset: int) -> int:
        """Write.

        Raises:
            OSError: ENOSPC when the file system is full.
        """
        handle = self._handles[fd]
        if not handle.inode.whole:
            self._fetch(handle)
        self._grow(handle.inode, offset + len(data))
        self._touched(handle)
        try:
            return os.pwrite(fd, data, offset)
        finally:
            self._touched(handle)

    def _grow(self, inode: Inode, end: int) -> None:
        if end > inode.held_bytes:
            with self._growing:
                if end > inode.held_bytes:
                    self._space.take(end - inode.held_bytes)
                    inode.held_bytes = end

    def _touched(self, handle: Handle) -> None:
        """Note a change of contents, before and after it: a copy that was taken between the two is not confirmed."""
        inode = handle.inode
        with self._inodes.lock:
            inode.writes += 1
            if not inode.marked:
                record = self._tree.record(handle.fd)
                after = written(record)
                if after != record:
                    self._tree.set_record(handle.fd, after)
                inode.marked = True

    def truncate(self, path: str, size: int) -> None:
        """Cut or extend a file by its name."""
        fd = self.open(path, os.O_WRONLY)
        try:
            self._truncate(self._handles[fd], size)
        finally:
            self.release(fd)

    def truncate_open(self, fd: int, size: int) -> None:
        """Cut or extend an open file."""
        self._truncate(self._handles[fd], size)

    def _truncate(self, handle: Handle, size: int) -> None:
        inode = handle.inode
        if size:
            self._fetch(handle)
            self._grow(inode, size)
        else:
            self._drop_contents(handle)
        self._touched(handle)
        with self._growing:
            os.ftruncate(handle.fd, size)
            self._space.give(inode.held_bytes - size)
            inode.held_bytes = size
        self._touched(handle)

    def _drop_contents(self, handle: Handle) -> None:
        inode = handle.inode
        while not inode.whole:
            running = self._requests.current(inode.number)
            if running is not None and running.running:
                self._requests.wait(running)
                continue
            with self._inodes.lock:
                if inode.number in self._inodes.shown:
                    continue
                record = self._tree.record(handle.fd)
                if record.flags & RELEASED:
                    self._tree.set_record(handle.fd, replace(record, flags=record.flags & ~RELEASED))
                inode.whole, inode.marked = True, False

    def make_directory(self, path: str, mode: int, uid: int, gid: int) -> None:
        """Make a directory; under a setgid directory it has its group and its bit (inode_init_owner)."""
        above = self._above(path)
        os.mkdir(self._tree.at(path), 0o700)
        os.chown(self._tree.at(path), uid, above.st_gid if above.st_mode & stat.S_ISGID else gid)
        os.chmod(self._tree.at(path), stat.S_IMODE(mode) | (above.st_mode & stat.S_ISGID))

    def make_symlink(self, path: str, target: str, uid: int, gid: int) -> None:
        """Make a symlink."""
        os.symlink(target, self._tree.at(path))
        self._tree.forget_parents()
        os.chown(self._tree.at(path), uid, self._group(path, gid), follow_symlinks=False)

    def make_node(self, path: str, mode: int, device: int, uid: int, gid: int) -> None:
        """Make a FIFO, socket or device, or an empty file."""
        os.mknod(self._tree.at(path), stat.S_IFMT(mode) | 0o600, device)
        os.chown(self._tree.at(path), uid, self._group(path, gid))
        os.chmod(self._tree.at(path), stat.S_IMODE(mode))

    def _above(self, path: str) -> os.stat_result:
        return os.lstat(self._tree.at(os.path.dirname(path)))  # noqa: PTH120 - see above

    def _group(self, path: str, gid: int) -> int:
        above = self._above(path)
        return above.st_gid if above.st_mode & stat.S_ISGID else gid

    def link(self, old: str, new: str) -> None:
        """Give a file another name; from now on it remembers its blob, because names no longer tell it."""
        with self._inodes.lock:
            info = self._tree.look(old)
            os.link(self._tree.at(old), self._tree.at(new), follow_symlinks=False)
            if info is not None and info.flags:
                self._tree.remember_blob(old, self._tree.blob(old, self._tree.record(old)), always=True)

    def unlink(self, path: str) -> None:
        """Remove a name; with the last one go the file, its HSM state and its space."""
        with self._vanishing(path):
            os.unlink(self._tree.at(path))

    def rename(self, old: str, new: str) -> None:
        """Rename; what had the new name before is gone."""
        with self._vanishing(new, old), self._inodes.lock:
            self._tree.move(old, new)
            self._requests.renamed(old, new)
            for handle in list(self._handles.values()):
                if handle.path == old or handle.path.startswith(old + "/"):
                    handle.path = new + handle.path[len(old) :]

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        os.rmdir(self._tree.at(path))
        self._tree.forget_parents()

    @contextlib.contextmanager
    def _vanishing(self, path: str, instead: str = "") -> Iterator[None]:
        try:
            seen = os.lstat(self._tree.at(path))
        except FileNotFoundError:
            yield
            return
        same = bool(instead) and os.path.samestat(seen, os.lstat(self._tree.at(instead)))
        last = stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and not same
        released = last and seen.st_size > 0 and bool(self._tree.record(path).flags & RELEASED)
        yield
        if last:
            self._inodes.vanished(seen.st_ino, 0 if released else seen.st_size)

    def set_times(self, path: str, atime_ns: int, mtime_ns: int) -> None:
        """Set both times; also of a file whose contents are just arriving."""
        where = self._tree.at(path)
        with self._inodes.lock:
            if self._inodes.shown:
                times = self._inodes.shown.get(os.lstat(where).st_ino)
                if times is not None:
                    times.atime_ns, times.mtime_ns = atime_ns, mtime_ns
            os.utime(where, ns=(atime_ns, mtime_ns), follow_symlinks=False)

    def look(self, path: str) -> FileInfo | None:
        """Read one path, with the times that it shows while its contents arrive."""
        info = self._tree.look(path)
        if info is not None and self._inodes.shown:
            with contextlib.suppress(OSError):
                times = self._inodes.shown.get(os.lstat(self._tree.at(path)).st_ino)
                if times is not None:
                    return replace(info, mtime_ns=times.mtime_ns)
        return info
