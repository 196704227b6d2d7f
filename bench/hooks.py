"""How long each hook of prolog/ and epilog/ takes: `make bench BENCH=hooks` (root).

Each runs as Slurm runs it, without PATH, for a job with directives and for one without. Lustre is a tmpfs in a mount
namespace of our own with nothing to flush, so the Epilog's figure is the hook's, not the flush's. In hold mode the two
that ask Slurm have a squeue that answers at once: what slurmctld takes is not the hook's either.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Bar, Report, publish
from slurm_amlfs.domain.gate import Run
from slurm_amlfs.wire import Answer, Board, Site, dump_board, dump_site

ROUNDS = 60
LIMIT_MS = 50.0
JOB = 4711
ROOT = Path(__file__).parents[1]
HOOKS = ("prolog/amlfs", "prolog/amlfs-slurmctld", "prolog/amlfs-task", "epilog/amlfs", "epilog/amlfs-slurmctld")
IN_HOLD_MODE = ("prolog/amlfs-slurmctld", "epilog/amlfs-slurmctld")
OPTIONS = {
    "SPANK__SLURM_SPANK_OPTION_amlfs_amlfs_import": "/a/",
    "SPANK__SLURM_SPANK_OPTION_amlfs_amlfs_export": "/b/",
}


def main() -> int:
    """Measure all hooks in turn, so that a busy moment of the machine falls on all of them."""
    if "--inside" not in sys.argv:
        inside = ["/usr/bin/unshare", "--mount", sys.executable, "-m", "bench.hooks", "--inside"]
        return subprocess.run(inside, check=False, cwd=ROOT).returncode
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        conf = _site(folder)
        base = {"AMLFS_HOOKS_CONF": str(conf), "SLURM_JOB_EXIT_CODE2": "0:0"}
        ours = {**base, **OPTIONS, "SLURM_JOB_ID": str(JOB)}
        others = {**base, "SLURM_JOB_ID": str(JOB + 1)}
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for hook in HOOKS:
                times.setdefault(f"{hook}_ms", []).append(_run(hook, ours))
                times.setdefault(f"{hook}_other_jobs_ms", []).append(_run(hook, others))
        _hold(folder)
        for _ in range(ROUNDS):
            for hook in IN_HOLD_MODE:
                times.setdefault(f"{hook}_in_hold_mode_ms", []).append(_run(hook, ours))
                times.setdefault(f"{hook}_other_jobs_in_hold_mode_ms", []).append(_run(hook, others))
        notes = len(list((folder / "inbox/new").iterdir()))
        subprocess.run(["/bin/umount", str(folder / "lustre")], check=True)
    if notes != 2 * ROUNDS:
        raise SystemExit(f"{2 * ROUNDS} jobs of ours ended, but {notes} notes were left")
    figures = {name: statistics.median(values) for name, values in times.items()}
    return publish(Report("hooks", figures, [Bar(name, value, LIMIT_MS) for name, value in figures.items()]))


def _site(folder: Path) -> Path:
    for name in ("inbox/tmp", "inbox/new", "board", "asks", "lustre"):
        (folder / name).mkdir(parents=True)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "amlfs", str(folder / "lustre")], check=True)
    receipts = folder / "lustre/.amlfs/receipts"
    receipts.mkdir(parents=True)
    (receipts / str(JOB)).write_text(f"AMLFS_MOUNT={folder}/lustre\nAMLFS_IMPORT_DIR={folder}/lustre/a/\n")
    (folder / f"asks/{JOB}.in").write_text("1-2\n")
    answer = Board(JOB, 61001, "e", token_in="1-2", answer_in=Answer.DONE)  # noqa: S106 - the name of an ask
    (folder / f"board/{JOB}").write_bytes(dump_board(answer))
    conf = folder / "amlfs-hooks.conf"
    conf.write_text(f"AMLFS_STATE_DIR={folder}\nAMLFS_MOUNTS={folder}/lustre\nAMLFS_MOUNT_TYPES=tmpfs\n")
    return conf


def _hold(folder: Path) -> None:
    """Make the site one in hold mode, and have the job's first run proved."""
    (folder / "site").write_bytes(dump_site(Site("e", mode="hold")))
    (folder / f"asks/{JOB}.in").unlink()
    answer = Board(JOB, 61001, "e", token_in=Run(0).token, answer_in=Answer.DONE, directives=("stage_out prefix=/b/",))
    (folder / f"board/{JOB}").write_bytes(dump_board(answer))
    squeue = folder / "squeue"
    squeue.write_text("#!/bin/sh\necho None\n")
    squeue.chmod(0o755)
    with (folder / "amlfs-hooks.conf").open("a") as conf:
        conf.write(f"AMLFS_SLURM_BIN={folder}\n")


def _run(hook: str, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([str(ROOT / hook)], env=environment, check=True, capture_output=True, close_fds=False)
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    if os.geteuid() != 0:
        raise SystemExit("bench hooks: the hooks read only root's configuration; run it as root")
    sys.exit(main())
