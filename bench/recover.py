"""The daemon killed with a thousand stages in all phases: how soon it decides again, and what it asks Azure for.

The daemon is the real program, killed by SIGKILL and started again as a service manager would; Azure's side is the
emulator, with Lustre as a mount and blobs in Azurite; Slurm is the model of the tests on faults. Stalls of the emulator
hold the stages where they are: staged in, running, waiting for their export, restoring, importing and waiting for an
import. The first decision is the board of a job whose request came while nobody was there. Then the stalls are let go,
and all that waits is staged in.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bench.report import Bar, Report, publish
from sandbox.daemon import daemon
from sandbox.service import Service
from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.wire import Request, RequestKind
from tests.faults.endings import imports_of
from tests.faults.ground import Ground, Shared
from tests.faults.job import ALICE, Job
from tests.faults.model_slurm import ModelSlurm
from tests.faults.scenes import FAST
from tests.faults.settings import Settings
from tests.faults.shared import sharing
from tests.faults.until import until

STAGED, RUNNING, ENDED, RESTORING, IMPORTING = 150, 150, 150, 100, 150
"""Jobs of each kind; those that run or have ended have a stage-out, too: a thousand stages in all."""
SHARE = 2
"""Jobs that want the same prefix."""
LOOK_SECONDS = 10.0
POLL_SECONDS = 5.0
"""azure.poll_seconds, as it comes."""
LATE_JOB = 100_000
LONGEST_SECONDS = 540.0

DECIDES_SECONDS = 5.0
"""A restart that nobody at a terminal has to wait for, on a machine that does nothing else; most of it is Python's
loading of Azure's libraries."""
TIMES = 3.0
"""As long as a start with nothing to remember, at most."""
MOST_CALLS = 40
"""In the first ten seconds: what the looks at one slot take, and nothing for each stage."""


class Patient(ModelSlurm):
    """Starts no job that is to stay staged in, and ends none that is to run on, before it is told."""

    staying: frozenset[int] = frozenset()

    def _start(self, job: Job) -> None:
        if job.job_id not in self.staying:
            super()._start(job)


def main() -> int:
    """Run the benchmark and return its exit status."""
    with sharing() as (folder, url):
        shared = Shared.make(folder, url)
        ground = Ground(shared, "recover", emulator_options=FAST, settings=Settings(poll_seconds=POLL_SECONDS))
        try:
            with ground.running():
                figures = _measure(ground)
        finally:
            shared.starter.close()
    bars = [
        Bar("seconds until the first decision", figures["first_decision_seconds"], DECIDES_SECONDS),
        Bar("times as long as with an empty memory", figures["first_decision_times"], TIMES),
        Bar("ARM calls in the first 10 s", figures["arm_calls_in_10_s"], MOST_CALLS),
        Bar("imports repeated", figures["imports_repeated"], 0),
    ]
    return publish(Report("recover", figures, bars))


def _measure(ground: Ground) -> dict[str, float]:
    kinds = {"staged": STAGED, "running": RUNNING, "ended": ENDED, "restoring": RESTORING, "importing": IMPORTING}
    jobs = _jobs(kinds)
    inputs = {f"in/{it}/{name}": f"{it} {name}".encode() * 20 for it in _prefixes(jobs) for name in "xy"}
    for name, data in inputs.items():
        ground.put(name, data)
    service = daemon(ground.folder / "amlfs.toml", ground.folder)
    service.start()
    try:
        service.kill()
        empty = _decides(ground, service, LATE_JOB + 1)
        slurm = Patient(ground, inputs)
        slurm.staying = frozenset(job.job_id for job in jobs["staged"])
        _bring_about(slurm, jobs)
        phases = Counter(stage.phase.value for stage in ground.records().stages.values())
        print("killed with " + ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items())), flush=True)
        service.kill()
        calls, began = _calls(ground), time.monotonic()
        decided = _decides(ground, service, LATE_JOB)
        spent = _cpu_seconds(service.pid)
        until(lambda: time.monotonic() - began >= LOOK_SECONDS, "ten seconds are over", 2 * LOOK_SECONDS)
        asked = _calls(ground) - calls
        ground.control.clear()
        began = time.monotonic()
        late = [job for kind in ("restoring", "importing") for job in jobs[kind]]
        _go_on(slurm, lambda: not any(job.place in {"pending", "staging"} for job in late), "all are staged in")
        brought = imports_of(ground)
        return {
            "stages": sum(phases.values()),
            **{f"stages_{phase}": count for phase, count in sorted(phases.items())},
            "first_decision_seconds": decided,
            "empty_decision_seconds": empty,
            "first_decision_times": decided / empty,
            "first_decision_cpu_seconds": spent,
            "arm_calls_in_10_s": asked,
            "imports": sum(brought.values()),
            "imports_repeated": sum(brought.values()) - len(brought),
            "seconds_until_all_staged_in": time.monotonic() - began,
        }
    finally:
        service.kill()


