"""scancel in every phase, with --hurry and without. During a stage-in without it: test_waiting.py."""

from __future__ import annotations

import pytest

from sandbox.site import Site
from tests.integration import buffers, seeing

pytestmark = pytest.mark.integration

COPY = '#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\ncp "$AMLFS_IMPORT_DIR/in" "$AMLFS_EXPORT_DIR/out"\n'
STAYS = COPY + "exec sleep 600\n"
HURRIES = pytest.mark.parametrize("hurry", [False, True], ids=["plain", "hurry"])


def submit(site: Site, name: str, script: str, *options: str) -> int:
    """Submit a job that imports and exports."""
    seeing.put_blob(site, f"{name}/in", b"x")
    return site.submit("alice", script, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/", *options)


def cancel(site: Site, job: int, *, hurry: bool) -> None:
    """Have its owner cancel a job."""
    site.run("alice", ["scancel", *(["--hurry"] if hurry else []), str(job)])


def wait_until_nothing_is_left(site: Site, job: int) -> None:
    """Wait until the job is closed, and Slurm and the hooks have forgotten what they kept for it."""
    board, asks, receipts = site.state_dir / "board" / str(job), site.state_dir / "asks", site.mount / ".amlfs/receipts"
    site.wait(lambda: not board.exists() or seeing.has_word(site, job, "closed"), seeing.LONG, f"job {job} is closed")
    buffers.wait_until_freed(site, job)
    site.wait(lambda: not list(asks.glob(f"{job}.*")), seeing.LONG, "the asks go")
    site.wait(lambda: not list(receipts.glob(f"{job}*")), seeing.LONG, "the receipt goes")


def archive_ended(site: Site, name: str) -> bool:
    """Say whether the one archive of a job's outputs is over."""
    (archive,) = seeing.archives_of(site, f"/jobs/{name}/")
    return archive.ended is not None


def test_while_it_stages_in(site: Site, name: str) -> None:
    """In a hurry it goes as without: the import is cancelled, and nothing is left."""
    with seeing.held(site, "import"):
        job = submit(site, name, COPY)
        seeing.wait_for_phase(site, job, "importing")
        cancel(site, job, hurry=True)
        seeing.wait_for_state(site, job, "CANCELLED")
        site.wait(lambda: seeing.imports_of(site, name)[0].ended is not None, seeing.LONG, "the import ends")
    wait_until_nothing_is_left(site, job)
    assert not seeing.has_blob(site, f"jobs/{name}/out")


@HURRIES
def test_when_it_is_staged_in(site: Site, name: str, *, hurry: bool) -> None:
    """The job never ran: nothing is exported. What was brought in serves the next job without an import."""
    filler = site.submit("bob", "#!/bin/sh\nexec sleep 600\n", "--exclusive")
    try:
        seeing.wait_for_state(site, filler, "RUNNING")
        job = submit(site, name, COPY)
        seeing.wait_for_burst_buffer(site, job, "staged-in")
        cancel(site, job, hurry=hurry)
        seeing.wait_for_state(site, job, "CANCELLED")
        wait_until_nothing_is_left(site, job)
    finally:
        site.run("bob", ["scancel", str(filler)])
    assert not seeing.archives_of(site, f"/jobs/{name}/")
    second = submit(site, name, COPY)
    seeing.wait_until_closed(site, second)
    assert len(seeing.imports_of(site, f"/{name}/")) == 1
    assert seeing.blob(site, f"jobs/{name}/out") == b"x"


@HURRIES
def test_while_it_runs(site: Site, name: str, *, hurry: bool) -> None:
    """Its outputs are exported, since on=always is the default; in a hurry they are not, and stay on Lustre."""
    job = submit(site, name, STAYS)
    out = site.mount / "jobs" / name / "out"
    site.wait(out.exists, seeing.LONG, "the job writes")
    cancel(site, job, hurry=hurry)
    seeing.wait_for_state(site, job, "CANCELLED")
    wait_until_nothing_is_left(site, job)
    assert seeing.has_blob(site, f"jobs/{name}/out") is not hurry
    assert out.read_bytes() == b"x"


def test_what_is_written_at_the_last_moment_is_exported(site: Site, name: str) -> None:
    """Slurm asks for the export when it tells the job to end; its processes have KillWait for that."""
    last = COPY + "trap 'sleep 3; echo late > \"$AMLFS_EXPORT_DIR/late\"; exit 1' TERM\nwhile :; do sleep 0.2; done\n"
    job = submit(site, name, last)
    site.wait((site.mount / "jobs" / name / "out").exists, seeing.LONG, "the job writes")
    cancel(site, job, hurry=False)
    seeing.wait_for_state(site, job, "CANCELLED")
    wait_until_nothing_is_left(site, job)
    assert seeing.blob(site, f"jobs/{name}/late") == b"late\n"


@HURRIES
def test_while_it_stages_out(site: Site, name: str, *, hurry: bool) -> None:
    """Slurm takes the plain one for a job that is over; in a hurry the export is dropped, and not begun anew."""
    with seeing.held(site, "archive"):
        job = submit(site, name, COPY)
        seeing.wait_for_phase(site, job, "exporting", "out")
        if hurry:
            cancel(site, job, hurry=True)
            wait_until_nothing_is_left(site, job)
            site.wait(lambda: archive_ended(site, name), seeing.LONG, "the archive is cancelled")
        else:
            site.run("alice", ["sh", "-c", f"scancel {job} || true"])
            assert site.job(job)["JobState"] == "STAGE_OUT"
    seeing.wait_for_state(site, job, "COMPLETED")
    wait_until_nothing_is_left(site, job)
    assert seeing.has_blob(site, f"jobs/{name}/out") is not hurry
    assert len(seeing.archives_of(site, f"/jobs/{name}/")) == 1
