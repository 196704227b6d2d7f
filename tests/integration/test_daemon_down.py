"""With the daemon down jobs wait or end as they should, and everything is done when it is back."""

from __future__ import annotations

import pytest

from sandbox.site import Site
from tests.integration import seeing

pytestmark = pytest.mark.integration

COPY = '#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\ncp "$AMLFS_IMPORT_DIR/in" "$AMLFS_EXPORT_DIR/out"\n'


def test_down_at_submit(site: Site, name: str) -> None:
    """The job waits in stage-in; other jobs run; it is served when the daemon is back."""
    seeing.put_blob(site, f"{name}/in", b"x")
    site.daemon.stop()
    try:
        job = site.submit("alice", COPY, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
        seeing.wait_for_reason(site, job, "BurstBufferStageIn")
        other = site.submit("bob", "#!/bin/sh\ntrue\n")
        seeing.wait_for_state(site, other, "COMPLETED")
        assert site.job(job)["JobState"] == "PENDING"
    finally:
        site.daemon.start()
    seeing.wait_until_closed(site, job)
    assert seeing.blob(site, f"jobs/{name}/out") == b"x"


def test_a_job_that_only_exports_waits_too(site: Site, name: str) -> None:
    """It has nothing to stage in, but without the daemon's board it would run with no AMLFS_EXPORT_DIR."""
    ran = site.home("alice") / f"{name}.ran"
    script = f'#!/bin/sh\necho "$AMLFS_EXPORT_DIR" > "{ran}"\n'
    script += 'mkdir -p "$AMLFS_EXPORT_DIR"\necho x > "$AMLFS_EXPORT_DIR/out"\n'
    site.daemon.stop()
    try:
        job = site.submit("alice", script, f"--amlfs-export=/jobs/{name}/")
        seeing.wait_for_reason(site, job, "BurstBufferStageIn")
        other = site.submit("bob", "#!/bin/sh\ntrue\n")
        seeing.wait_for_state(site, other, "COMPLETED")
        assert site.job(job)["JobState"] == "PENDING"
        assert not ran.exists()
    finally:
        site.daemon.start()
    seeing.wait_until_closed(site, job)
    assert ran.read_text() == f"{site.mount}/jobs/{name}\n"
    assert seeing.blob(site, f"jobs/{name}/out") == b"x\n"


def test_killed_during_stage_in(site: Site, name: str) -> None:
    """The import goes on, is found again by its name, and is not made twice."""
    seeing.put_blob(site, f"{name}/in", b"x")
    with seeing.held(site, "import"):
        job = site.submit("alice", COPY, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
        site.wait(lambda: bool(seeing.imports_of(site, name)), seeing.LONG, "the import runs")
        site.daemon.kill()
    site.daemon.start()
    seeing.wait_until_closed(site, job)
    assert len(seeing.imports_of(site, name)) == 1
    assert seeing.blob(site, f"jobs/{name}/out") == b"x"


def test_down_at_the_end_of_the_job(site: Site, name: str) -> None:
    """The job's node is free while its outputs wait; they are exported when the daemon is back."""
    go = site.home("alice") / f"{name}.go"
    script = COPY.replace("mkdir", f'while [ ! -e "{go}" ]; do sleep 0.2; done\nmkdir', 1)
    seeing.put_blob(site, f"{name}/in", b"x")
    job = site.submit("alice", script, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
    seeing.wait_for_state(site, job, "RUNNING")
    site.daemon.kill()
    try:
        go.touch()
        seeing.wait_for_state(site, job, "STAGE_OUT")
        other = site.submit("bob", "#!/bin/sh\ntrue\n")
        seeing.wait_for_state(site, other, "COMPLETED")
        assert not seeing.has_blob(site, f"jobs/{name}/out")
    finally:
        site.daemon.start()
    seeing.wait_until_closed(site, job)
    assert seeing.blob(site, f"jobs/{name}/out") == b"x"


def test_a_deleted_database_loses_no_duty(site: Site, name: str) -> None:
    """Slurm asks again, and the job gets its data."""
    seeing.put_blob(site, f"{name}/in", b"x")
    with seeing.held(site, "import"):
        job = site.submit("alice", COPY, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
        site.wait(lambda: bool(seeing.imports_of(site, name)), seeing.LONG, "the import runs")
        site.daemon.kill()
        for path in site.state_dir.glob("amlfs.db*"):
            path.unlink()
        site.daemon.start()
    seeing.wait_until_closed(site, job)
    assert seeing.blob(site, f"jobs/{name}/out") == b"x"
