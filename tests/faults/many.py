"""Many seeded runs side by side: `python -m tests.faults`, in a cell; make test-faults gives it one.

`SEEDS` is how many, `WORKERS` how many at once, `FIRST` the first of them; `SEED` runs that one alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from sandbox import cell
from tests.faults.ground import Shared
from tests.faults.plan import plan_of
from tests.faults.running import Outcome, run
from tests.faults.shared import sharing
from tests.faults.starter import Starter, load

SEEDS = 500
WORKERS = 8 * (os.cpu_count() or 1)
"""A run waits for most of its time: for the daemon's pauses, and those for Slurm's and Azure's."""

_shared: list[Shared] = []


def _begin(folder: Path, url: str) -> None:
    _shared.append(Shared.make(folder, url, Starter.forked))


def _run(seed: int) -> tuple[int, Outcome]:
    return seed, run(_shared[0], plan_of(seed))


def main(seeds: Sequence[int], workers: int) -> int:
    """Run all; tell of each failure how to repeat it."""
    if not cell.inside():
        raise SystemExit("these runs need a cell; run: make test-faults")
    began, failed, deaths, takeovers, done = time.monotonic(), 0, 0, 0, 0
    load()
    with (
        sharing() as (folder, url),
        ProcessPoolExecutor(workers, get_context("fork"), _begin, (folder, url)) as pool,
    ):
        for future in as_completed([pool.submit(_run, seed) for seed in seeds]):
            seed, outcome = future.result()
            deaths, takeovers = deaths + outcome.deaths, takeovers + outcome.takeovers
            done += 1
            if outcome.broken:
                failed += 1
                print(f"seed {seed}: {outcome.broken}\nrepeat it by: make test-faults SEED={seed}\n", flush=True)  # noqa: T201
            if done % 50 == 0:
                print(f"{done} of {len(seeds)} runs, {failed} failed, {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    seconds = time.monotonic() - began
    died = f"{deaths} deaths of the daemon, {takeovers} of them taken over from"
    print(f"{len(seeds)} runs, {died}, {failed} failed, {seconds:.0f} s")  # noqa: T201
    return 1 if failed else 0
