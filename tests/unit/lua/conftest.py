"""Fixtures of the Lua tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lua_process import VERSIONS, Lua, Luas
from slurm_mock import SlurmMock


@pytest.fixture(scope="session")
def luas() -> Iterator[Luas]:
    processes = [Lua(version) for version in VERSIONS]
    yield Luas(processes)
    for process in processes:
        process.close()


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> SlurmMock:
    return SlurmMock(tmp_path, request.param, "22.05")


@pytest.fixture(params=VERSIONS)
def new(request: pytest.FixtureRequest, tmp_path: Path) -> SlurmMock:
    return SlurmMock(tmp_path, request.param, "26.05")


@pytest.fixture(params=["22.05", "26.05"])
def any_release(request: pytest.FixtureRequest, tmp_path: Path) -> SlurmMock:
    return SlurmMock(tmp_path, "5.1" if request.param == "22.05" else "5.4", request.param)
