"""The emulated file system as FUSE shows it: POSIX calls become calls of `Files`, those of `lfs` go to the `Door`.

Linux checks permissions (default_permissions); the backing files belong to the same owners, and are touched as root.
The kernel may remember names and attributes for a second, but not HSM states; of what the engine changes behind it,
it is told. Source of what each call has to do: libfuse's fuse.h.
"""

# ruff: noqa: PTH101, PTH115 - a Path costs more than the system call it makes

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from typing import Any

import mfusepy

from slurm_amlfs.emulator.caller import Caller
from slurm_amlfs.emulator.door import PREFIX, Door
from slurm_amlfs.emulator.faults import Faults
from slurm_amlfs.emulator.hsm import Hsm
from slurm_amlfs.emulator.inodes import Times
from slurm_amlfs.emulator.kernel_cache import KernelCache
from slurm_amlfs.emulator.tree import HIDDEN, PRIVATE
from slurm_amlfs.emulator.usage import free_inodes

BLOCK_BYTES = 4096

LONGEST_NAME_BYTES = 255

CACHE_SECONDS = 1.0
"""libfuse's own default. Without it each stat costs a FUSE call for every directory on the way. That a name does not
exist is never remembered, so imported files are seen at once."""

MAX_BACKGROUND = 256
"""Read-ahead requests that may be under way; libfuse's 12 would let a dozen stalled restores stop everybody's."""

HIDDEN_BYTES = HIDDEN.encode()

USER_NAMESPACES = ("user.", "trusted.")
"""Attributes that are kept. Linux itself lets only root see trusted.*."""

XATTR_CREATE, XATTR_REPLACE = 1, 2


