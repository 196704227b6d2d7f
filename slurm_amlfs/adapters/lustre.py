"""One mounted Lustre file system: what is on it, its HSM states, and our receipts.

Every path is reached as `beneath` promises, so nothing outside the mount is read or touched.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from slurm_amlfs.adapters.beneath import NOT_THERE, Beneath, parts_of
from slurm_amlfs.adapters.lfs import STATE_FILES, Action, Lfs, OpenName
from slurm_amlfs.adapters.looks import folder_of, looks, stat_path, view_of
from slurm_amlfs.domain.quote import quote_list
from slurm_amlfs.domain.view import FileKind, FileView, HsmState, SpaceView
from slurm_amlfs.errors import PermanentError

OWN_FOLDER = ".amlfs"
"""Our own folder in the root of the file system; walks leave it out."""
RECEIPTS = "receipts"
FOLDER_MODE = 0o711
RECEIPT_MODE = 0o400
OPEN_FOLDERS = 200
"""Directories held open for one lfs command; far below the usual limit of 1,024 descriptors."""

_Find = Callable[[ExitStack, dict[str, int | None], str], OpenName | None]
"""Names a path by its directory, which is kept open."""

_ONE_FILES_FAULT = {errno.EIO, errno.EREMOTEIO, errno.ENODATA, errno.EINVAL, errno.ESHUTDOWN}
"""What a stat fails with where the objects of a file are not to be reached; a client that was evicted gets the last."""

_NO_RIGHT = {errno.EPERM, errno.EACCES}


class LustreMount:
    """The Lustre port on one mount.

    Args:
        mount: Where it is mounted on this host.
        lfs: The command.
        is_mount: Says whether a path is a mount point.
        alive: Is called now and then while a call goes on.
    """

    def __init__(
        self,
        mount: Path,
        lfs: Lfs,
        is_mount: Callable[[Path], bool] = os.path.ismount,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._mount = mount
        self._lfs = lfs
        self._tree = Beneath(mount, is_mount, alive)

    def mounted(self) -> bool:
        """Say whether the mount is there."""
        return self._tree.mounted()

    def look(self, path: str) -> FileView | None:
        """Stat one path, following no link; None if it is not there. A trailing "/" asks for a directory.

        Raises:
            TemporaryError: the file system is not mounted, or does not answer.
        """
        return self.looks([path]).get(path)

    def looks(self, paths: Sequence[str]) -> dict[str, FileView]:
        """Stat many paths as `look` does one; what is not there is absent.

        Raises:
            TemporaryError: the file system is not mounted, or does not answer.
        """
        return looks(self._tree, paths)

    def walk(self, prefix: str) -> Iterator[FileView]:
        """Stream everything that is not a directory whose path begins with `prefix`; follows no link.

        The prefix is a string: "/a/b" also takes "/a/bc". Our own folder is left out. What comes or goes meanwhile
        may be in it or not. A file that cannot be looked at is told as unreadable.

        Raises:
            TemporaryError: the file system is not mounted, or does not answer.
            PermanentError: the prefix is no path.
        """
        above, _, begins = prefix.rpartition("/")
        if not prefix.startswith("/") or (above and parts_of(above) is None):
            raise PermanentError(f"{prefix!r} is no path on a file system; write it from / on")
        pending = [(above, begins)]
        while pending:
            self._tree.alive()
            for view in self._list(*pending.pop()):
                if view.kind is not FileKind.DIRECTORY:
                    yield view
                elif view.path != f"/{OWN_FOLDER}":
                    pending.append((view.path, ""))

    def hsm_states(self, paths: Sequence[str]) -> dict[str, HsmState]:
        """Read the HSM state of many regular files at once; a path that is gone, or is none, is absent.

        Raises:
            TemporaryError: the file system or `lfs` does not answer.
            PermanentError: it is not Lustre.
        """
        states: dict[str, HsmState] = {}
        for named in self._open_files(paths):
            told = self._lfs.hsm_states([name for _, name in named])
            states |= {path: state for (path, _), state in zip(named, told, strict=True) if state is not None}
        return states

    def restore(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Ask for the contents of released files. Asking twice, or for a file that is whole or gone, is success.

        Returns the files that Lustre refuses and that are still released, where it takes others.

        Raises:
            TemporaryError: the file system or `lfs` does not answer.
            PermanentError: Lustre refuses all: their archive is lost, or we have no right.
        """
        states = self._request(Action.RESTORE, paths)
        refused = tuple(path for path, state in states.items() if state & HsmState.RELEASED)
        if len(refused) == len(set(paths)):
            _complain("restore", refused, "its archive is not lost")
        return refused

    def archive(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Ask for copies of new and dirty files in the archive. Asking twice, or for a clean or gone file, is success.

        Returns the files that Lustre refuses, where it takes others. The archives go on by themselves; one that fails
        leaves its file as it is, and only `hsm_busy` tells that it is over (hsm_cdt_request_completed).

        Raises:
            TemporaryError: the file system or `lfs` does not answer.
            PermanentError: Lustre refuses all: we have no right, or they must not be archived.
        """
        states = self._request(Action.ARCHIVE, paths)
        refused = tuple(path for path, state in states.items() if not state.clean)
        if len(refused) == len(set(paths)):
            _complain("archive", refused, "it is not marked noarchive")
        return refused

    def hsm_busy(self, paths: Sequence[str]) -> frozenset[str]:
        """Say which files an HSM request waits or runs for.

        Raises:
            TemporaryError: the file system or `lfs` does not answer.
            PermanentError: it is not Lustre.
        """
        busy: set[str] = set()
        for named in self._open_files(paths):
            told = self._lfs.hsm_busy([name for _, name in named])
            busy |= {path for (path, _), it in zip(named, told, strict=True) if it}
        return frozenset(busy)

    def release(self, paths: Sequence[str]) -> None:
        """Free the space of clean archived files.

        Lustre leaves alone what is dirty, not archived, or open elsewhere, and so do we: look at the states afterwards.

        Raises:
            TemporaryError: the file system or `lfs` does not answer.
            PermanentError: Lustre refuses for want of a right what could be released.
        """
        refused = self._request(Action.RELEASE, paths)
        kept = HsmState.RELEASED | HsmState.NORELEASE
        wrongly = [path for path, state in refused.items() if state.clean and not state & kept]
        _complain("release", wrongly, "its archive is not lost")

    def space(self) -> SpaceView:
        """Read total bytes, and those free to users.

        Raises:
            TemporaryError: the file system is not mounted, or does not answer.
        """
        with self._tree.explained("/"), ExitStack() as stack:
            facts = os.fstatvfs(self._tree.root(stack))
        return SpaceView(total_bytes=facts.f_blocks * facts.f_frsize, free_bytes=facts.f_bavail * facts.f_frsize)

    def put_receipt(self, job_id: int, uid: int, gid: int, text: str) -> None:
        """Write a job's receipt, whole or not at all, readable by its owner; a node sees that it is there.

        Raises:
            TemporaryError: it cannot be written, as on a full file system.
            PermanentError: somebody else owns our folder.
        """
        draft = f".{job_id}.tmp"
        with self._tree.explained(f"/{OWN_FOLDER}/{RECEIPTS}/{job_id}"), ExitStack() as stack:
            folder = self._receipts(stack)
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(draft, flags, RECEIPT_MODE, dir_fd=folder), "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
                file.flush()
                os.fchown(file.fileno(), uid, gid)
                os.fchmod(file.fileno(), RECEIPT_MODE)
                os.fsync(file.fileno())
            os.rename(draft, str(job_id), src_dir_fd=folder, dst_dir_fd=folder)

    def drop_receipt(self, job_id: int) -> None:
        """Remove a job's receipt. Gone is success.

        Raises:
            TemporaryError: the file system is not mounted, or does not answer.
        """
        with self._tree.explained(f"/{OWN_FOLDER}/{RECEIPTS}/{job_id}"), ExitStack() as stack:
            folder = self._tree.folder(stack, [OWN_FOLDER, RECEIPTS])
            if folder is not None:
                with suppress(FileNotFoundError):
                    os.unlink(str(job_id), dir_fd=folder)

    def _list(self, folder: str, begins: str) -> Iterator[FileView]:
        with self._tree.explained(folder or "/"), ExitStack() as stack:
            parent = self._tree.folder(stack, parts_of(folder or "/") or [])
            if parent is None:
                return
            listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
            stack.callback(os.close, listed)
            for entry in stack.enter_context(os.scandir(listed)):
                if entry.name.startswith(begins):
                    with suppress(FileNotFoundError):
                        yield _view(f"{folder}/{entry.name}", entry)

    def _request(self, action: Action, paths: Sequence[str]) -> dict[str, HsmState]:
        """Request an action; return the states of the files that were refused for want of a right or of an archive.

        That each is a regular file `lfs` sees to by itself.
        """
        states: dict[str, HsmState] = {}
        for named in self._open(paths, self._find):
            path_of = {name: path for path, name in named}
            refused = [name for name, code in self._lfs.request(action, list(path_of)) if code in _NO_RIGHT]
            told = zip(refused, self._lfs.hsm_states(refused), strict=True)
            states |= {path_of[name]: state for name, state in told if state is not None}
        return states

    def _open_files(self, paths: Sequence[str]) -> Iterator[list[tuple[str, OpenName]]]:
        """Yield the regular files among `paths`: `lfs` opens what it is to tell of, and a device does not like that."""
        return self._open(paths, self._find_regular)

    def _open(self, paths: Sequence[str], find: _Find) -> Iterator[list[tuple[str, OpenName]]]:
        """Yield what is found of `paths` with the directories held open, as many at a time as may be."""
        left = deque(dict.fromkeys(paths))
        while left:
            folders: dict[str, int | None] = {}
            named: list[tuple[str, OpenName]] = []
            with ExitStack() as stack:
                while left and len(named) < STATE_FILES and len(folders) < OPEN_FOLDERS:
                    path = left.popleft()
                    if name := find(stack, folders, path):
                        named.append((path, name))
                if named:
                    yield named

    def _find_regular(self, stack: ExitStack, folders: dict[str, int | None], path: str) -> OpenName | None:
        facts = stat_path(self._tree, stack, folders, path)
        return self._find(stack, folders, path) if facts and stat.S_ISREG(facts.st_mode) else None

    def _find(self, stack: ExitStack, folders: dict[str, int | None], path: str) -> OpenName | None:
        with self._tree.explained(path):
            opened = folder_of(self._tree, stack, folders, path)
        return OpenName(*opened) if opened else None

    def _receipts(self, stack: ExitStack) -> int:
        folder = self._tree.root(stack)
        for name in (OWN_FOLDER, RECEIPTS):
            with suppress(FileExistsError):
                os.mkdir(name, FOLDER_MODE, dir_fd=folder)
            try:
                folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            except OSError as error:
                if error.errno in NOT_THERE:
                    raise _not_ours(self._mount) from error
                raise
            stack.callback(os.close, folder)
            if os.fstat(folder).st_uid != os.geteuid():
                raise _not_ours(self._mount)
            os.fchmod(folder, FOLDER_MODE)
        return folder


def _view(path: str, entry: os.DirEntry[str]) -> FileView:
    """Look at what was met; one file that cannot be looked at must not end the walk past all others."""
    try:
        return view_of(path, entry.stat(follow_symlinks=False))
    except OSError as error:
        if error.errno not in _ONE_FILES_FAULT:
            raise
        return FileView(path, FileKind.UNREADABLE, 0)


def _complain(verb: str, paths: Sequence[str], check: str) -> None:
    if paths:
        raise PermanentError(
            f"Lustre refuses to {verb} {quote_list(paths)}; see that {check}, and that this host is in"
            " noSquashNidLists if root is squashed"
        )


def _not_ours(mount: Path) -> PermanentError:
    return PermanentError(f"{mount}/{OWN_FOLDER} is somebody else's; move it away, the daemon makes its own")
