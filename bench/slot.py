"""A thousand jobs, three hundred prefixes, one slot: the makespan beside what no order of imports can beat.

Real Slurm, the real daemon and Azure SDK, Azurite, and the emulator with an import overhead of 5 s. Azurite takes 200
uploads a second, so blobs and rate are a twentieth of what the bar was set for (100 blobs a second for 2,000): in
seconds of the slot, which is all that the scheduler sees, nothing differs. Jobs ask for names only (hydrate=none),
because names are what the slot brings. The makespan is from the first submission to the last "staged in"; the lower
bound is one overhead and the work of all distinct prefixes. One import per job is what the same rates give by counting.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.report import Bar, Report, publish
from sandbox.options import Options
from sandbox.site import Site
from slurm_amlfs.adapters.memory_reading import read_events
from slurm_amlfs.adapters.store import FILE_NAME
from slurm_amlfs.emulator.journal import Action
from tests.integration import seeing

JOBS = 1000
PREFIXES = 300
BLOBS = 24_000
SIGMA = 1.5
OVERHEAD_SECONDS = 5.0
BLOBS_PER_SECOND = 100.0
SEED = 7
UPLOADS_AT_ONCE = 8

LIMIT_OF_BOUND = 1.15
LIMIT_OF_CALLS = 0.2
LONGEST_SECONDS = 900.0

EMULATOR = (
    f"--import-overhead={OVERHEAD_SECONDS}",
    f"--import-rate={BLOBS_PER_SECOND}",
    f"--walk-rate={5 * BLOBS_PER_SECOND}",
    "--operation-seconds=3",
)
SLOT = (f"overhead_seconds = {OVERHEAD_SECONDS}", f"blobs_per_second = {BLOBS_PER_SECOND}")
SCRIPT = "#!/bin/sh\ntrue\n"


def main() -> int:
    """Run the benchmark and return its exit status."""
    sizes = _sizes()
    rng = random.Random(SEED)  # noqa: S311 - which job wants what
    wanted = [*range(PREFIXES), *(rng.randrange(PREFIXES) for _ in range(JOBS - PREFIXES))]
    rng.shuffle(wanted)
    with Site.temporary(Options(emulator=EMULATOR, slot=SLOT, cpus=1000, poll_seconds=5.0)) as site:
        _upload(site, sizes)
        calls = _calls(site)
        began = time.time()
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            options = [f"--amlfs-import=/p{number:03}/" for number in wanted]
            jobs = list(pool.map(lambda it: site.submit("alice", SCRIPT, it, "--amlfs-hydrate=none"), options))
        submitted = time.time() - began
        site.wait(lambda: _pending(site) == 0, LONGEST_SECONDS, "every job is staged in and has started")
        calls = _calls(site) - calls
        makespan = max(_staged_in(site, job) for job in jobs) - began
        imports = site.faults.imports()
    print("turns:", ", ".join(f"{len(it.prefixes)} in {_seconds(it):.1f} s" for it in imports))
    busy = sum(map(_seconds, imports))
    bound = OVERHEAD_SECONDS + sum(sizes) / BLOBS_PER_SECOND
    one_by_one = sum(OVERHEAD_SECONDS + sizes[number] / BLOBS_PER_SECOND for number in wanted)
    figures = {
        "jobs": JOBS,
        "prefixes": PREFIXES,
        "blobs": sum(sizes),
        "submitted_seconds": submitted,
        "makespan_seconds": makespan,
        "bound_seconds": bound,
        "imports": len(imports),
        "slot_busy_seconds": busy,
        "one_by_one_seconds": one_by_one,
        "of_one_by_one_ratio": makespan / one_by_one,
        "arm_calls": calls,
    }
    bars = [
        Bar("makespan over the lower bound", makespan / bound, LIMIT_OF_BOUND),
        Bar("ARM calls per job", calls / JOBS, LIMIT_OF_CALLS),
    ]
    return publish(Report("slot", figures, bars))


def _sizes() -> list[int]:
    """Draw how many blobs each prefix has: lognormal, so that a few are large, and as many in all as wanted."""
    rng = random.Random(SEED)  # noqa: S311 - sizes of a benchmark
    drawn = [math.exp(rng.gauss(0, SIGMA)) for _ in range(PREFIXES)]
    return [max(1, round(BLOBS * it / sum(drawn))) for it in drawn]


def _upload(site: Site, sizes: Sequence[int]) -> None:
    names = [f"p{number:03}/n{blob:05}" for number, blobs in enumerate(sizes) for blob in range(blobs)]
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        for _ in pool.map(lambda name: seeing.put_blob(site, name, b""), names, chunksize=100):
            pass


def _seconds(transfer: Action) -> float:
    return ((transfer.ended or transfer.started) - transfer.started).total_seconds()


def _calls(site: Site) -> int:
    return sum(site.faults.journal().requests.values())


def _pending(site: Site) -> int:
    return len(site.run(None, ["squeue", "--noheader", "--states=PENDING", "--format=%i"]).split())


def _staged_in(site: Site, job: int) -> float:
    return max(it.at.timestamp() for it in read_events(site.state_dir / FILE_NAME, job) if it.word == "staged in")


if __name__ == "__main__":
    sys.exit(main())
