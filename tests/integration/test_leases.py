"""What an admin sees of the leases, and may say: pinned, needed, given back, let go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.site import Site
from slurm_amlfs.domain.view import HsmState
from tests.integration import seeing

pytestmark = pytest.mark.integration


def lease(site: Site, prefix: str) -> dict[str, Any]:
    """Read what `slurm-amlfs leases` tells of one prefix; nothing if it is not leased."""
    rows = json.loads(site.run(None, [*site.cli, "leases", "--json"]))
    return next((row for row in rows if row["prefix"] == prefix), {})


def test_an_admin_keeps_and_gives_back_what_is_on_lustre(site: Site, name: str) -> None:
    """While a job needs it nothing is evicted; a pin keeps it after that; evict releases the files; unpin lets go."""
    prefix, flag = f"/{name}/", f"{site.mount}/{name}.go"
    seeing.put_blob(site, f"{name}/in", b"reference")
    script = f'#!/bin/sh\nuntil [ -e "{flag}" ]; do sleep 0.2; done\ncat "$AMLFS_IMPORT_DIR/in"\n'
    job = site.submit("alice", script, f"--amlfs-import={prefix}")
    seeing.wait_for_state(site, job, "RUNNING")
    row = lease(site, prefix)
    assert (row["is_now"], row["jobs"], row["first_jobs"], row["pinned"]) == ("on Lustre", 1, [job], False)
    with pytest.raises(RuntimeError, match=f"is needed by job {job}; evict it when they are over"):
        site.run(None, [*site.cli, "evict", prefix])
    with pytest.raises(RuntimeError, match="only root and slurm may pin what is on Lustre; ask an operator"):
        site.run("alice", [*site.cli, "pin", prefix])

    site.run(None, [*site.cli, "pin", prefix])
    site.wait(lambda: lease(site, prefix)["pinned"], seeing.LONG, "the prefix is pinned")
    site.run(None, ["touch", flag])
    seeing.wait_until_closed(site, job)
    with pytest.raises(RuntimeError, match="is pinned; first: slurm-amlfs unpin"):
        site.run(None, [*site.cli, "evict", prefix])
    assert not seeing.hsm_states(site, [f"{name}/in"])[f"/{name}/in"] & HsmState.RELEASED

    site.run(None, [*site.cli, "unpin", prefix])
    site.wait(lambda: not lease(site, prefix)["pinned"], seeing.LONG, "the prefix is not pinned")
    site.run(None, [*site.cli, "evict", prefix])

    def released() -> bool:
        return bool(seeing.hsm_states(site, [f"{name}/in"])[f"/{name}/in"] & HsmState.RELEASED)

    site.wait(released, seeing.LONG, "the file is released")
    site.wait(lambda: lease(site, prefix)["is_now"] == "names only", seeing.LONG, "only its names are there")


def test_a_pin_brings_names_in_before_any_job(site: Site, name: str) -> None:
    """Reference data is pinned: its names come without a job, and SlurmUser sees it too, also without the daemon."""
    prefix = f"/{name}/"
    seeing.put_blob(site, f"{name}/in", b"reference")
    site.run("slurm", [*site.cli, "pin", prefix])
    site.wait(lambda: lease(site, prefix).get("is_now") == "names only", seeing.LONG, "its names are there")
    assert site.exists(f"{site.mount}/{name}/in")
    site.daemon.stop()
    try:
        shown = site.run("slurm", [*site.cli, "leases"])
        assert prefix in shown
        assert "nothing of ours holds the slot" in site.run("slurm", [*site.cli, "queue"])
    finally:
        site.daemon.start()
