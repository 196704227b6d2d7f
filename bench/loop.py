"""The daemon with thousands of waiting stages: its share of a processor and its memory, at rest and under change.

A process of its own runs the real loop on the real store, inbox, board and squeue adapter; the slot is held by somebody
else's import, so that all wait. Azure, Blob and Lustre are the tests' fakes, which cost next to nothing, and `squeue`
is a stand-in that prints as many records as there are jobs: its own time is counted apart, as `children`. Every fifth
job shares a prefix with others. Under change a hundred more jobs come every second; the share is what all of it cost,
until the last has its board, by the seconds in which they came: falling behind hides nothing.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from bench.report import Bar, Report, publish
from sandbox.watch import until
from slurm_amlfs.adapters.board import BoardFolder
from slurm_amlfs.adapters.inbox import MaildirInbox
from slurm_amlfs.adapters.slurm_cli import SlurmCommands
from slurm_amlfs.adapters.slurm_living import LIVING_FIELDS
from slurm_amlfs.adapters.slurm_queue import JOB_FIELDS, QUEUE_FIELDS
from slurm_amlfs.adapters.store import FILE_NAME, SqliteStore
from slurm_amlfs.application.looking import Pace
from slurm_amlfs.application.loop import Loop, Outside
from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.world import FsRules, Rules
from slurm_amlfs.wire import Request, RequestKind, dump_request
from tests.fakes.arm import FakeArm
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre

STAGES = (5_000, 10_000, 20_000)
BAR_STAGES = 10_000
CALM_SHARE, CALM_SECONDS, CALM_WINDOWS = 0.5, 5.0, 3
"""A daemon that takes less than that share of a processor so many times is done with what came."""
QUIET_SECONDS = 60.0
CHANGE_SECONDS = 20
CHANGES_PER_SECOND = 100
SHARED = 5

SHARE_LIMIT = 0.05
MEMORY_LIMIT_MB = 200.0
DOUBLING_LIMIT = 2.0
LEAST_SHARE = 0.005
"""Less than this is nothing: ratios of such shares say more of the measurement than of the daemon."""

LONGEST_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run the benchmark and return its exit status."""
    found = {stages: _measure(stages) for stages in STAGES}
    figures = {f"{stages}_{name}": value for stages, some in found.items() for name, value in some.items()}
    bars = [
        Bar("share of a processor at rest", found[BAR_STAGES]["rest_share"], SHARE_LIMIT),
        Bar("memory in MB", found[BAR_STAGES]["memory_mb"], MEMORY_LIMIT_MB),
    ]
    for name in ("rest_share", "change_share", "memory_mb"):
        values = [max(found[stages][name], LEAST_SHARE) for stages in STAGES]
        growth = max((after / before for before, after in itertools.pairwise(values)), default=0.0)
        bars.append(Bar(f"{name} when the stages double", growth, DOUBLING_LIMIT))
    return publish(Report("loop", figures, bars))


def _measure(stages: int) -> Mapping[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="amlfs-loop."))
    more = CHANGES_PER_SECOND * CHANGE_SECONDS
    try:
        stand_in(folder, stages + more)
        argv = [sys.executable, "-m", "bench.loop", str(folder)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE) as daemon:
            try:
                inbox = folder / "state" / "inbox"
                until((inbox / "new").is_dir, LONGEST_SECONDS, "the daemon is up")
                began = time.monotonic()
                for number in range(1, stages + 1):
                    submit(inbox, number)
                _taken_in(folder, stages)
                taken = time.monotonic() - began
                _settle(daemon.pid)
                rest, children = _shares(daemon.pid, lambda: time.sleep(QUIET_SECONDS))
                before, began = _ticks(daemon.pid)[0], time.monotonic()
                _change(inbox, stages)
                came = time.monotonic() - began
                _taken_in(folder, stages + more)
                change = (_ticks(daemon.pid)[0] - before) / _TICKS / came
                behind = time.monotonic() - began - came
                memory = _memory_mb(daemon.pid)
            finally:
                daemon.terminate()
    finally:
        shutil.rmtree(folder)
    return {
        "taken_in_seconds": taken,
        "rest_share": rest,
        "rest_children_share": children,
        "change_share": change,
        "change_behind_seconds": behind,
        "memory_mb": memory,
    }


def _taken_in(folder: Path, stages: int) -> None:
    state = folder / "state"
    until(lambda: not any(any((state / "inbox" / it).iterdir()) for it in ("new", "cur")), LONGEST_SECONDS, "all heard")
    until(lambda: sum(1 for _ in (state / "board").iterdir()) >= stages, LONGEST_SECONDS, "all have a board")


def _settle(pid: int) -> None:
    """Wait for the daemon to rest: the counts, boards and comments of the beginning are not that."""
    calm = 0
    while calm < CALM_WINDOWS:
        calm = calm + 1 if _shares(pid, lambda: time.sleep(CALM_SECONDS))[0] < CALM_SHARE else 0


