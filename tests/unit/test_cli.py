"""The command line: what it takes for a job id, and what it says when nothing is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from slurm_amlfs.entrypoints import status
from slurm_amlfs.entrypoints.cli import app
from slurm_amlfs.errors import UserError

CONFIGURATION = """
state_dir = "/srv/state"
[slurm]
user = "root"
[[file_system]]
name = "lustre"
mount = "/lustre"
namespace = "hierarchical"
subscription = "0b2d2d5c-0000-4000-8000-000000000001"
resource_group = "hpc"
amlfs = "amlfs1"
container_url = "https://hpcblobs.blob.core.windows.net/data"
[[grant]]
users = ["*"]
import = ["/", "/genomics/"]
[[grant]]
file_system = "lustre"
users = ["root", "daemon"]
export = ["/jobs/"]
"""


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


def test_check_says_what_it_understood(tmp_path: Path) -> None:
    """A file that is right is told back: each file system with its mount and container, each grant."""
    path = tmp_path / "amlfs.toml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    result = CliRunner().invoke(app, [f"--config={path}", "config", "check"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:-1] == [
        f"{path}: right; state in /srv/state, Slurm's user root, ARM at https://management.azure.com",
        (
            "  file system lustre, the default: /lustre is amlfs1 in resource group hpc, "
            "with https://hpcblobs.blob.core.windows.net/data (hierarchical) behind it"
        ),
        "  grant 1: everybody on any file system: import / /genomics/, export nothing",
        "  grant 2: root, daemon on lustre: import nothing, export /jobs/",
    ]


def test_check_says_where_lustre_archives(tmp_path: Path) -> None:
    """export_by = "hsm" is told with its file system."""
    path = tmp_path / "amlfs.toml"
    path.write_text(
        CONFIGURATION.replace('amlfs = "amlfs1"\n', 'amlfs = "amlfs1"\nexport_by = "hsm"\n'), encoding="utf-8"
    )
    result = CliRunner().invoke(app, [f"--config={path}", "config", "check"])
    assert "(hierarchical) behind it; exports by Lustre's HSM\n" in result.stdout


def test_check_looks_users_up_on_this_host(tmp_path: Path) -> None:
    """A login name that is not there is refused, as the daemon would refuse it."""
    path = tmp_path / "amlfs.toml"
    path.write_text(CONFIGURATION.replace('"daemon"', '"nobody-of-that-name"'), encoding="utf-8")
    result = CliRunner().invoke(app, [f"--config={path}", "config", "check"])
    assert isinstance(result.exception, UserError)
    assert f'{path}: grant[2].users[2]: there is no user "nobody-of-that-name"' in result.exception.message
