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
    """List processes that have SLURM_CONF set to this file, and job steps that listen below its site's folder.

    From 23.11 on slurmstepd writes its title over its environment.
    """
    mark = b"SLURM_CONF=" + os.fsencode(slurm_conf)
    sockets = _sockets_below(slurm_conf.parent.parent)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0") or _is_step(folder, sockets):
                    yield int(folder.name)


def _sockets_below(folder: Path) -> set[str]:
    """Name the sockets that are bound to a path in a folder, as /proc/PID/fd does."""
    found = set()
    for line in Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        words = line.split(maxsplit=7)
        if len(words) > 7 and Path(words[7]).is_relative_to(folder):  # noqa: PLR2004 - it has a path
            found.add(f"socket:[{words[6]}]")
    return found


def _is_step(process: Path, sockets: set[str]) -> bool:
    if not (process / "comm").read_text(encoding="utf-8").startswith("slurmstepd"):
        return False
    return any(str(it.readlink()) in sockets for it in (process / "fd").iterdir())
