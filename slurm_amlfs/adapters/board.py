"""The small files that hooks and users read. They are derived from the store; who finds half a file asks again."""

from __future__ import annotations

import errno
import logging
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from slurm_amlfs.adapters.folders import make_folder
from slurm_amlfs.adapters.log import event
from slurm_amlfs.adapters.replacing import replace_file
from slurm_amlfs.errors import PermanentError, TemporaryError, UserError
from slurm_amlfs.wire import MAX_BYTES, Board, Site, dump_board, dump_site, load_board

_LOG = logging.getLogger(__name__)

BOARD_FOLDER_MODE = 0o711
ASKS_MODE = 0o700

_ASK_BYTES = 128
_ASK = re.compile(rb"([0-9]+-[0-9]+) ")
"""A token, and a time behind it, as etc/amlfs_state.lua writes them."""

_ACL_NAME = "system.posix_acl_access"
_ACL_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_READ, _WRITE = 4, 2
_NOBODY = 0xFFFFFFFF
_NO_ACL = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class BoardFolder:
    """The BoardPort on state_dir's `board`, `site` and `asks`, made here with their modes.

    Args:
        state_dir: The daemon's state directory.
        slurm_uid: SlurmUser, who owns `asks` (Lua alone writes there).
        slurm_gid: SlurmUser's group, which reads boards and site.

    Raises:
        PermanentError: the folders cannot be made.
    """

    def __init__(self, state_dir: Path, slurm_uid: int, slurm_gid: int) -> None:
        self._boards, self._site, self._asks = state_dir / "board", state_dir / "site", state_dir / "asks"
        self._gid = slurm_gid
        self._acl_works = True
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            make_folder(self._boards, BOARD_FOLDER_MODE)
            make_folder(self._asks, ASKS_MODE)
            os.chown(self._asks, slurm_uid, slurm_gid)
        except OSError as error:
            raise PermanentError(f"{state_dir} cannot be set up ({error.strerror}); mend state_dir") from error

    def post(self, board: Board) -> None:
        """Replace a job's board unless nothing but `updated` is new.

        Readable by SlurmUser's group and, by a POSIX ACL, by the job's owner. A file system without ACLs is told once
        in the log; users then ask an operator.

        Raises:
            TemporaryError: it cannot be written, as on a full disk.
        """
        path = self._boards / str(board.job_id)
        if replace(board, updated=0) != self._posted_board(path):
            replace_file(path, dump_board(board), self._gid, partial(self._let_read, board.uid))

    def remove(self, job_id: int) -> None:
        """Remove a job's board, and what the hooks noted of the asks that it answers. Gone is success.

        A teardown takes these notes away; a job that Slurm has lost has none.

        Raises:
            TemporaryError: it cannot be removed, as on a disk that is read-only.
        """
        path = self._boards / str(job_id)
        board = self._posted_board(path)
        tokens = (("in", board.token_in), ("out", board.token_out)) if board is not None else ()
        for way, token in tokens:
            note = self._asks / f"{job_id}.{way}"
            with suppress(OSError):
                if token and note.read_bytes().startswith(f"{token} ".encode()):
                    note.unlink()
        with self._told():
            path.unlink(missing_ok=True)

    def posted(self) -> tuple[int, ...]:
        """List the jobs that have a board.

        Raises:
            TemporaryError: the folder cannot be read.
        """
        with self._told():
            return tuple(sorted(int(path.name) for path in self._boards.iterdir() if path.name.isdecimal()))

    def asked(self, job_id: int) -> str:
        """Read which ask of a job's stage-in its hook made last, as it notes that in `asks`; "" if none is known."""
        try:
            with (self._asks / f"{job_id}.in").open("rb") as file:
                found = _ASK.match(file.read(_ASK_BYTES))
        except OSError:
            return ""
        return found[1].decode() if found is not None else ""

    def publish_site(self, site: Site) -> None:
        """Replace the file from which Lua knows file systems and grants.

        Raises:
            TemporaryError: it cannot be written.
        """
        replace_file(self._site, dump_site(site), self._gid)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = f"{self._boards} cannot be used ({error.strerror}); mend the disk of state_dir"
            raise TemporaryError(why) from error

    def _posted_board(self, path: Path) -> Board | None:
        try:
            with path.open("rb") as file:
                return replace(load_board(file.read(MAX_BYTES + 1)), updated=0)
        except (OSError, UserError):
            return None

    def _let_read(self, uid: int, descriptor: int) -> None:
        if not self._acl_works:
            return
        try:
            os.setxattr(descriptor, _ACL_NAME, acl_for(uid))
        except OSError as error:
            if error.errno not in _NO_ACL:
                raise
            self._acl_works = False
            event(_LOG, logging.WARNING, "boards-without-acl", folder=self._boards, why=error.strerror)


def acl_for(uid: int) -> bytes:
    """Write the ACL of mode 0640 with one more reader, as the kernel takes it (linux/posix_acl_xattr.h)."""
    entries = (
        (_USER_OBJ, _READ | _WRITE, _NOBODY),
        (_USER, _READ, uid),
        (_GROUP_OBJ, _READ, _NOBODY),
        (_MASK, _READ, _NOBODY),
        (_OTHER, 0, _NOBODY),
    )
    return struct.pack("<I", _ACL_VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
