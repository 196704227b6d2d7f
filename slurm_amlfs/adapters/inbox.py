"""The maildir that hooks and users write to; the rights on it are the protocol.

Anybody may drop a file in `tmp` and rename it into `new` (mode 1733: nobody lists it or touches another's), so what is
found there is hostile until it is read: only regular files with one link, opened without following links or waiting,
no longer than a request can be. Who asks is the file's owner. That nobody links another's request in here is the
kernel's promise (fs.protected_hardlinks, on by systemd's default).
"""

from __future__ import annotations

import heapq
import logging
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from slurm_amlfs.adapters.folders import make_folder
from slurm_amlfs.adapters.log import event
from slurm_amlfs.errors import PermanentError, UserError
from slurm_amlfs.wire import MAX_BYTES, Request, RequestKind, load_request

_LOG = logging.getLogger(__name__)

PASS_MODE = 0o711
DROP_MODE = 0o1733
OWN_MODE = 0o700
MOST_AT_ONCE = 4096
"""Requests claimed in one pass; a flood is worked off over several, oldest first."""
MOST_BAD = 100
"""Malformed files that are kept to look at; older ones go."""
LARGEST_JOB_ID = 2**31 - 1
"""Slurm's commands read ids as int (squeue/opts.c, scontrol/update_job.c)."""

_FROM_ANYBODY = {RequestKind.RETRY, RequestKind.CANCEL}
"""Whose right depends on the job, which is checked where the job is known."""


class MaildirInbox:
    """The Inbox port on `folder` with its tmp, new, cur and bad.

    Args:
        folder: state_dir/inbox; made here if it is missing, with its parents.
        hook_uids: Who speaks for the hooks: SlurmUser and root.

    Raises:
        PermanentError: the folder cannot be made or its modes cannot be set.
    """

    def __init__(self, folder: Path, hook_uids: Iterable[int]) -> None:
        self._new, self._cur, self._bad = folder / "new", folder / "cur", folder / "bad"
        self._hook_uids = frozenset(hook_uids)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            make_folder(folder, PASS_MODE)
            make_folder(folder / "tmp", DROP_MODE)
            make_folder(self._new, DROP_MODE)
            make_folder(self._cur, OWN_MODE)
            make_folder(self._bad, OWN_MODE)
        except OSError as error:
            raise PermanentError(f"the inbox {folder} cannot be made ({error.strerror}); mend state_dir") from error

    def take(self) -> Iterator[tuple[str, Request]]:
        """Claim what has arrived, oldest first, as (handle, request).

        What was claimed before and is not done comes again, first of all after a crash.
        """
        for mtime_ns, name, inode in _oldest(self._new):
            # A name of our own: under the sender's, a rename could replace somebody else's claimed request.
            _rename(self._new / name, self._cur / f"{max(mtime_ns, 0):020d}.{inode}")
        for _, name, _ in _oldest(self._cur):
            try:
                request = self._read(self._cur / name)
            except UserError as error:
                self._set_aside(name, error.message)
            except FileNotFoundError:
                continue
            else:
                yield name, request

    def done(self, handle: str) -> None:
        """Forget a request whose effect is in the store. Done twice is success."""
        (self._cur / handle).unlink(missing_ok=True)

    def _read(self, path: Path) -> Request:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UserError(f"cannot be opened as a plain file ({error.strerror})") from error
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
                raise UserError("not a regular file with one link")
            request = load_request(os.read(descriptor, MAX_BYTES + 1), facts.st_uid)
        finally:
            os.close(descriptor)
        if not 0 < request.job_id <= LARGEST_JOB_ID:
            raise UserError(f"no job has the id {request.job_id}")
        if request.kind not in _FROM_ANYBODY and request.sender_uid not in self._hook_uids:
            raise UserError(f"{request.kind.value} is for Slurm's hooks to say, not for uid {request.sender_uid}")
        return request

    def _set_aside(self, name: str, why: str) -> None:
        path = self._cur / name
        try:
            facts = path.lstat()
        except FileNotFoundError:
            return
        event(_LOG, logging.WARNING, "request-refused", file=name, uid=facts.st_uid, why=why)
        if stat.S_ISREG(facts.st_mode) and facts.st_size <= MAX_BYTES:
            _rename(path, self._bad / name)
        else:
            _drop(path)
        for old in sorted(self._bad.iterdir())[:-MOST_BAD]:
            old.unlink(missing_ok=True)


def _oldest(folder: Path) -> list[tuple[int, str, int]]:
    """List a folder's entries as (mtime_ns, name, inode), oldest first."""
    return heapq.nsmallest(MOST_AT_ONCE, _entries(folder))


def _entries(folder: Path) -> Iterator[tuple[int, str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                facts = entry.stat(follow_symlinks=False)
                yield facts.st_mtime_ns, entry.name, facts.st_ino


def _rename(old: Path, new: Path) -> None:
    """Rename, or remove what cannot be renamed; what is gone by itself is gone."""
    try:
        old.rename(new)
    except FileNotFoundError:
        return
    except OSError as error:
        event(_LOG, logging.WARNING, "request-dropped", file=old.name, why=error.strerror)
        _drop(old)


def _drop(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
