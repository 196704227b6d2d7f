"""Many jobs, one slot: what they share is brought in once, and nobody waits for somebody else's mistake or size."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.options import Options
from sandbox.site import Site
from slurm_amlfs.emulator.faults import Fault, Name
from tests.integration import seeing
from tests.integration.conftest import FAST, MakeSite

pytestmark = pytest.mark.integration

TRUE = "#!/bin/sh\ntrue\n"
READ = '#!/bin/sh\ncat "$AMLFS_IMPORT_DIR"/in >/dev/null\n'
SLOW = ("--import-overhead=1", "--operation-seconds=0.1", "--cancel-seconds=0.2", "--import-rate=500")
SHORT_TURNS = ("turn_seconds = 2.0", "cut_seconds = 0.5", "overhead_seconds = 1.0", "blobs_per_second = 500.0")
TASKS = int(os.environ.get("AMLFS_TASKS", "500"))
"""Of the array; `make array` takes 1,000, which is the most that Slurm allows by default (MaxArraySize)."""
MANY_SECONDS = max(300.0, 0.6 * TASKS)
"""For hundreds of jobs on a small machine, each with its hooks."""


def states(site: Site, user: str) -> dict[str, str]:
    """Read the states of all that a user has submitted, each task of an array by itself."""
    argv = ["squeue", "--noheader", "--array", "--states=all", f"--user={user}", "--format=%i %T"]
    return dict(line.split() for line in site.run(None, argv).splitlines())  # type: ignore[misc] - two words each


def wait_for_all(site: Site, user: str, left: int = 0) -> dict[str, str]:
    """Wait until no more than so many of a user's jobs have still to end; give the states of all."""
    shown: dict[str, str] = {}

    def over() -> bool:
        shown.update(states(site, user))
        return sum(it not in {"COMPLETED", "FAILED", "CANCELLED"} for it in shown.values()) <= left

    site.wait(over, MANY_SECONDS, f"all jobs of {user} but {left} are over")
    return shown


def test_the_tasks_of_a_large_array_make_one_import(make_site: MakeSite) -> None:
    """Slurm stages some of them at a time; all ride on one lease, and every task finds its data there."""
    site = make_site(Options(emulator=FAST, cpus=256))
    seeing.put_blob(site, "shared/in", b"x")
    site.submit("alice", READ, "--amlfs-import=/shared/", f"--array=1-{TASKS}")

    ended = wait_for_all(site, "alice")

    assert len(seeing.imports_of(site, "/shared/")) == 1
    assert len(ended) == TASKS
    assert set(ended.values()) == {"COMPLETED"}


def test_two_hundred_jobs_on_forty_overlapping_prefixes(make_site: MakeSite) -> None:
    """At most five imports bring what all of them want, those included that Slurm has not begun to stage."""
    site = make_site(Options(emulator=FAST, cpus=256))
    folders = [f"a{number}" for number in range(20)]
    for folder in folders:
        for name in ("in", "deep/in"):
            seeing.put_blob(site, f"over/{folder}/{name}", b"x")
    prefixes = [f"/over/{folder}/{below}" for folder in folders for below in ("", "deep/")]
    with seeing.held(site, "import"), ThreadPoolExecutor(8) as pool:
        wanted = [prefixes[number % 40] for number in range(200)]
        list(pool.map(lambda prefix: site.submit("alice", READ, f"--amlfs-import={prefix}"), wanted))
    ended = wait_for_all(site, "alice")

    assert len(ended) == 200
    assert set(ended.values()) == {"COMPLETED"}
    assert 1 <= len(seeing.imports_of(site, "/over/")) <= 5


def test_one_bad_prefix_among_fifty_holds_one_job(make_site: MakeSite) -> None:
    """Its batch fails and is taken apart; the others run, and only its owner is told, with Azure's words."""
    site = make_site(Options(emulator=FAST, cpus=256))
    for number in range(50):
        seeing.put_blob(site, f"many/p{number}/in", b"x")
    site.faults.set(Fault(Name.PARTIAL, "import", blobs=("many/p17/*",)))
    line = "--amlfs-max-errors=0"
    with seeing.held(site, "import"):
        jobs = [site.submit("alice", READ, f"--amlfs-import=/many/p{number}/", line) for number in range(50)]
    bad = jobs[17]
    ended = wait_for_all(site, "alice", left=1)
    site.wait(lambda: "met 1 errors" in site.status(bad)["message"], MANY_SECONDS, "the bad one is told")

    assert {job: state for job, state in ended.items() if state != "COMPLETED"} == {str(bad): "PENDING"}
    assert "the import of /many/p17/ met 1 errors, more than max_errors=0" in site.status(bad)["message"]
    assert "the emulator was asked to fail this blob" in site.status(bad)["message"]
    taken_apart = [it for it in seeing.imports_of(site, "/many/") if it.outcome == "Failed"]
    assert len(taken_apart) <= 8


def test_a_small_job_does_not_wait_for_a_large_one(make_site: MakeSite) -> None:
    """10 GB in many names, and 10 kB, submitted together: the small one runs while the large one is still imported."""
    site = make_site(Options(emulator=SLOW, slot=SHORT_TURNS))
    for number in range(20):
        seeing.put_sparse(site, f"large/sparse{number}", 512 << 20)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: seeing.put_blob(site, f"large/n{number:05}", b"x"), range(4000)))
    seeing.put_blob(site, "small/in", b"x" * 10_000)
    large = site.submit("alice", TRUE, "--amlfs-import=/large/", "--amlfs-hydrate=none")
    small = site.submit("bob", READ, "--amlfs-import=/small/")
    seeing.wait_for_state(site, small, "COMPLETED")

    assert seeing.phase(site, large) in {"waiting", "importing"}
    seeing.wait_for_state(site, large, "COMPLETED")
    assert len(seeing.imports_of(site, "/large/")) > 1


def test_what_was_brought_in_before_costs_no_import(site: Site, name: str) -> None:
    """The second job finds its data there: its stage-in is a look."""
    seeing.put_blob(site, f"{name}/in", b"x")
    for _ in range(2):
        job = site.submit("alice", READ, f"--amlfs-import=/{name}/")
        seeing.wait_for_state(site, job, "COMPLETED")
        seeing.wait_until_closed(site, job)

    assert len(seeing.imports_of(site, f"/{name}/")) == 1
    assert "import started" not in seeing.words(site, job)
    assert "staged in" in seeing.words(site, job)
