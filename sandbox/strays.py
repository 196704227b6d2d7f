"""What a site's Slurm leaves running when it is stopped: job steps and their tasks, which outlive slurmd by design."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from sandbox import watch

END_SECONDS = 30.0


def end_strays(slurm_conf: Path) -> None:
    """Kill every process that was started for the Slurm of this slurm.conf, and wait until they are gone."""

    def killed() -> bool:
        # At each look anew: what was just being forked when the others were killed had not shown yet.
        pids = list(find_strays(slurm_conf))
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    watch.until(killed, END_SECONDS, "job steps end when they are killed")


def find_strays(slurm_conf: Path) -> Iterator[int]:
    """List processes that have SLURM_CONF set to this file."""
    mark = b"SLURM_CONF=" + os.fsencode(slurm_conf)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
