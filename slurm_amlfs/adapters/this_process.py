"""Who this process is, so that another can say whether it still lives."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from pathlib import Path

from slurm_amlfs.domain.tenure import Holder

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19
"""Which field behind the name in /proc/PID/stat says when the process was started (proc(5): the 22nd of all)."""

_ENDED = frozenset({"Z", "X"})
"""States of a process that only its parent has still to take note of."""


def this_process(now: datetime) -> Holder:
    """Say who this process is."""
    return Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        boot=_read(_BOOT),
        pids=_link(Path("/proc/self/ns/pid")),
        began=began(os.getpid()) or "",
        since=now.isoformat(timespec="seconds"),
    )


def began(pid: int) -> str | None:
    """Say when the process with this id was started, in ticks since the start of the host.

    None if there is certainly none, "" if there is one of which nothing can be seen.
    """
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    if len(fields) > _START_FIELD:
        return None if fields[0] in _ENDED else fields[_START_FIELD]
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except OSError:
        return ""
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
