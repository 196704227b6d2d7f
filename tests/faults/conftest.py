"""What the tests of deaths and faults share: one Azurite, and for each thread a starter of processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import cell
from tests.faults.ground import Shared
from tests.faults.shared import sharing


@pytest.fixture(scope="session")
def account() -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a storage account."""
    if not cell.inside():
        pytest.fail("these tests need a cell; run: make test-faults, or python -m sandbox.cell pytest tests/faults")
    with sharing() as made:
        yield made


@pytest.fixture(scope="session")
def shared(account: tuple[Path, str]) -> Iterator[Shared]:
    """What runs of one thread share."""
    folder, url = account
    shared = Shared.make(folder, url)
    yield shared
    shared.starter.close()
