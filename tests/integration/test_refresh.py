"""What changed in Blob behind files that are on Lustre already."""

from __future__ import annotations

import pytest

from sandbox.site import Site
from tests.integration import seeing

pytestmark = pytest.mark.integration

READS = '#!/bin/sh\ngrep -qx {word} "$AMLFS_IMPORT_DIR"/in\n'
"""A job that fails unless it reads this word."""


def run(site: Site, name: str, word: str, *options: str) -> int:
    """Run a job that is to read a word; give its id when all is done for it."""
    job = site.submit("alice", READS.format(word=word), f"--amlfs-import=/{name}/", *options)
    seeing.wait_for_state(site, job, "COMPLETED")
    seeing.wait_until_closed(site, job)
    return job


def test_a_blob_that_was_replaced_is_read_with_refresh(site: Site, name: str) -> None:
    """Other bytes of the same number: a job with refresh=yes sees them, and imports nothing if nothing changed."""
    seeing.put_blob(site, f"{name}/in", b"old")
    seeing.put_blob(site, f"{name}/other", b"stays")
    run(site, name, "old")
    unchanged = run(site, name, "old", "--amlfs-refresh=yes")
    before = len(seeing.imports_of(site, f"/{name}/"))
    seeing.put_blob(site, f"{name}/in", b"new")
    kept = run(site, name, "old", "--amlfs-refresh=yes", "--amlfs-conflict=skip")
    fresh = run(site, name, "new", "--amlfs-refresh=yes")
    again = run(site, name, "new", "--amlfs-refresh=yes")
    plain = run(site, name, "new")

    started = {job for job in (unchanged, kept, fresh, again, plain) if "import started" in seeing.words(site, job)}
    assert before == 1
    assert started == {fresh}
    assert len(seeing.imports_of(site, f"/{name}/")) == 2
    assert "1 files differ from their blobs and were kept" in site.job(kept).get("AdminComment", "")


def test_an_array_with_refresh_costs_one_import(site: Site, name: str) -> None:
    """Its tasks were submitted together, so one look at Blob serves all of them."""
    seeing.put_blob(site, f"{name}/in", b"old")
    run(site, name, "old")
    seeing.put_blob(site, f"{name}/in", b"new")
    tasks = 60
    script = READS.format(word="new")
    first = site.submit("alice", script, f"--amlfs-import=/{name}/", "--amlfs-refresh=yes", f"--array=1-{tasks}")
    argv = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={first}", "--format=%T"]

    def over() -> bool:
        return site.run(None, argv).split() == ["COMPLETED"] * tasks

    site.wait(over, 3 * seeing.LONG, f"all tasks of job {first} have read what is new")
    assert len(seeing.imports_of(site, f"/{name}/")) == 2
