"""Configuration files for tests: the sample, one file system that is right, and what reading them says."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_amlfs.config import Config, load
from slurm_amlfs.errors import UserError

SAMPLE = Path(__file__).parents[2] / "etc" / "amlfs.toml"
SYSTEM = """
[[file_system]]
name = "lustre"
mount = "/lustre"
namespace = "hierarchical"
subscription = "0b2d2d5c-0000-4000-8000-000000000001"
resource_group = "hpc"
amlfs = "amlfs1"
container_url = "https://account.blob.core.windows.net/data"
"""


def read(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "amlfs.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    name = str(tmp_path / "amlfs.toml") + ": "
    lines = caught.value.message.split("\n")
    assert all(line.startswith(name) and line.isprintable() for line in lines)
    return [line.removeprefix(name) for line in lines]
