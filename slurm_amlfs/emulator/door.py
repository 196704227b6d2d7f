"""What the emulated `lfs` asks of the mount: extended attributes whose names begin with `system.amlfs_hsm.`.

Linux checks no permission for names that begin with `system.` (xattr_permission) and hands them to FUSE, so it is
checked here, as Lustre would. The real `lfs` opens the file and uses ioctls; the C program never opens one.

    get  state    "FLAGS ARCHIVE_ID"                      hex, decimal
    get  action   "ACTION PROGRESS OFFSET LENGTH"         words of lustre_user.h; "NOOP none 0 0" when there is none
    get  path     "/PATH"                                 the path in the file system
    set  ask      NAME, NUL, NAME, ...                    files of this directory; root only
    get  told     "FLAGS ARCHIVE_ID" or "-", newline, ... their states, to the thread that asked; "-": ask by name
    set  flags    "SET CLEAR ARCHIVE_ID"                  hex, hex, decimal
    set  request  "ACTION ARCHIVE_ID", NUL, PATH, ...     paths in the file system, without a "/" first, NUL between
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator

from slurm_amlfs.emulator import quick_calls
from slurm_amlfs.emulator.caller import READ, ROOT_UID, WRITE, Caller
from slurm_amlfs.emulator.hsm import Hsm
from slurm_amlfs.emulator.hsm_rules import HsmAction
from slurm_amlfs.emulator.tree import HIDDEN, RECORD_BYTES

PREFIX = "system.amlfs_hsm."

TO_END = (1 << 64) - 1
"""LUSTRE_EOF: offset and length of a request for a whole file add up to it."""

FLAG_WORDS = 3

_NO_NAMES = frozenset({b"", b".", b".."})
_HIDDEN = HIDDEN.encode()

MOST_ASKS = 1000
"""Threads whose answers are kept; one that ended before it took them leaves them behind."""


class Door:
    """Answers `lfs`. Errors are OSError with the errno that Lustre gives."""

    def __init__(self, hsm: Hsm) -> None:
        self._hsm = hsm
        self._told: dict[int, bytes] = {}

    def get(self, path: str, name: str, caller: Caller) -> bytes:
        """Answer a getxattr of a name that begins with PREFIX."""
        verb = name.removeprefix(PREFIX)
        if verb == "path":
            return b"/" + os.fsencode(path)
        if verb == "told" and caller.pid in self._told:
            return self._told.pop(caller.pid)
        self._check(path, caller, READ)
        if verb == "state":
            record = self._hsm.record(path)
            return b"%x %d" % (record.flags, record.archive_id)
        if verb == "action":
            return self._action(path)
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def _action(self, path: str) -> bytes:
        request = self._hsm.current(path)
        if request is None:
            return b"NOOP none 0 0"
        if request.running:
            return b"%s running 0 %d" % (request.action.encode(), request.moved_bytes)
        return b"%s waiting 0 %d" % (request.action.encode(), TO_END)

    def set(self, path: str, name: str, value: bytes, caller: Caller) -> None:
        """Do a setxattr of a name that begins with PREFIX."""
        verb = name.removeprefix(PREFIX)
        if verb == "flags":
            self._flags(path, value, caller)
        elif verb == "request":
            self._request(value, caller)
        elif verb == "ask" and caller.uid == ROOT_UID and caller.pid:
            if len(self._told) >= MOST_ASKS:
                self._told.clear()
            self._told[caller.pid] = self._tell(path, value)
        else:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def _tell(self, folder: str, names: bytes) -> bytes:
        above = os.fsencode(self._hsm.tree.at(folder))
        if self._hsm.copytool is not None:
            return self._hsm.copytool.tell(above, names)
        return b"".join(_told(above, name) for name in names.split(b"\0"))

    def _flags(self, path: str, value: bytes, caller: Caller) -> None:
        words = value.split()
        if len(words) != FLAG_WORDS:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._check(path, caller, WRITE)
        self._hsm.change_flags(path, int(words[0], 16), int(words[1], 16), int(words[2]), caller.uid)

    def _request(self, value: bytes, caller: Caller) -> None:
        head, *paths = value.split(b"\0")
        word, _, archive_id = head.decode("ascii", "replace").partition(" ")
        if word not in HsmAction.__members__ or not archive_id.isdigit():
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        action = HsmAction(word)
        self._hsm.request_all(self._ways(paths, action, caller), action, caller.uid, archive_id=int(archive_id))

    def _ways(self, paths: Iterable[bytes], action: HsmAction, caller: Caller) -> Iterator[str]:
        """Yield the paths that a caller may name, up to the first that it may not."""
        for raw in paths:
            path = os.fsdecode(raw)
            self._hsm.tree.check_way(path)
            if action is HsmAction.RELEASE:
                self._check(path, caller, WRITE)
            yield path

    def _check(self, path: str, caller: Caller, wanted: int) -> None:
        if caller.uid != ROOT_UID and not caller.may(os.lstat(self._hsm.tree.at(path)), wanted):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def _told(above: bytes, name: bytes) -> bytes:
    """Tell of a regular file, with one system call if it was ever archived; of nothing else, nor of a hidden one."""
    where = b"%s/%s" % (above, name)
    if name not in _NO_NAMES and b"/" not in name and _HIDDEN not in name:
        try:
            # Only regular files are given one.
            return quick_calls.get(where, RECORD_BYTES).partition(b"\n")[0] + b"\n"
        except OSError:
            pass
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.lstat(where).st_mode):
                return b"0 0\n"
    return b"-\n"
