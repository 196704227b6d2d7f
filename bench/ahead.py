"""How soon a staged job's blobs are listed behind thousands of listings for jobs that are only foreseen.

The real loop on the tests' fakes and a real store. Slurm's queue shows 5,000 jobs, each with a prefix of its own, and
each listing takes as long as a round trip to a container that is not near. When the foreseen ones are under way, a job
is staged every few seconds, and it is measured when the listing of each begins and ends. Beside it stands how long
the foreseen ones take, all in all, and what they would with all the threads.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.report import Bar, Report, publish
from sandbox.watch import until
from slurm_amlfs.adapters.store import FILE_NAME, SqliteStore
from slurm_amlfs.application.looking import Pace
from slurm_amlfs.application.loop import Loop, Outside
from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.view import BlobView, JobView, QueuedJob
from slurm_amlfs.domain.world import Ahead, FsRules, Rules
from slurm_amlfs.wire import Request, RequestKind
from tests.fakes.arm import FakeArm
from tests.fakes.blobs import FakeBlobs
from tests.fakes.board import FakeBoard
from tests.fakes.inbox import FakeInbox
from tests.fakes.lustre import FakeLustre
from tests.fakes.slurm import FakeSlurm

FORESEEN = 5_000
STAGED = 5
STAGED_EVERY_SECONDS = 3.0
WORKERS = 8
LISTING_SECONDS = 0.05
ALICE = 61001

BEGUN_LIMIT_SECONDS = 2.0
"""A pass over thousands of leases comes before the listing, and a thread has to come free."""

LONGEST_SECONDS = 300.0


class FarBlobs(FakeBlobs):
    """A container whose listings take their time. `begun` and `ended` are when, by prefix."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def pages(self, prefix: str) -> Iterator[Sequence[BlobView]]:
        """List one blob."""
        self.begun[prefix] = time.monotonic()
        time.sleep(LISTING_SECONDS)
        self.ended[prefix] = time.monotonic()
        yield [replace(self.by_name["x"], name=f"{prefix[1:]}x")]


def main() -> int:
    """Run the benchmark and return its exit status."""
    with tempfile.TemporaryDirectory(prefix="amlfs-ahead.") as folder:
        figures = _measure(Path(folder))
    bars = [
        Bar("a staged job's listing begins, median seconds", figures["begun_median_seconds"], BEGUN_LIMIT_SECONDS),
    ]
    return publish(Report("ahead", figures, bars))


def _measure(folder: Path) -> dict[str, float]:
    blobs, slurm, inbox = FarBlobs(), FakeSlurm(), FakeInbox()
    blobs.put("x", 10)
    arm = FakeArm(blobs, FakeLustre(total_bytes=10**15))
    # Somebody else holds the slot, so that nothing but listings happens.
    arm.create_import("portal", ("/elsewhere/",), Conflict.SKIP, 0)
    store = SqliteStore(folder / FILE_NAME)
    systems = {"amlfs": FsRules("amlfs", "/lustre", Namespace.FLAT)}
    rules = Rules(systems, (Grant("*", None, ("/",), ("/",)),), store.epoch, ahead=Ahead.SUBMIT)
    file_systems = {"amlfs": FileSystem(arm, blobs, arm.lustre, Namespace.FLAT)}
    outside = Outside(file_systems, slurm, inbox, FakeBoard(), store)
    for number in range(1, FORESEEN + 1):
        slurm.queued[number] = QueuedJob(number, ALICE, (f"stage_in prefix=/data/{number}/",), priority=number)
    loop = Loop(outside, rules, Pace(), workers=WORKERS, restore_window=10)
    stop = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stop,))
    began = time.monotonic()
    thread.start()
    try:
        until(lambda: len(blobs.ended) >= WORKERS, LONGEST_SECONDS, "the threads are busy")
        asked = {}
        for job_id in range(FORESEEN + 1, FORESEEN + 1 + STAGED):
            asked[_stage(job_id, slurm, inbox)] = time.monotonic()
            time.sleep(STAGED_EVERY_SECONDS)
        until(lambda: len(blobs.ended) >= FORESEEN + STAGED, LONGEST_SECONDS, "all are listed")
        seconds = max(blobs.ended.values()) - began
    finally:
        stop.set()
        thread.join()
        store.close()
    begun, ended = ([some[prefix] - since for prefix, since in asked.items()] for some in (blobs.begun, blobs.ended))
    return {
        "begun_median_seconds": statistics.median(begun),
        "begun_most_seconds": max(begun),
        "ended_median_seconds": statistics.median(ended),
        "all_foreseen_seconds": seconds,
        "all_foreseen_at_least_seconds": FORESEEN * LISTING_SECONDS / WORKERS,
    }


def _stage(job_id: int, slurm: FakeSlurm, inbox: FakeInbox) -> str:
    """Let Slurm stage a job; return the prefix that it wants."""
    slurm.records[job_id] = JobView(job_id, ALICE, "PENDING", bb_state="staging-in")
    prefix = f"/urgent/{job_id}/"
    for kind, token in ((RequestKind.SETUP, ""), (RequestKind.DATA_IN, "1-1")):
        lines = (f"stage_in prefix={prefix}",)
        inbox.drop(Request(kind, job_id, token, ALICE, ALICE, directives=lines, sender_uid=0))
    return prefix


if __name__ == "__main__":
    sys.exit(main())