def _decides(ground: Ground, service: Service, job_id: int) -> float:
    """Start the daemon and measure how long a request waits that lay there before."""
    line = f"stage_out prefix=/jobs/{job_id}/"
    ground.drop(Request(RequestKind.SETUP, job_id, uid=ALICE, gid=ALICE, directives=(line,)))
    began = time.monotonic()
    service.launch()
    until(lambda: ground.board(job_id) is not None, "the first decision")
    return time.monotonic() - began


def _cpu_seconds(pid: int) -> float:
    """Read a process's time so far (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _jobs(kinds: dict[str, int]) -> dict[str, list[Job]]:
    """Make jobs, `SHARE` with each prefix; those that run or end have outputs."""
    jobs: dict[str, list[Job]] = {}
    number = 0
    for kind, count in kinds.items():
        jobs[kind] = []
        for _ in range(count):
            lines = [f"stage_in prefix=/in/{number // SHARE}/"]
            if kind in {"running", "ended"}:
                lines.append(f"stage_out prefix=/jobs/{number + 1}/")
            run_seconds = LONGEST_SECONDS * 10 if kind in {"running", "ended"} else 0.0
            jobs[kind].append(Job(number + 1, tuple(lines), run_seconds=run_seconds))
            number += 1
    return jobs


def _prefixes(jobs: dict[str, list[Job]]) -> list[str]:
    return sorted(
        {prefix.strip("/").removeprefix("in/") for some in jobs.values() for it in some for prefix in it.imports}
    )


def _bring_about(slurm: ModelSlurm, jobs: dict[str, list[Job]]) -> None:
    """Bring each kind of job to where it is to stay."""
    control = slurm.ground.control
    for kind in ("staged", "running", "ended"):
        _submit(slurm, jobs[kind])
    _go_on(slurm, lambda: _all(jobs["staged"], "staged"), "all are staged in")
    _go_on(slurm, lambda: _all(jobs["running"] + jobs["ended"], "running"), "all run")
    control.set(Fault(Name.STALL, "restore"))
    _submit(slurm, jobs["restoring"])
    _go_on(slurm, lambda: _phases(slurm)["restoring"] >= len(jobs["restoring"]), "all restore")
    control.set(Fault(Name.STALL, "[ir]*"))
    _submit(slurm, jobs["importing"])
    _go_on(slurm, lambda: _phases(slurm)["importing"] > 0, "an import runs")
    for job in jobs["ended"]:
        job.until = 0.0
    _go_on(slurm, lambda: _asked_out(slurm, jobs["ended"]), "all exports wait behind an import that does not end")


def _submit(slurm: ModelSlurm, jobs: list[Job]) -> None:
    for job in jobs:
        slurm.submit(job)


def _asked_out(slurm: ModelSlurm, jobs: list[Job]) -> bool:
    boards = [slurm.ground.board(job.job_id) for job in jobs]
    return all(board is not None and board.token_out == job.token for board, job in zip(boards, jobs, strict=True))


def _all(jobs: list[Job], place: str) -> bool:
    return all(job.place == place for job in jobs)


def _phases(slurm: ModelSlurm) -> Counter[str]:
    return Counter(stage.phase.value for stage in slurm.ground.records().stages.values())


def _go_on(slurm: ModelSlurm, done: Callable[[], bool], what: str) -> None:
    def look() -> bool:
        slurm.go_on()
        return done()

    until(look, what, LONGEST_SECONDS)


def _calls(ground: Ground) -> int:
    return sum(ground.control.journal().requests.values())


if __name__ == "__main__":
    sys.exit(main())
