"""Options of a heterogeneous job's later components, which sbatch loses, are refused with the mend."""

from __future__ import annotations

import pytest
from slurm_mock import SlurmMock

HEAD = "#!/bin/sh\n#SBATCH --amlfs-import=/a/\n"


@pytest.mark.parametrize("word", ["hetjob", "packjob"])
def test_options_that_sbatch_loses_are_refused(any_release: SlurmMock, word: str) -> None:
    """With one line that says where they belong, whatever the first component asks for."""
    script = f"{HEAD}#SBATCH {word}\n\n#SBATCH -n1 --amlfs-import=/b/\ntrue\n"
    returned = any_release.call("slurm_job_submit", job_user_id="61001", job_script=script)
    assert returned.values == ("2094",)
    assert "is behind #SBATCH hetjob, where sbatch loses it; write it before" in returned.said[0]


@pytest.mark.parametrize(
    "script",
    [
        HEAD + "#SBATCH hetjob\n#AMLFS stage_in prefix=/b/\ntrue\n",
        HEAD + "true\n#SBATCH hetjob\n#SBATCH --amlfs-import=/b/\n",
        HEAD + "#SBATCH --comment=hetjob\n#SBATCH --amlfs-hydrate=none\ntrue\n",
    ],
)
def test_others_are_let_pass(any_release: SlurmMock, script: str) -> None:
    """Lines that Slurm reads by component, what sbatch does not read, and jobs that are not heterogeneous."""
    assert any_release.call("slurm_job_submit", job_user_id="61001", job_script=script).values == ("0",)
