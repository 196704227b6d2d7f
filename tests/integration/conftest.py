"""The site that the integration tests share, and a maker of sites for tests that need their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from sandbox import cell
from sandbox.options import Options
from sandbox.site import Site
from sandbox.slurm import release
from tests.integration import releases, seeing

FAST = ("--import-overhead=0.2", "--operation-seconds=0.1", "--cancel-seconds=0.2", "--archive-overhead=0.2")
"""The emulator's times where they are only waited for."""

GOES_FIRST = (
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=first Nodes=ALL PriorityTier=2 MaxTime=INFINITE State=UP",
)
"""A second partition, whose jobs may send others back."""

NICE_COUNTS = "PriorityType=priority/basic"
"""From 23.11 on the default is priority/multifactor. Without weights each job has priority 1 there, whatever --nice is,
and one that waits for a whole node keeps those back that came after it."""

MakeSite = Callable[[Options], Site]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what the mark says is for other releases of Slurm; `make matrix` tells whether it ran on those."""
    for mark in item.iter_markers("slurm"):
        why = releases.not_for(release(Options().slurm_prefix), **mark.kwargs)
        if why:
            item.user_properties.append((releases.ELSEWHERE, why))
            pytest.skip(why)


@pytest.fixture(autouse=True, scope="session")
def _in_a_cell() -> None:
    if not cell.inside():
        pytest.fail(
            "the integration tests need a cell; run: make test, or python -m sandbox.cell pytest tests/integration"
        )


@pytest.fixture(scope="session")
def site(_in_a_cell: None) -> Iterator[Site]:
    """The shared site. A test that stops a service starts it again, and all use names of their own."""
    with Site.temporary(Options(emulator=FAST, slurm_conf=(*GOES_FIRST, NICE_COUNTS))) as made:
        yield made


@pytest.fixture
def make_site(_in_a_cell: None) -> Iterator[MakeSite]:
    """A maker of sites that are this test's own, and end with it."""
    with ExitStack() as sites:
        yield lambda options: sites.enter_context(Site.temporary(options))


@pytest.fixture
def name() -> str:
    """A name that no other test uses, for prefixes and files."""
    return seeing.new_name()
