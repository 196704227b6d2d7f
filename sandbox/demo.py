"""`make demo`: one job on a whole site, watched from the submit to the blobs that came out, and checked.

Run in a cell: `python -m sandbox.cell python -m sandbox.demo`. DEMO_KEEP=1 leaves the site running until Ctrl-C.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox import cell, demo_data
from sandbox.accounts import ALICE
from sandbox.demo_keep import keep
from sandbox.demo_watch import Sight, follow
from sandbox.options import Options
from sandbox.passage import ROOT
from sandbox.service import StartError
from sandbox.site import Site
from sandbox.slurm import CommandError
from sandbox.watch import NotYetError
from slurm_amlfs.adapters.lfs import Lfs
from slurm_amlfs.adapters.lustre import LustreMount
from slurm_amlfs.domain.view import HsmState

FOLDER = Path("/run/demo")
SCRIPT = ROOT / "docs/examples/first-job.sh"
OUTPUTS = "jobs/run7/"
SLOW = ("--import-rate=120", "--restore-rate=4000000", "--archive-rate=10")
"""Slower than the emulator can, so that there is something to watch."""

TIMELINE = ("submitted", "import started", "imported", "restored", "started", "ended", "exported", "released")


class Checks:
    """What has to hold; each is told when it is known."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def hold(self, what: str, *, holds: bool) -> None:
        """Tell one check."""
        print(f"  {'ok    ' if holds else 'FAILED'}  {what}")
        if not holds:
            self.failed.append(what)


def main() -> int:
    """Run the demo; return 0 if all checks hold."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    heading("A site in a folder: munge, slurmctld, slurmd, Azurite, an emulated AMLFS, slurm-amlfsd")
    with Site(FOLDER, Options(emulator=SLOW)) as site:
        for service in site.services:
            print(f"  {service.name:<14} pid {service.pid}")
        try:
            checks = show(site)
        except (TimeoutError, CommandError):
            print_tails(site)
            raise
        if checks.failed:
            print_tails(site)
        result = f"{len(checks.failed)} checks failed" if checks.failed else "all checks hold"
        heading(f"{result}, {time.monotonic() - began:.0f} s")
        if os.environ.get("DEMO_KEEP", "") not in {"", "0"}:
            keep(site)
    return 1 if checks.failed else 0


def show(site: Site) -> Checks:
    """Run the job, show everything about it, and check it."""
    blobs = dict(demo_data.blobs())
    heading(f"{len(blobs)} blobs, {sum(map(len, blobs.values())):,} bytes, go to Blob Storage under {demo_data.PREFIX}")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: site.blobs.upload_blob(*item), blobs.items()))
    heading(f"alice$ sbatch {SCRIPT.relative_to(ROOT)}")
    job = site.submit("alice", SCRIPT.read_text(encoding="utf-8"))
    print(f"  Submitted batch job {job}")
    sights = list(watch(site, job))

    heading("The job's timeline, by slurm-amlfs status")
    events = site.status(job)["timeline"]
    for event in events:
        print(f"  {event['at'][11:19]}  {event['word']:<16} {event['detail']}".rstrip())

    heading("The job's own output")
    path = ALICE.home / f"slurm-{job}.out"
    output = path.read_text(encoding="utf-8") if path.exists() else "(there is none)\n"
    print("".join(f"  | {line}\n" for line in output.splitlines()), end="")
    wrote = sums_of(output.partition("outputs:\n")[2])

    heading(f"The blobs that came out, under {OUTPUTS}")
    found = {it.name: bytes(site.blobs.download_blob(it.name).readall()) for it in site.blobs.list_blobs(OUTPUTS)}
    came = {name.removeprefix(OUTPUTS): data for name, data in found.items() if name.rstrip("/") != OUTPUTS.rstrip("/")}
    for name, data in came.items():
        verdict = "as the job wrote it" if wrote.get(name) == digest(data) else "NOT what the job wrote"
        print(f"  {digest(data)[:16]}...  {len(data):>7,} bytes  {OUTPUTS}{name:<12}  {verdict}")

    heading("What has to hold")
    checks = Checks()
    check_slurm(checks, sights, site.job(job))
    words = [event["word"] for event in events if event["word"] in TIMELINE]
    checks.hold(f"the timeline has, in this order: {', '.join(TIMELINE)}", holds=words == list(TIMELINE))
    read = sums_of(came.get("sha256sums", b"").decode())
    uploaded = {f"./{name.removeprefix(demo_data.PREFIX)}": digest(data) for name, data in blobs.items()}
    checks.hold(f"the job read {len(read)} files, each with the checksum of its blob", holds=read == uploaded)
    arrived = {name: digest(data) for name, data in came.items()}
    checks.hold(f"{len(wrote)} outputs came out, each with the checksum that the job saw", holds=arrived == wrote != {})
    states = LustreMount(site.mount, Lfs(site.lfs)).hsm_states([f"/{OUTPUTS}{name}" for name in wrote])
    given_back = len(states) == len(wrote) and all(it & HsmState.RELEASED for it in states.values())
    checks.hold("their space on Lustre is given back", holds=given_back)
    return checks


def check_slurm(checks: Checks, sights: list[Sight], record: dict[str, str]) -> None:
    """Check what Slurm did with the job and its node."""
    waited = [it for it in sights if it.job_state == "PENDING"]
    staging = any(it.reason == "BurstBufferStageIn" for it in waited)
    checks.hold("the job waited in the queue, its node idle", holds=staging and all(it.node == "idle" for it in waited))
    left = [it for it in sights if it.job_state == "STAGE_OUT" and it.phase == "stage-out: exporting"]
    checks.hold("its node was idle again while its outputs went out", holds=any(it.node == "idle" for it in left))
    ended = (record["JobState"], record["ExitCode"])
    checks.hold("it ended COMPLETED, exit code 0", holds=ended == ("COMPLETED", "0:0"))


def watch(site: Site, job: int) -> Iterator[Sight]:
    """Print what is seen of a job, and pass it on."""
    heading("Watched: squeue, and the job's board")
    began = time.monotonic()
    for sight in follow(site, job):
        print(sight.line(time.monotonic() - began), flush=True)
        yield sight


def sums_of(text: str) -> dict[str, str]:
    """Read what sha256sum prints."""
    return {name: checksum for checksum, name in (line.split("  ", 1) for line in text.splitlines())}


def digest(data: bytes) -> str:
    """Compute the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def print_tails(site: Site) -> None:
    """Print the end of each log."""
    for service in site.services:
        print(service.tail())


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (cell.CellError, CommandError, StartError, NotYetError, TimeoutError) as failure:
        sys.exit(f"demo: {failure}")
