"""What the owner of an export is told, and what a retry of his does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_amlfs.domain.errand import ProveOut
from slurm_amlfs.domain.report import Exported, Fault, Trouble
from slurm_amlfs.domain.view import ArchiveState
from slurm_amlfs.wire import RequestKind
from tests.unit.domain.desk import ALICE, Desk, proved, unproved

OUT = "stage_out prefix=/jobs/7/"


def ended() -> Desk:
    """Bring a job to where its data_out hook waits."""
    desk = Desk()
    desk.submit(OUT)
    desk.run()
    desk.end(OUT)
    return desk


def test_a_retry_by_the_owner_begins_with_short_pauses_again() -> None:
    """Who asks has mended something: after a retry the next pause is the first of the row."""
    desk = ended()
    for _ in range(3):
        desk.report(desk.wish(ProveOut), Trouble(Fault.PERMANENT, "no right"))
        desk.settle()
        assert desk.decision is not None
        assert desk.decision.wake is not None
        desk.now = desk.decision.wake
        desk.settle()
    desk.report(desk.wish(ProveOut), Trouble(Fault.PERMANENT, "no right"))
    desk.settle(replace(desk.request(RequestKind.RETRY), sender_uid=ALICE))
    desk.report(desk.wish(ProveOut), Trouble(Fault.PERMANENT, "no right"))
    desk.settle()

    assert desk.decision.wake is not None
    assert (desk.decision.wake - desk.out().since).total_seconds() / 60 == 15


@pytest.mark.parametrize(
    ("found", "detail"),
    [
        (replace(proved(), symlinks=2), "3 files, 300 bytes under /jobs/7/ (2 symbolic links are not proved)"),
        (replace(proved(), symlinks=1), "3 files, 300 bytes under /jobs/7/ (1 symbolic link is not proved)"),
        (Exported(0, 0, 0, 0, symlinks=1), "no files under /jobs/7/ (1 symbolic link is not proved)"),
        (proved(), "3 files, 300 bytes under /jobs/7/"),
    ],
)
def test_symbolic_links_are_told(found: Exported, detail: str) -> None:
    """They are no files whose arrival is proved, so nobody is left to think so."""
    desk = ended()
    desk.prove_out(found)

    assert detail in [event.detail for event in desk.events if event.word in {"exported", "nothing to export"}]


def test_hard_links_are_named_as_the_reason() -> None:
    """Trying again mends nothing there, copies do."""
    desk = ended()
    for _ in range(3):
        desk.prove_out(unproved("/jobs/7/"))
        desk.start()
        desk.archived(ArchiveState.FAILED, "files changed")
    desk.prove_out(replace(unproved("/jobs/7/"), linked=2))

    assert "'/jobs/7/a'; 2 of them have other hard links" in desk.board().message
    assert desk.board().message.endswith("Azure said: files changed")