class Mount(mfusepy.Operations):  # type: ignore[misc]
    """The callbacks. Paths come with a "/" first, errors leave as OSError."""

    use_ns = True

    def __init__(self, hsm: Hsm, cache_seconds: float = CACHE_SECONDS, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._cache_seconds = cache_seconds
        self.ready = threading.Event()
        self._root = os.fsencode(hsm.tree.root)
        self.listings: dict[int, list[bytes]] = {}
        self.shown: dict[int, Times] = hsm.inodes.shown
        self._hsm = hsm
        self._files = hsm.files
        self._door = Door(hsm)
        self._cache: KernelCache | None = None

    def init_with_config(self, conn_info: Any, config_3: Any) -> None:  # noqa: ANN401 - ctypes structures
        """Set up libfuse: the backing files' inode numbers, no path where a handle does, short memory."""
        config_3.use_ino = 1
        config_3.readdir_ino = 1
        config_3.nullpath_ok = 1
        config_3.entry_timeout = config_3.attr_timeout = self._cache_seconds
        config_3.negative_timeout = 0.0
        conn_info.max_background = MAX_BACKGROUND
        self._cache = KernelCache()
        self._hsm.on_change = self._cache.forget
        self.ready.set()

    def destroy(self, path: str) -> None:
        """End what `init_with_config` began; libfuse frees its memory next."""
        del path
        if self._cache is not None:
            self._cache.close()

    def where(self, path: bytes) -> bytes:
        """Say where a path is on this machine."""
        return os.fsencode(self._at(os.fsdecode(path))) if HIDDEN_BYTES in path else self._root + path

    def _at(self, path: str) -> str:
        return self._hsm.tree.at(path[1:])

    @staticmethod
    def _caller() -> Caller:
        return Caller(*mfusepy.fuse_get_context())

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """Answer nothing: Bridge.fgetattr does it all."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), path, fh)

    def readlink(self, path: str) -> str:
        """Read a symlink."""
        return os.readlink(self._at(path))

    def readdir(self, path: str | None, fh: int) -> Iterator[str]:
        """Answer nothing: Bridge.readdir_fuse_3 does it all."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), path, fh)

    def opendir(self, path: str) -> int:
        """Open a directory."""
        return os.open(self._at(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def releasedir(self, path: str | None, fh: int) -> int:
        """Close a directory."""
        del path
        self.listings.pop(fh, None)
        os.close(fh)
        return 0

    def fsyncdir(self, path: str | None, datasync: int, fh: int) -> int:
        """Flush a directory."""
        del path, datasync
        os.fsync(fh)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        """Make a directory."""
        caller = self._caller()
        self._files.make_directory(path[1:], mode, caller.uid, caller.gid)
        return 0

    def rmdir(self, path: str) -> int:
        """Remove a directory."""
        self._files.remove_directory(path[1:])
        return 0

    def mknod(self, path: str, mode: int, dev: int) -> int:
        """Make a FIFO, socket, device or empty file."""
        caller = self._caller()
        self._files.make_node(path[1:], mode, dev, caller.uid, caller.gid)
        return 0

    def symlink(self, target: str, source: str) -> int:
        """Make a symlink named `target` that points to `source` (the order is mfusepy's)."""
        caller = self._caller()
        self._files.make_symlink(target[1:], source, caller.uid, caller.gid)
        return 0

    def link(self, target: str, source: str) -> int:
        """Give `source` the second name `target`."""
        self._files.link(source[1:], target[1:])
        return 0

    def unlink(self, path: str) -> int:
        """Remove a name."""
        self._files.unlink(path[1:])
        return 0

    def rename(self, old: str, new: str) -> int:
        """Rename."""
        self._files.rename(old[1:], new[1:])
        return 0

    def chmod(self, path: str, mode: int) -> int:
        """Change permission bits; attributes alone make nothing dirty."""
        os.chmod(self._at(path), stat.S_IMODE(mode))
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """Change the owner."""
        os.chown(self._at(path), uid, gid, follow_symlinks=False)
        return 0

    def utimens(self, path: str, times: tuple[int, int]) -> int:
        """Set times in nanoseconds."""
        self._files.set_times(path[1:], times[0], times[1])
        return 0

    def truncate(self, path: str, length: int) -> int:
        """Cut or extend a file by name."""
        self._files.truncate(path[1:], length)
        return 0

    def truncate_open(self, fh: int, length: int) -> int:
        """Cut or extend an open file."""
        self._files.truncate_open(fh, length)
        return 0

    def create(self, path: str, mode: int, flags: int) -> int:
        """Make and open a file."""
        caller = self._caller()
        try:
            return self._files.create(path[1:], flags, mode, caller.uid, caller.gid)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            return self._files.open(path[1:], flags)

    def open(self, path: str, flags: int) -> int:
        """Open a file; blocks while a released one is fetched for reading."""
        if self.faults.breaks_files and self.faults.broken(path[1:]):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return self._files.open(path[1:], flags)

    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        """Read."""
        del path
        return self._files.read(fh, size, offset)

    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        """Write."""
        del path
        return self._files.write(fh, data, offset)

    def flush(self, path: str | None, fh: int) -> int:
        """Close one descriptor of a handle; there is nothing held back."""
        del path, fh
        return 0

    def release(self, path: str | None, fh: int) -> int:
        """Close a handle."""
        del path
        self._files.release(fh)
        return 0

    def fsync(self, path: str | None, datasync: int, fh: int) -> int:
        """Flush a file to the machine's disk."""
        del path
        (os.fdatasync if datasync else os.fsync)(fh)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        """Say how much the file system holds and can hold."""
        del path
        free = self._hsm.free_bytes // BLOCK_BYTES
        files, files_free = free_inodes(self._hsm.tree)
        return {
            "f_bsize": BLOCK_BYTES,
            "f_frsize": BLOCK_BYTES,
            "f_blocks": self._hsm.capacity_bytes // BLOCK_BYTES,
            "f_bfree": free,
            "f_bavail": free,
            "f_files": files,
            "f_ffree": files_free,
            "f_favail": files_free,
            "f_namemax": LONGEST_NAME_BYTES,
        }

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        """Read an attribute, or answer `lfs`."""
        del position
        if name.startswith(PREFIX):
            return self._door.get(path[1:], name, self._caller())
        if name in PRIVATE or not name.startswith(USER_NAMESPACES):
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        return os.getxattr(self._at(path), name, follow_symlinks=False)

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        """Set an attribute, or do what `lfs` asks."""
        del position
        if name.startswith(PREFIX):
            self._door.set(path[1:], name, value, self._caller())
            return 0
        if name in PRIVATE or not name.startswith(USER_NAMESPACES):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        os.setxattr(self._at(path), name, value, options & (XATTR_CREATE | XATTR_REPLACE), follow_symlinks=False)
        return 0

    def listxattr(self, path: str) -> list[str]:
        """List attributes."""
        names = os.listxattr(self._at(path), follow_symlinks=False)
        return [name for name in names if name not in PRIVATE and name.startswith(USER_NAMESPACES)]

    def removexattr(self, path: str, name: str) -> int:
        """Remove an attribute."""
        if name in PRIVATE or not name.startswith(USER_NAMESPACES):
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        os.removexattr(self._at(path), name, follow_symlinks=False)
        return 0
