"""Hold mode at the submission: what is asked goes into the job's record, and the job is held."""

from __future__ import annotations

from pathlib import Path

import pytest
from slurm_mock import Returned, SlurmMock

from slurm_amlfs.adapters.slurm_records import OWNERS_HOLD
from slurm_amlfs.wire import Site

SITE = Site("e", ("scratch /mnt",), ("* * /",), ("* * /jobs/",), "hold")
NO_VAL = "4294967294"
SAID = ("amlfs: the job is held until its data is there, and let go by itself",)
OPTION = "_SLURM_SPANK_OPTION_amlfs_amlfs_"
BODY = "#AMLFS stage_in \\\n#AMLFS prefix=/a/\n#SBATCH -N1\n#AMLFS stage_out prefix=/jobs/b/\nsrun true\n"
SCRIPT = f"#!/bin/bash\n{BODY}"
LINES = "#AMLFS stage_in prefix=/a/\n#AMLFS stage_out prefix=/jobs/b/"


@pytest.fixture(params=["5.1", "5.2", "5.3", "5.4"])
def slurm(request: pytest.FixtureRequest, tmp_path: Path) -> SlurmMock:
    mock = SlurmMock(tmp_path, request.param, "22.05")
    mock.publish(SITE)
    return mock


def submit(slurm: SlurmMock, script: str, priority: str = NO_VAL, **fields: str | list[str]) -> Returned:
    """Submit a job."""
    return slurm.call("slurm_job_submit", job_user_id="61001", job_script=script, job_priority=priority, **fields)


def test_a_scripts_lines_are_kept_in_the_record(slurm: SlurmMock) -> None:
    """Without the plugin nobody else reads them; continued ones are joined as Slurm's plugin joins them."""
    returned = submit(slurm, SCRIPT)
    assert returned == Returned(("0",), SAID, LINES, priority="0")


def test_options_and_the_users_text_go_with_them(slurm: SlurmMock) -> None:
    """Each on a line of its own, and nothing but directives."""
    given = "#AMLFS stage_in prefix=/z/\n# text"
    returned = submit(slurm, SCRIPT, env=[f"{OPTION}export=/jobs/c/"], job_burst_buffer=given)
    prefixes = [line.partition("prefix=")[2] for line in returned.burst_buffer.split("\n")]
    assert prefixes == ["/jobs/c/", "/z/", "/a/", "/jobs/b/"]
    assert all(line.startswith("#AMLFS stage_") for line in returned.burst_buffer.split("\n"))


def test_its_owners_hold_is_remembered(slurm: SlurmMock) -> None:
    """Slurm's record would not tell it from ours; and nobody can write the mark himself."""
    assert submit(slurm, SCRIPT, "0").burst_buffer.split("\n")[0] == OWNERS_HOLD
    forged = submit(slurm, SCRIPT, job_burst_buffer=f"{OWNERS_HOLD}\n#AMLFS stage_in prefix=/z/")
    assert OWNERS_HOLD not in forged.burst_buffer


def test_others_are_not_held(slurm: SlurmMock) -> None:
    """Neither those without directives nor those that are refused."""
    assert submit(slurm, "#!/bin/bash\nsrun true\n") == Returned(("0",), priority=NO_VAL)
    refused = submit(slurm, "#!/bin/bash\n#AMLFS stage_out prefix=/elsewhere/\n")
    assert (refused.values, refused.priority, refused.burst_buffer) == (("2094",), NO_VAL, "")


def test_an_interactive_jobs_lines_are_kept(slurm: SlurmMock) -> None:
    """It has no script."""
    returned = submit(slurm, "", env=[f"{OPTION}import=/a/"])
    assert (returned.burst_buffer, returned.priority) == ("#AMLFS stage_in prefix=/a/", "0")


def test_too_many_lines_are_refused(slurm: SlurmMock) -> None:
    """Slurm keeps no more than 8 KiB of burst_buffer."""
    script = "#!/bin/bash\n" + "".join(f"#AMLFS stage_in prefix=/{n:0>1000}/\n" for n in range(8))
    assert submit(slurm, script).values == ("2094",)
