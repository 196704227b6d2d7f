"""Two jobs whose exports share paths: both come to their end on evidence, and neither takes what the other needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.site import Site
from slurm_amlfs.domain.view import HsmState
from tests.integration import seeing

pytestmark = pytest.mark.integration

WRITES = '#!/bin/sh\nset -eu\nmkdir -p "$AMLFS_EXPORT_DIR"\necho {word} > "$AMLFS_EXPORT_DIR/{file}"\n'
GOES_ON = WRITES + 'while [ ! -e "{gate}" ]; do sleep 0.2; done\necho last >> "$AMLFS_EXPORT_DIR/{file}"\n'


def export_line(site: Site, job: int) -> str:
    """Read what a job's timeline says of its proved export, "" if it is not proved yet."""
    told = [event for event in site.status(job)["timeline"] if event["word"] == "exported"]
    return str(told[-1]["detail"]) if told else ""


def released(site: Site, path: str) -> bool:
    """Say whether a file's bytes were given back."""
    return bool(seeing.hsm_states(site, [path])[f"/{path}"] & HsmState.RELEASED)


def gate_of(site: Site, name: str) -> Path:
    """Name a file that a job of alice's waits for."""
    return site.home("alice") / f"{name}.go"


def test_a_job_that_still_writes_keeps_its_files_from_anothers_export(site: Site, name: str) -> None:
    """The outer export takes along what is there, and gives back only its own; the inner one brings the rest out."""
    gate = gate_of(site, name)
    inner_script = GOES_ON.format(word="begun", file="inner", gate=gate)
    inner = site.submit("alice", inner_script, f"--amlfs-export=/jobs/{name}/deep/")
    site.wait((site.mount / "jobs" / name / "deep" / "inner").exists, seeing.LONG, "the inner job has written")
    outer = site.submit("alice", WRITES.format(word="mine", file="outer"), f"--amlfs-export=/jobs/{name}/")
    seeing.wait_until_closed(site, outer)
    states = seeing.hsm_states(site, [f"jobs/{name}/outer", f"jobs/{name}/deep/inner"])

    assert site.job(inner)["JobState"] == "RUNNING"
    assert "2 files" in export_line(site, outer)
    assert seeing.blob(site, f"jobs/{name}/deep/inner") == b"begun\n"
    assert states[f"/jobs/{name}/outer"] & HsmState.RELEASED
    assert not states[f"/jobs/{name}/deep/inner"] & HsmState.RELEASED

    gate.touch()
    seeing.wait_until_closed(site, inner)
    assert export_line(site, inner)
    assert seeing.blob(site, f"jobs/{name}/deep/inner") == b"begun\nlast\n"
    assert released(site, f"jobs/{name}/deep/inner")


def test_two_that_end_together_on_one_prefix_both_settle(site: Site, name: str) -> None:
    """Each is proved by itself, all is in Blob, and in the end nothing is left whole for the other."""
    with seeing.held(site, "archive"):
        jobs = [
            site.submit("alice", WRITES.format(word=file, file=file), f"--amlfs-export=/jobs/{name}/")
            for file in ("one", "two")
        ]
        for job in jobs:
            site.wait(lambda job=job: seeing.has_word(site, job, "ended"), seeing.LONG, f"job {job} has ended")
    for job in jobs:
        seeing.wait_until_closed(site, job)
        assert "2 files" in export_line(site, job)
    for file in ("one", "two"):
        assert seeing.blob(site, f"jobs/{name}/{file}") == f"{file}\n".encode()
        assert released(site, f"jobs/{name}/{file}")
