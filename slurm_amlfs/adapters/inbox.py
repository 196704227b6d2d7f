"""The maildir that hooks and users write to; the rights on it are the protocol.

Anybody may drop a file in `tmp` and rename it into `new` (mode 1733: nobody lists it or touches another's), so what is
found there is hostile until it is read: only regular files with one link, opened without following links or waiting,
no longer than a request can be. Who asks is the file's owner. That nobody links another's request in here is the
kernel's promise (fs.protected_hardlinks, on by systemd's default).

What hooks drop comes first, and only so many files of others are claimed at a time: nobody's junk holds back a job.
"""

from __future__ import annotations

import heapq
import logging
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from slurm_amlfs.adapters.folders import OF_THE_DISK, make_folder
from slurm_amlfs.adapters.log import event
from slurm_amlfs.domain.prefix import validate
from slurm_amlfs.errors import PermanentError, TemporaryError, UserError
from slurm_amlfs.wire import MAX_BYTES, OF_LEASES, Request, RequestKind, load_request

_LOG = logging.getLogger(__name__)

PASS_MODE = 0o711
DROP_MODE = 0o1733
OWN_MODE = 0o700
MOST_AT_ONCE = 4096
"""Requests claimed in one pass; a flood is worked off over several, oldest first."""
MOST_OF_OTHERS = 100
"""Files of all who are no hooks that are claimed and not done, at most."""
MOST_OF_ONE = 20
"""The same for each of them."""
MOST_BAD = 100
"""Malformed files that are kept to look at; older ones go."""
LARGEST_JOB_ID = 2**31 - 1
"""Slurm's commands read ids as int (squeue/opts.c, scontrol/update_job.c)."""

_FS_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""As the configuration has them (config/values.py, Name)."""

_FROM_ANYBODY = {RequestKind.RETRY, RequestKind.CANCEL}
"""Whose right depends on the job, which is checked where the job is known."""


class _File(NamedTuple):
    """What lies in a folder; `other` says that its owner is no hook. In the order that it is taken in."""

    other: bool
    time_ns: int
    name: str
    inode: int
    uid: int


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
        """Claim what has arrived, the hooks' before anybody else's, each oldest first, as (handle, request).

        What was claimed before and is not done comes again, first of all after a crash.

        Raises:
            TemporaryError: the disk does not let it be claimed now, as when it is full; it stays where it is.
        """
        with _told(self._new):
            self._claim()
            found = list(self._files(self._cur))
        for file in heapq.nsmallest(MOST_AT_ONCE, found, key=lambda it: (it.other, it.name)):
            try:
                request = self._read(self._cur / file.name)
            except UserError as error:
                self._set_aside(file.name, error.message)
            except FileNotFoundError:
                continue
            else:
                yield file.name, request

    def _claim(self) -> None:
        new = heapq.nsmallest(MOST_AT_ONCE, (it for it in self._files(self._new) if not it.other))
        if others := [it for it in self._files(self._new) if it.other]:
            claimed = Counter(it.uid for it in self._files(self._cur) if it.other)
            for file in sorted(others):
                if claimed.total() < MOST_OF_OTHERS and claimed[file.uid] < MOST_OF_ONE:
                    claimed[file.uid] += 1
                    new.append(file)
        for file in new:
            # A name of our own: under the sender's, a rename could replace somebody else's claimed request.
            _take_in(self._new / file.name, self._cur / f"{max(file.time_ns, 0):020d}.{file.inode}")

    def _files(self, folder: Path) -> Iterator[_File]:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    facts = entry.stat(follow_symlinks=False)
                    other = facts.st_uid not in self._hook_uids
                    # An owner sets a file's mtime as he likes, but not its ctime.
                    time_ns = facts.st_ctime_ns if other else facts.st_mtime_ns
                    yield _File(other, time_ns, entry.name, facts.st_ino, facts.st_uid)

    def done(self, handle: str) -> None:
        """Forget a request whose effect is in the store. Done twice is success.

        Raises:
            TemporaryError: the disk is read-only, or away; it comes again.
        """
        with _told(self._cur):
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
        if request.kind in OF_LEASES:
            _check_lease(request, self._hook_uids)
        elif not 0 < request.job_id <= LARGEST_JOB_ID:
            raise UserError(f"no job has the id {request.job_id}")
        elif request.kind not in _FROM_ANYBODY and request.sender_uid not in self._hook_uids:
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


def _check_lease(request: Request, operators: Container[int]) -> None:
    """Refuse a request about leases that names no prefix as we carry them, or is not an operator's."""
    if request.sender_uid not in operators:
        raise UserError(f"{request.kind.value} is for root and SlurmUser to say, not for uid {request.sender_uid}")
    if not _FS_NAME.fullmatch(request.fs):
        raise UserError("no file system can have the name that is asked for")
    validate(request.prefix)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as error:
        raise TemporaryError(f"{folder} cannot be used ({error.strerror}); mend the disk of state_dir") from error


def _take_in(old: Path, new: Path) -> None:
    """Rename a request; only what can never be renamed is removed."""
    try:
        old.rename(new)
    except OSError as error:
        if error.errno in OF_THE_DISK:
            # It says nothing of the request, which must not be lost by it.
            raise
        _rename(old, new)


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
