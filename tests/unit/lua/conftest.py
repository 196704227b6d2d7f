"""Fixtures of the Lua tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lua_process import VERSIONS, Lua, Luas


@pytest.fixture(scope="session")
def luas() -> Iterator[Luas]:
    processes = [Lua(version) for version in VERSIONS]
    yield Luas(processes)
    for process in processes:
        process.close()
