"""A prefix of more blobs than are listed at a time is brought in whole, and the board says what is a guess."""

from __future__ import annotations

import pytest

from sandbox.options import Options
from sandbox.site import Site
from tests.integration import seeing
from tests.integration.conftest import FAST, MakeSite

pytestmark = pytest.mark.integration

FIND_ALL = """#!/bin/sh
test "$(find "$AMLFS_IMPORT_DIR" -type f | wc -l)" -eq 200
"""


@pytest.mark.parametrize("hierarchical", [False, True])
def test_two_hundred_blobs_with_a_bound_of_fifty(make_site: MakeSite, *, hierarchical: bool) -> None:
    """In folders, in folders of these, beside folders, and with names that sort between them: the job finds all."""
    site = make_site(Options(emulator=FAST, slot=("list_blobs = 50",), hierarchical=hierarchical))
    names = [
        f"{folder}/{number:02}" for folder in ("a", "a-b", "c/deep", "d", "e/x", "e/y", "f") for number in range(25)
    ]
    names += [f"e/file{number}" for number in range(10)] + [f"between{number}" for number in range(14)] + ["zz"]
    for name in names:
        seeing.put_blob(site, f"large/{name}", b"x")
    with seeing.held(site, "import"):
        job = site.submit("alice", FIND_ALL, "--amlfs-import=/large/")
        site.wait(lambda: "; the rest is estimated" in said(site, job), seeing.LONG, "the guess is told")
    seeing.wait_for_state(site, job, "COMPLETED")
    [told] = [event["detail"] for event in site.status(job)["timeline"] if event["word"] == "counted"]

    assert len(names) == 200
    assert told.startswith("more than ")
    assert told.endswith(" blobs under /large/; the rest is estimated")
    assert 50 <= int(told.split()[2]) < 200
    assert site.status(job)["files_total"] == 200


def said(site: Site, job: int) -> str:
    """Read all that a job's board says."""
    try:
        status = site.status(job)
    except RuntimeError:
        return ""
    return " ".join([status["message"], *(str(event["detail"]) for event in status["timeline"])])
