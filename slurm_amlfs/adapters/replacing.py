"""Small files that are replaced by rename, so that a reader sees an old or a new one whole.

Nothing is synced to disk: what is written so is derived, and a reader that finds half a file after a crash takes it for
none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from slurm_amlfs.errors import TemporaryError

FILE_MODE = 0o640

_DRAFT = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DRAFT_MODE = 0o600


def replace_file(path: Path, data: bytes, gid: int, prepare: Callable[[int], None] | None = None) -> None:
    """Write a file of ours that a group may read; `prepare` gets its descriptor before it is in place.

    Raises:
        TemporaryError: it cannot be written, as on a full disk.
    """
    draft = path.with_name(f".{path.name}.tmp")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, _DRAFT, _DRAFT_MODE), "wb") as file:
            file.write(data)
            os.fchown(file.fileno(), -1, gid)
            os.fchmod(file.fileno(), FILE_MODE)
            if prepare is not None:
                prepare(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise TemporaryError(f"{path} cannot be written ({error.strerror}); mend the disk of state_dir") from error
