"""The process that touches Lustre, as a whole: it ends with the daemon, however that ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sandbox.watch import until
from tests.fakes import lustre_process

LONG = 60.0

DAEMON = f"""
import sys
from pathlib import Path
from slurm_amlfs.config import Limits
from slurm_amlfs.entrypoints.reaching import reach_lustre
folder = Path(sys.argv[1])
program = "{lustre_process.__name__}"
reach_lustre("lustre", folder / "mount", folder / "lfs", Limits(), program=program).hsm_states(["/f"])
"""


def is_there(pid: str) -> bool:
    """Say whether a process runs: one that nobody has buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def test_it_ends_with_the_daemon_in_the_midst_of_a_call(tmp_path: Path) -> None:
    """The daemon is killed while `lfs` hangs: neither is left."""
    (tmp_path / "mount").mkdir()
    (tmp_path / "mount" / "f").touch()
    (tmp_path / f"mount{lustre_process.MARK}").touch()
    pids = tmp_path / "pids"
    program = tmp_path / "lfs"
    program.write_text(f"#!/bin/sh\necho $$ $PPID >{pids}.new && mv {pids}.new {pids}\nexec sleep 1000\n")
    program.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", DAEMON, str(tmp_path)]) as daemon:
        try:
            until(pids.exists, LONG, "lfs runs")
        finally:
            daemon.kill()
    for pid in pids.read_text(encoding="ascii").split():
        until(lambda pid=pid: not is_there(pid), LONG, f"process {pid} ends")
