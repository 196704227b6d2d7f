"""A configuration is taken whole or refused with every fault named, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from slurm_amlfs.config import load
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.world import ExportBy
from slurm_amlfs.errors import UserError
from tests.unit.config_files import SAMPLE, SYSTEM, faults, read


def filled_in(text: str) -> str:
    """Put a site's own names for the sample's placeholders."""
    return (
        text.replace("00000000-0000-0000-0000-000000000000", "0b2d2d5c-0000-4000-8000-000000000001")
        .replace("//ACCOUNT.", "//hpcblobs.")
        .replace('/CONTAINER"', '/data"')
    )


def sample() -> str:
    return filled_in(SAMPLE.read_text(encoding="utf-8"))


def test_sample_is_read(tmp_path: Path) -> None:
    """The sample that is installed is a right configuration, but for what only the site knows."""
    config = read(tmp_path, sample())
    assert [(system.name, system.mount) for system in config.file_systems] == [("lustre", Path("/lustre"))]
    assert config.grants[0].imports == ("/",)
    assert config.grants[0].exports == ("/jobs/",)


def uncommented() -> str:
    """Take the comment signs off the sample's keys; its prose has a blank after them."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    return "\n".join(line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in lines)


def test_sample_shows_every_key(tmp_path: Path) -> None:
    """No key is known only to those who read the source."""
    config = read(tmp_path, sample())
    shown = {line.partition(" = ")[0].strip("[]") for line in uncommented().splitlines()}
    for part in (config, config.slurm, config.azure, config.limits, config.file_systems[0], config.grants[0]):
        assert {field.alias or name for name, field in type(part).model_fields.items()} <= shown


def test_sample_defaults_are_true(tmp_path: Path) -> None:
    """What the sample shows behind a comment sign is the default."""
    assert read(tmp_path, filled_in(uncommented())) == read(tmp_path, sample())


def test_values_are_typed_and_frozen(tmp_path: Path) -> None:
    """What comes out are paths, enum words and tuples, and nobody changes them afterwards."""
    config = read(tmp_path, f'[slurm]\nconf = "/etc/slurm/slurm.conf"\n{SYSTEM}')
    assert config.slurm.conf == Path("/etc/slurm/slurm.conf")
    assert config.file_systems[0].namespace is Namespace.HIERARCHICAL
    assert config.grants == ()
    with pytest.raises(ValidationError):
        config.log_level = "debug"  # type: ignore[misc] - that it cannot be set is what is tested


def test_each_file_system_says_who_archives_its_exports(tmp_path: Path) -> None:
    """Azure, unless a file system says otherwise."""
    other = SYSTEM.replace('"lustre"', '"scratch"').replace('"/lustre"', '"/scratch"').replace("amlfs1", "amlfs2")
    config = read(tmp_path, f"{SYSTEM}{other}export_by = 'hsm'\n")
    assert [(it.name, it.export_by) for it in config.file_systems] == [
        ("lustre", ExportBy.ARM),
        ("scratch", ExportBy.HSM),
    ]


def test_no_conf_means_slurms_own(tmp_path: Path) -> None:
    """An empty conf is no path."""
    assert read(tmp_path, f'[slurm]\nconf = ""\n{SYSTEM}').slurm.conf is None


