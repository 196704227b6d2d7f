from __future__ import annotations

from slurm_amlfs.domain.errand import Count, Counted, Start
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.view import ImportState, ImportView
from slurm_amlfs.wire import Answer
from tests.unit.domain.desk import BUSY, Desk

OVER = "stage_in prefix=/shared/ conflict=overwrite-always"
UNSAVED = Counted(3, 300, unsaved_files=2, unsaved=("/shared/x", "/shared/y"))


def test_what_is_on_lustre_only_is_not_overwritten() -> None:
    """The user is told what is in the way and what to do; nothing is imported."""
    desk = Desk()
    desk.submit(OVER)
    desk.report(desk.wish(Count), UNSAVED)

    assert desk.answers()[0] is Answer.ERROR
    assert desk.board().message == (
        "2 files under /shared/ are on Lustre only or changed since their archive, first '/shared/x', '/shared/y'; "
        "export or remove them, or use conflict=skip"
    )
    assert desk.wished(Start) == []


def test_only_an_import_that_overwrites_looks_at_lustre() -> None:
    """What cannot destroy anything costs no walk."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/", job_id=1)
    skip = desk.wish(Count).overwrites
    desk.count()
    desk.submit("stage_in prefix=/b/ conflict=overwrite-if-dirty", job_id=2)

    assert not skip
    assert desk.wish(Count).overwrites


def test_files_that_a_living_job_has_still_to_export_are_waited_for() -> None:
    """They are that job's to save, so the import waits, and looks when they are."""
    desk = Desk()
    desk.submit("stage_out prefix=/shared/out/", job_id=3)
    desk.run(3)
    desk.submit(OVER)
    looked = desk.wish(Count).overwrites
    desk.report(desk.wish(Count), UNSAVED)
    held = desk.stage().phase
    desk.leave(3, "CANCELLED")
    looks = desk.wish(Count).overwrites
    started = desk.wished(Start)
    desk.count()

    assert not looked
    assert held is Phase.WAITING
    assert looks
    assert started == []
    assert desk.wish(Start).transfer.prefixes == ("/shared/",)


def test_after_a_wait_for_the_slot_lustre_is_looked_at_again() -> None:
    """What was clean an hour ago may have been written since; nobody overtakes while it is looked at."""
    desk = Desk()
    desk.imports["portal-7"] = ImportView("portal-7", ImportState.IN_PROGRESS)
    desk.submit(OVER)
    desk.count()
    desk.submit("stage_in prefix=/b/", job_id=8)
    desk.count()
    desk.imports.clear()
    desk.go(after=3600)
    early = desk.wished(Start)
    desk.report(desk.wish(Count), UNSAVED)

    assert early == []
    assert desk.stage().phase is Phase.FAILED
    assert desk.wish(Start).transfer.prefixes == ("/b/",)


def test_an_import_that_azure_did_not_take_for_long_is_looked_at_again() -> None:
    """The slot was given, but Azure was busy: the look is as old as the wait."""
    desk = Desk()
    desk.submit(OVER)
    desk.count()
    desk.report(desk.wish(Start), BUSY)
    desk.go(after=3600)
    early = desk.wished(Start)
    desk.settle()
    counts = desk.wished(Count)
    desk.report(counts[0], UNSAVED)

    assert early == []
    assert desk.stage().phase is Phase.FAILED
    assert desk.wished(Start) == []
