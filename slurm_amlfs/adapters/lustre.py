"""One mounted Lustre file system: what is on it, its HSM states, and our receipts.

Every path is reached as `beneath` promises, so nothing outside the mount is read or touched.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from slurm_amlfs.adapters.beneath import Beneath
from slurm_amlfs.adapters.lfs import STATE_FILES, Action, Lfs, OpenName
from slurm_amlfs.adapters.looks import folder_of, looks, stat_in
from slurm_amlfs.adapters.receipts import OWN_FOLDER, Receipts
from slurm_amlfs.adapters.walking import walk
from slurm_amlfs.domain.quote import quote_list
from slurm_amlfs.domain.view import FileView, HsmState, SpaceView
from slurm_amlfs.errors import PermanentError

OPEN_FOLDERS = 200
"""Directories held open for one lfs command; far below the usual limit of 1,024 descriptors."""

_Find = Callable[[ExitStack, dict[str, int | None], str], OpenName | None]
"""Names a path by its directory, which is kept open."""

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
        self._lfs = lfs
        self._tree = Beneath(mount, is_mount, alive)
        self._receipts = Receipts(mount, self._tree)

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
        return walk(self._tree, prefix, OWN_FOLDER)

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
        self._receipts.put(job_id, uid, gid, text)

    def drop_receipt(self, job_id: int) -> None:
        """Remove a job's receipt. Gone is success.

        Raises:
            TemporaryError: the file system is not mounted, or does not answer.
        """
        self._receipts.drop(job_id)

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
        with self._tree.explained(path):
            opened = folder_of(self._tree, stack, folders, path)
            facts = stat_in(self._tree, *opened) if opened else None
        return OpenName(*opened) if opened and facts and stat.S_ISREG(facts.st_mode) else None

    def _find(self, stack: ExitStack, folders: dict[str, int | None], path: str) -> OpenName | None:
        with self._tree.explained(path):
            opened = folder_of(self._tree, stack, folders, path)
        return OpenName(*opened) if opened else None


def _complain(verb: str, paths: Sequence[str], check: str) -> None:
    if paths:
        raise PermanentError(
            f"Lustre refuses to {verb} {quote_list(paths)}; see that {check}, and that this host is in"
            " noSquashNidLists if root is squashed"
        )
