"""The command line: what it takes for a job id, and what it says when nothing is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from slurm_amlfs.entrypoints import status
from slurm_amlfs.entrypoints.cli import app
from slurm_amlfs.errors import UserError


@pytest.mark.parametrize("text", ["4_2", "x", "0", "-1", "٣"])
def test_only_a_job_id_is_one(text: str) -> None:
    """Python would read the array task 4_2 as job 42; here it is refused, with the mend."""
    result = CliRunner().invoke(app, ["retry", "--", text])
    assert result.exit_code == 2
    assert "is no job id" in result.output


def test_a_job_without_a_board_is_told_in_one_sentence(tmp_path: Path) -> None:
    """Neither board nor history: say what can be the reason."""
    (tmp_path / "board").mkdir()
    with pytest.raises(UserError, match="job 7 has no board: no #AMLFS lines, not begun to stage, cancelled, or long"):
        status.read(tmp_path, 7)
