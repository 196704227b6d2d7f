"""The receipts on a mounted Lustre: small files of ours, from which nodes see that a stage-in is complete."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path

from slurm_amlfs.adapters.beneath import NOT_THERE, Beneath
from slurm_amlfs.errors import PermanentError

OWN_FOLDER = ".amlfs"
"""Our own folder in the root of the file system; walks leave it out."""
RECEIPTS = "receipts"
FOLDER_MODE = 0o711
RECEIPT_MODE = 0o400


class Receipts:
    """The receipts of one mount; `tree` is what is below it."""

    def __init__(self, mount: Path, tree: Beneath) -> None:
        self._mount = mount
        self._tree = tree

    def put(self, job_id: int, uid: int, gid: int, text: str) -> None:
        """Write a job's receipt, whole or not at all, readable by its owner; a node sees that it is there.

        Raises:
            TemporaryError: it cannot be written, as on a full file system.
            PermanentError: somebody else owns our folder.
        """
        draft = f".{job_id}.tmp"
        with self._tree.explained(f"/{OWN_FOLDER}/{RECEIPTS}/{job_id}"), ExitStack() as stack:
            folder = self._folder(stack)
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

    def drop(self, job_id: int) -> None:
        """Remove a job's receipt. Gone is success.

        Raises:
            TemporaryError: the file system is not mounted, or does not answer.
        """
        with self._tree.explained(f"/{OWN_FOLDER}/{RECEIPTS}/{job_id}"), ExitStack() as stack:
            folder = self._tree.folder(stack, [OWN_FOLDER, RECEIPTS])
            if folder is not None:
                with suppress(FileNotFoundError):
                    os.unlink(str(job_id), dir_fd=folder)

    def _folder(self, stack: ExitStack) -> int:
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


def _not_ours(mount: Path) -> PermanentError:
    return PermanentError(f"{mount}/{OWN_FOLDER} is somebody else's; move it away, the daemon makes its own")
