"""What runs inside slurmctld, under its locks: it begins no process, loads no library, and soon ends."""

from __future__ import annotations

import pytest
from slurm_mock import Returned, SlurmMock

from slurm_amlfs.wire import Board, Site

DONE = Returned(("0",))
OPTIONS = [
    "_SLURM_SPANK_OPTION_amlfs_amlfs_import=/genomics/run7/,/ref/",
    "_SLURM_SPANK_OPTION_amlfs_amlfs_export=/jobs/run7/",
]
LONG = "#!/bin/sh\n" + "".join(f"#AMLFS stage_in prefix=/p{number}/\n" for number in range(500)) + "true\n" * 20_000
PLANTED = {
    "os.execute": 'os.execute("true")',
    "io.popen": 'io.popen("true")',
    "require": 'pcall(require, "socket")',
    "too many steps": "while true do end",
}


def everything(slurm: SlurmMock) -> None:
    """Call each function that Slurm runs in slurmctld's own process (slurm.md, 1.1)."""
    slurm.publish(Site("e", ("a /lustre",), ("a 61001 /",), ("a 61001 /",)))
    assert slurm.call_inside("slurm_job_submit", job_user_id="61001", env=OPTIONS).burst_buffer
    slurm.call_inside("slurm_job_submit", job_user_id="61001", job_script=LONG)
    slurm.call_inside("slurm_job_modify", job_user_id="61001")
    path = slurm.script("stage_in prefix=/in/", "stage_out prefix=/out/")
    assert slurm.call_inside("slurm_bb_job_process", path, "61001", "100", info_array_task_id="4") == DONE
    slurm.call_inside("slurm_bb_pools")
    variables = slurm.state / "paths"
    slurm.post(Board(7, 61001, "e", env=("AMLFS_MOUNT=/lustre",)))
    slurm.call_inside("slurm_bb_paths", "7", path, str(variables))
    assert variables.read_text()


def test_nothing_inside_slurmctld_forks_or_waits(any_release: SlurmMock) -> None:
    """Submission, job_process, pools and paths."""
    everything(any_release)


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("file", ["job_submit.lua", "burst_buffer.lua"])
def test_what_would_is_found(old: SlurmMock, file: str, what: str) -> None:
    """Should a line of ours ever do it, the test above fails."""
    path = old.conf / file
    path.write_text(f"{PLANTED[what]}\n{path.read_text()}")
    function = "slurm_job_submit" if file == "job_submit.lua" else "slurm_bb_pools"
    with pytest.raises(AssertionError, match=what):
        old.call_inside(function, job_user_id="61001")