def test_azurite_on_loopback(tmp_path: Path) -> None:
    """Plain http is taken where it stays on this machine."""
    local = SYSTEM.replace("https://account.blob.core.windows.net/data", "http://127.0.0.1:10000/devstoreaccount1/data")
    config = read(tmp_path, f'[azure]\narm_url = "http://localhost:8080"\n{local}')
    assert config.azure.arm_url == "http://localhost:8080"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"log_level = 'loud'\n{SYSTEM}", "log_level: "),
        (f"state_dir = 'var'\n{SYSTEM}", 'state_dir: "var" is no absolute path; '),
        (f"stat_dir = '/var'\n{SYSTEM}", "stat_dir: is no key that is known; did you mean state_dir?"),
        (f"'bo\\ngus' = 1\n{SYSTEM}".replace("'", '"'), '"bo\\x0agus": is no key that is known; remove it'),
        (f"[azure]\narm_url = 'http://management.azure.com'\n{SYSTEM}", "azure.arm_url: "),
        (f"[azure]\narm_url = 'https://u:p@h'\n{SYSTEM}", "azure.arm_url: "),
        (f"[azure]\nretries_per_hour = '600'\n{SYSTEM}", "azure.retries_per_hour: "),
        (f"[azure]\nretries_per_hour = -1\n{SYSTEM}", "azure.retries_per_hour: "),
        (f"[azure]\npoll_seconds = 0.0\n{SYSTEM}", "azure.poll_seconds: "),
        (f"[limits]\nprefixes_per_import = 101\n{SYSTEM}", "limits.prefixes_per_import: "),
        (f"[limits]\nworkers = 2.5\n{SYSTEM}", "limits.workers: "),
        ("", "file_system: there is none; add a [[file_system]] block"),
        (SYSTEM.replace('"/lustre"', '"/x/../y"'), "file_system[1].mount: "),
        (SYSTEM.replace('"hierarchical"', '"tall"'), "file_system[1].namespace: "),
        (
            f"{SYSTEM}export_by = 'azure'\n",
            "file_system[1].export_by: \"azure\" is no word that is known here; write 'arm' or 'hsm'",
        ),
        (f"[limits]\narchive_window = 0\n{SYSTEM}", "limits.archive_window: 0 is too little; write 1 or more"),
        (SYSTEM.replace("0b2d2d5c-", ""), "file_system[1].subscription: "),
        (SYSTEM.replace('amlfs = "amlfs1"\n', ""), "file_system[1].amlfs: is missing; add it"),
        (SYSTEM.replace("core.windows.net/data", "core.windows.net"), "file_system[1].container_url: "),
        (SYSTEM.replace("core.windows.net/data", "core.windows.net/a/b"), "file_system[1].container_url: "),
        (SYSTEM.replace("https://account", "http://account"), "file_system[1].container_url: "),
        (SYSTEM.replace('"lustre"', '"lus tre"'), "file_system[1].name: "),
        (f"{SYSTEM}[[grant]]\nusers = []", "grant[1].users: is empty; write at least one"),
        (f"{SYSTEM}[[grant]]\nusers = ['a:b']", "grant[1].users[1]: "),
        (f"{SYSTEM}[[grant]]\nusers = ['*']\nimport = ['/', '/a']", 'grant[1].import[2]: "/a" has to end with /; '),
        (f"{SYSTEM}[[grant]]\nusers = ['*']\nexport = ['a/']", "grant[1].export[1]: "),
        (f"{SYSTEM}[[grant]]\nusers = ['*']\nexport = ['/a/../']", "grant[1].export[1]: "),
        (f"{SYSTEM}[[grant]]\nusers = ['*']\nexports = ['/a/']", "grant[1].exports: is no key that is known; "),
        (
            f"{SYSTEM}[[grant]]\nfile_system = 'other'\nusers = ['*']",
            "grant[1].file_system: 'other' is no configured file system; write one of *, lustre",
        ),
    ],
)
def test_one_fault_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    """Each fault is one printable line with the key that is wrong and, after a semicolon or a question, the mend."""
    lines = faults(tmp_path, text)
    assert len(lines) == 1
    assert lines[0].startswith(expected)
    assert ";" in lines[0]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """An admin mends a file once, not once for each fault."""
    text = f"log_level = 'loud'\n[limits]\nattempts = 0\n{SYSTEM.replace('hierarchical', 'tall')}"
    assert [line.partition(":")[0] for line in faults(tmp_path, text)] == [
        "log_level",
        "limits.attempts",
        "file_system[1].namespace",
    ]


@pytest.mark.parametrize("key", ["name", "mount", "amlfs"])
def test_file_systems_are_told_apart(tmp_path: Path, key: str) -> None:
    """Two blocks with one name, one mount or one Azure resource are refused: each resource has one slot."""
    other = {"name": "second", "mount": "/second", "amlfs": "AMLFS2"}
    changes: dict[str, Any] = {**other, key: None}
    second = SYSTEM
    for name, value in changes.items():
        old = next(line for line in SYSTEM.splitlines() if line.startswith(f"{name} = "))
        if value:
            second = second.replace(old, f'{name} = "{value}"')
    lines = faults(tmp_path, SYSTEM + second)
    assert [line.partition(":")[0] for line in lines] == [f"file_system.{key}"]


def test_not_toml(tmp_path: Path) -> None:
    """A file that is no TOML says where."""
    [line] = faults(tmp_path, "a = \n")
    assert line.startswith("is not TOML: ")
    assert "line 1" in line


def test_no_file(tmp_path: Path) -> None:
    """A missing file says so and where to begin."""
    with pytest.raises(UserError, match=r"none\.toml: cannot be read .*; create it from etc/amlfs\.toml"):
        load(tmp_path / "none.toml")
