"""From the last evidence of a stage-in to the job running: 100 jobs, p50 and p99.

The beginning is the daemon's event "staged in" (every blob proved, the receipt on Lustre), the end the job script's
own first line, so what is measured is the board, the hook that waits, slurmctld's scheduler and the launch by slurmd.
Jobs are submitted in groups, each behind one held import, so that their starts crowd as they do after a large import.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from bench.report import Bar, Report, percentile, publish
from sandbox.site import Site
from slurm_amlfs.adapters.memory_reading import read_events
from slurm_amlfs.adapters.store import FILE_NAME
from tests.integration import seeing

GROUPS = 10
JOBS_IN_A_GROUP = 10
LIMIT_SECONDS = 3.0
"""What the first issue of this project asks of Slurm 22.05."""


def main() -> int:
    """Run the benchmark and return its exit status."""
    with Site.temporary() as site:
        delays = [delay for _ in range(GROUPS) for delay in _group(site)]
    p50, p99 = percentile(delays, 50), percentile(delays, 99)
    figures = {"jobs": len(delays), "p50_seconds": p50, "p99_seconds": p99, "longest_seconds": max(delays)}
    bars = [Bar("p99 seconds from the last evidence to running", p99, LIMIT_SECONDS)]
    return publish(Report("start", figures, bars))


def _group(site: Site) -> list[float]:
    name = seeing.new_name()
    for number in range(20):
        seeing.put_blob(site, f"{name}/f{number}", b"x" * 1000)
    home = site.home("alice")
    script = f'#!/bin/sh\ndate +%s.%N > "{home}/$SLURM_JOB_ID.began"\n'
    with seeing.held(site, "import"):
        jobs = [site.submit("alice", script, f"--amlfs-import=/{name}/") for _ in range(JOBS_IN_A_GROUP)]
        site.wait(lambda: all(seeing.phase(site, job) in {"waiting", "importing"} for job in jobs), 60, "all wait")
    for job in jobs:
        seeing.wait_for_state(site, job, "COMPLETED")
    return [_began(home, job) - _proved(site, job) for job in jobs]


def _began(home: Path, job: int) -> float:
    return float((home / f"{job}.began").read_text(encoding="ascii"))


def _proved(site: Site, job: int) -> float:
    moments: list[datetime] = [it.at for it in read_events(site.state_dir / FILE_NAME, job) if it.word == "staged in"]
    return moments[-1].timestamp()


if __name__ == "__main__":
    sys.exit(main())
