"""A job that imports is made to wait for the exports of those that it depends on, and for nothing else."""

from __future__ import annotations

import pytest
from slurm_mock import SlurmMock

from slurm_amlfs.wire import Site

BODY = "#!/bin/sh\n#AMLFS stage_{direction} prefix=/jobs/x/\ntrue\n"
SITE = Site("e", ("scratch /mnt",), ("* * /",), ("* * /jobs/",))


def submitted(slurm: SlurmMock, dependency: str, direction: str = "in") -> str:
    """Submit a job with a dependency; give the one that Slurm is left with."""
    slurm.publish(SITE)
    script = BODY.format(direction=direction)
    returned = slurm.call("slurm_job_submit", job_user_id="61001", job_script=script, job_dependency=dependency)
    assert returned.values == ("0",)
    return returned.dependency


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ("afterok:12", "12"),
        ("afterok:12:13,afterany:12:14_3", "12:13:14_3"),
        ("AfterNotOk:12_*", "12_*"),
        ("12", "12"),
        ("singleton,afterok:12", "12"),
        ("after:11+5,afterok:12", "12"),
    ],
)
def test_a_wait_for_the_end_waits_for_the_exports_too(any_release: SlurmMock, given: str, added: str) -> None:
    """What was given stays as it is, and a wait for the burst buffers of the same jobs is added."""
    assert submitted(any_release, given) == f"{given},afterburstbuffer:{added}"


@pytest.mark.parametrize(
    "given",
    [
        "afterok:12?afterok:13",
        "after:12",
        "aftercorr:12",
        "singleton",
        "expand:12",
        "afterburstbuffer:12",
        "afterok:67108865",
        "afterok:12(unfulfilled)",
        "afterok:$(id)",
    ],
)
def test_nothing_is_added_that_could_mean_something_else(any_release: SlurmMock, given: str) -> None:
    """One of several that is enough, a start, a task's own counterpart, another cluster, or what Slurm will refuse."""
    assert submitted(any_release, given) == given


def test_a_job_that_only_exports_waits_as_it_said(any_release: SlurmMock) -> None:
    """It reads nothing of what the other exports."""
    assert submitted(any_release, "afterok:12", "out") == "afterok:12"