def _change(inbox: Path, stages: int) -> None:
    """Let a hundred jobs a second come."""
    for second in range(CHANGE_SECONDS):
        until = time.monotonic() + 1
        for number in range(CHANGES_PER_SECOND):
            submit(inbox, stages + 1 + second * CHANGES_PER_SECOND + number)
        time.sleep(max(until - time.monotonic(), 0.0))


def _line(number: int) -> str:
    return f"stage_in prefix=/data/{number // SHARED}/"


def submit(inbox: Path, number: int) -> None:
    """Leave a job's requests as the hooks do."""
    for kind in (RequestKind.SETUP, RequestKind.DATA_IN):
        token = "1-1" if kind is RequestKind.DATA_IN else ""
        request = Request(kind, number, token, 61001, 61001, directives=(_line(number),))
        name = f"{time.time_ns()}.1.{0 if kind is RequestKind.SETUP else 1}.{number}-{kind.value}"
        draft = inbox / "tmp" / name
        draft.write_bytes(dump_request(request))
        draft.rename(inbox / "new" / name)


def stand_in(folder: Path, jobs: int) -> None:
    """Lay a squeue down that prints these jobs as pending, in whatever fields and with whatever mark it is asked."""
    values = {
        "UserID": "61001", "State": "PENDING", "BurstBufferState": "staging-in", "exit_code": "0", "RestartCnt": "0",
        "PriorityLong": "1000", "BatchFlag": "1", "Account": "hpc", "UserName": "alice", "Reason": "BurstBufferStageIn",
        "SubmitTime": "1700000000", "StartTime": "N/A", "ArrayTaskID": "N/A", "Dependency": "(null)",
        "GroupID": "61001",
    }  # fmt: skip
    for name, fields in (("jobs", JOB_FIELDS), ("queue", QUEUE_FIELDS), ("living", LIVING_FIELDS)):
        with (folder / name).open("w", encoding="ascii") as file:
            for number in range(1, jobs + 1):
                mine = {
                    **values,
                    "JobID": str(number),
                    "ArrayJobID": str(number),
                    "BurstBuffer": f"#AMLFS {_line(number)}",
                }
                file.write("".join(f"{mine[field]}@" for field in fields) + "\n")
    script = folder / "squeue"
    script.write_text(
        "#!/bin/sh\n"
        f"file={folder}/jobs\n"
        "for word; do case $word in --Format=*) mark=${word%%,*}; mark=${mark#*:0};; esac\n"
        f"case $word in *Priority*BurstBuffer:*) file={folder}/queue;;\n"
        f"*BurstBuffer:*) file={folder}/living;; esac; done\n"
        'exec sed "s/@/$mark/g" "$file"\n',
        encoding="ascii",
    )
    script.chmod(0o755)
    shutil.copy(shutil.which("true") or "/bin/true", folder / "scontrol")


def serve(folder: Path, stop: threading.Event) -> int:
    """Be the daemon, until told to stop."""
    blobs = FakeBlobs()
    for number in range((max(STAGES) + CHANGES_PER_SECOND * CHANGE_SECONDS) // SHARED + 1):
        blobs.put(f"data/{number}/x", 10)
    arm = FakeArm(blobs, FakeLustre(total_bytes=10**15))
    arm.create_import("portal", ("/elsewhere/",), Conflict.SKIP, 0)
    state = folder / "state"
    state.mkdir()
    store = SqliteStore(state / FILE_NAME)
    rules = Rules(
        {"amlfs": FsRules("amlfs", "/lustre", Namespace.FLAT)}, (Grant("*", None, ("/",), ("/",)),), store.epoch
    )
    outside = Outside(
        {"amlfs": FileSystem(arm, blobs, arm.lustre, Namespace.FLAT)},
        SlurmCommands(folder),
        MaildirInbox(state / "inbox", {0}),
        BoardFolder(state, 0, 0),
        store,
    )
    loop = Loop(outside, rules, Pace(arm=timedelta(seconds=5)), workers=8, restore_window=2000)
    loop.run(stop)
    return 0


def _shares(pid: int, meanwhile: Callable[[], None]) -> tuple[float, float]:
    before, began = _ticks(pid), time.monotonic()
    meanwhile()
    after, seconds = _ticks(pid), time.monotonic() - began
    own, children = ((a - b) / _TICKS / seconds for a, b in zip(after, before, strict=True))
    return own, children


def _ticks(pid: int) -> tuple[int, int]:
    """Read user and system time, of a process and of its children that ended (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    utime, stime, cutime, cstime = map(int, fields[11:15])
    return utime + stime, cutime + cstime


def _memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), threading.Event()) if len(sys.argv) > 1 else main())
