"""`slurm-amlfs config check` is stricter than the daemon: it also refuses what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_amlfs.config import check
from slurm_amlfs.errors import UserError
from tests.unit.config_files import SYSTEM, read


def refused_by_check(tmp_path: Path, text: str, *users: str) -> list[str]:
    path = tmp_path / "amlfs.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        check(path, {"slurm", *users}.__contains__)
    return caught.value.message.replace(f"{path}: ", "").split("\n")


def test_check_wants_a_grant(tmp_path: Path) -> None:
    """A site where nobody may move anything can be meant for a day, so the daemon takes it; the check does not."""
    assert read(tmp_path, SYSTEM).grants == ()
    assert refused_by_check(tmp_path, SYSTEM) == [
        "grant: there is none, so nobody may move anything; add a [[grant]] block, as in etc/amlfs.toml"
    ]


def test_check_wants_grants_that_grant(tmp_path: Path) -> None:
    """A grant of neither direction is a slip."""
    [line] = refused_by_check(tmp_path, f"{SYSTEM}[[grant]]\nusers = ['*']\nexport = []")
    assert line.startswith("grant[1]: grants nothing; add import = ")


def test_check_looks_users_up(tmp_path: Path) -> None:
    """Who is not known on this host keeps the daemon from starting, so the check names him, and only him."""
    grant = "[[grant]]\nusers = ['alice', 'alcie', '*']\nimport = ['/']"
    assert refused_by_check(tmp_path, f"[slurm]\nuser = 'slrum'\n{SYSTEM}{grant}", "alice") == [
        'slurm.user: there is no user "slrum" on this host; write slurm.conf\'s SlurmUser',
        'grant[1].users[2]: there is no user "alcie" on this host; correct the name or create the user',
    ]


def test_check_refuses_what_the_daemon_refuses(tmp_path: Path) -> None:
    """Placeholders, contradictions and missing grants are told in one go."""
    text = SYSTEM.replace("https://account", "https://ACCOUNT") + SYSTEM.replace('"/lustre"', '"/second"')
    assert [line.partition(":")[0] for line in refused_by_check(tmp_path, text)] == [
        "file_system.name",
        "file_system.amlfs",
        "file_system[1].container_url",
        "grant",
    ]
