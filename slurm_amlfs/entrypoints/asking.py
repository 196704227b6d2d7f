"""Put a request of a user's into the inbox, as every hook does. Who may ask for what is the daemon's to decide."""

from __future__ import annotations

import os
import time
from pathlib import Path

from slurm_amlfs.errors import TemporaryError
from slurm_amlfs.wire import Request, RequestKind, dump_request


def ask(state_dir: Path, kind: RequestKind, job_id: int) -> None:
    """Write a request and move it to where the daemon takes it.

    Raises:
        TemporaryError: the inbox cannot be written to.
    """
    token = f"{int(time.time())}-{os.getpid()}"
    name = f"{int(time.time())}.{os.getpid()}.0.{job_id}-{kind.value}"
    draft = state_dir / "inbox" / "tmp" / name
    try:
        with draft.open("xb") as file:
            file.write(dump_request(Request(kind, job_id, token)))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(state_dir / "inbox" / "new" / name)
    except OSError as error:
        raise TemporaryError(
            f"the inbox {state_dir / 'inbox'} cannot be written to ({error.strerror}); is this the controller's host,"
            " and has slurm-amlfsd ever run here?"
        ) from error
