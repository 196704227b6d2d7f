from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.errand import Count, ProveIn, Start, WriteReceipt
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.report import Counted, Done, Report
from slurm_amlfs.domain.view import ImportState, ImportView
from slurm_amlfs.wire import Answer, RequestKind
from tests.unit.domain.desk import BUSY, Desk, counted

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
    desk.go(desk.request(RequestKind.TEARDOWN, job_id=3, hurry=True))
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
    """What was clean a while ago may have been written since; nobody overtakes while it is looked at once more."""
    desk = Desk()
    desk.imports["portal-7"] = ImportView("portal-7", ImportState.IN_PROGRESS)
    desk.submit(OVER)
    desk.count()
    desk.submit("stage_in prefix=/b/", job_id=8)
    desk.count()
    desk.imports.clear()
    desk.go(after=300)
    early = desk.wished(Start)
    desk.report(desk.wish(Count), UNSAVED)

    assert early == []
    assert desk.stage().phase is Phase.FAILED
    assert desk.wish(Start).transfer.prefixes == ("/b/",)


def test_the_slot_is_not_idle_while_lustre_is_looked_at_for_long() -> None:
    """A walk of millions of files takes minutes: others go, and the overwrite next."""
    desk = Desk()
    desk.imports["portal-7"] = ImportView("portal-7", ImportState.IN_PROGRESS)
    desk.submit(OVER)
    desk.count()
    desk.submit("stage_in prefix=/b/", job_id=8)
    desk.count()
    desk.imports.clear()
    desk.go(after=3600)
    look = desk.wish(Count)
    other = desk.start()
    desk.report(look, counted(look))
    desk.submit("stage_in prefix=/c/", job_id=9)
    desk.count()
    desk.go(after=300)
    desk.land()
    again = desk.wish(Count)
    overtakes = desk.wished(Start)
    desk.report(again, counted(again))

    assert look.overwrites
    assert other.prefixes == ("/b/",)
    assert (again.lease, again.overwrites, overtakes) == (look.lease, True, [])
    assert desk.wish(Start).transfer.prefixes == ("/shared/",)


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


def live(desk: Desk, jobs: int) -> list[int]:
    """Let all jobs of a desk live as far as they get; list them in the order in which they could start."""
    started: list[int] = []
    for _ in range(12 * jobs):
        desk.drop_receipts()
        desk.count()
        if desk.wished(Start):
            desk.start()
        if any(it.holds_slot for it in desk.records.transfers.values()):
            desk.land()
        desk.prove()
        for errand in desk.wished(WriteReceipt):
            desk.report(errand, Done())
        for job_id in range(1, jobs + 1):
            if job_id not in started and desk.answers(job_id)[0] is Answer.DONE:
                started.append(job_id)
                desk.run(job_id)
                desk.leave(job_id)
                desk.go()
    return started


def ring(jobs: int) -> list[str]:
    """Let each job read what the next one overwrites."""
    folders = [f"/{number}/" for number in range(jobs)]
    return [f"stage_in prefix={one}" for one in folders]


@pytest.mark.parametrize("jobs", [2, 3, 4])
@pytest.mark.parametrize("staged_first", [False, True])
def test_jobs_that_overwrite_each_others_inputs_all_start(jobs: int, staged_first: bool) -> None:  # noqa: FBT001 - drawn
    """Each reads what the one before overwrites, whether their inputs came together or before the overwrites."""
    desk = Desk()
    reads = ring(jobs)
    desk.trouble = "Azure gave no answer"
    for number in range(jobs):
        over = f"{reads[(number + 1) % jobs]} conflict=overwrite-always"
        lines = (reads[number], over)
        desk.submit(*lines, job_id=number + 1)
    if staged_first:
        counts = [it for it in desk.wished(Count) if not it.overwrites]
        desk.go(reports=tuple(Report(it, Counted(3, 300)) for it in counts))
        desk.trouble = ""
        desk.go()
        if desk.wished(Start):
            desk.start()
            desk.land()
    desk.trouble = ""

    assert sorted(live(desk, jobs)) == list(range(1, jobs + 1))


def test_an_overwrite_that_waits_is_not_overtaken_for_ever() -> None:
    """Who comes later for the same files waits behind it, and others do not."""
    desk = Desk()
    desk.stage_in("stage_in prefix=/shared/", job_id=3)
    desk.submit(OVER)
    desk.submit("stage_in prefix=/shared/x/", job_id=8)
    desk.submit("stage_in prefix=/b/", job_id=9)
    desk.count()

    assert desk.wish(Start).transfer.prefixes == ("/b/",)
    assert desk.board(8).message == "waiting for job 7, which came first and may overwrite the same files"


def count_only(desk: Desk, prefix: str) -> None:
    """Answer the wishes to count one prefix; what else is to be counted waits on."""
    desk.go(reports=tuple(Report(it, counted(it)) for it in desk.wished(Count) if it.lease.prefix == prefix))


def test_what_gives_way_to_an_older_overwrite_is_proved_again() -> None:
    """A younger job that waits for something else has not started: its inputs are looked at after the import."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/", "stage_in prefix=/shared/ conflict=overwrite-if-dirty", job_id=1)
    first = desk.wished(Count)
    desk.report(first[1], UNSAVED)
    desk.report(first[0], Counted(3, 300))
    desk.start()
    desk.land()
    desk.prove()
    before = desk.stage(1).phase
    desk.submit("stage_in prefix=/shared/", "stage_in prefix=/b/", job_id=2)
    count_only(desk, "/shared/")
    desk.start()
    desk.land()
    desk.prove()
    younger = desk.stage(2).phase
    desk.settle(replace(desk.request(RequestKind.RETRY, job_id=1), sender_uid=0))
    count_only(desk, "/shared/")
    desk.start()
    proofs = desk.wished(ProveIn)
    again = desk.stage(2).phase
    desk.land()

    assert (before, younger, again) == (Phase.STAGED_IN, Phase.STAGED_IN, Phase.RESTORING)
    assert proofs == []
    assert {it.lease.prefix for it in desk.wished(ProveIn)} == {"/shared/"}
    assert {it.lease.conflict for it in desk.wished(ProveIn)} == {Conflict.OVERWRITE_IF_DIRTY, Conflict.SKIP}


def test_a_held_job_holds_up_no_overwrite() -> None:
    """One of its lines failed, so only an operator lets it start, and then it is staged anew, all of it."""
    desk = Desk()
    desk.submit("stage_in prefix=/shared/", "stage_in prefix=/none/", job_id=3)
    count_only(desk, "/shared/")
    desk.start()
    desk.land()
    desk.prove()
    before = desk.stage(3).phase
    desk.submit("stage_in prefix=/shared/ conflict=overwrite-always")
    count_only(desk, "/shared/")
    waits = desk.wished(Start), desk.board().message
    desk.go(reports=tuple(Report(it, Counted(0, 0)) for it in desk.wished(Count)))
    desk.settle()
    count_only(desk, "/shared/")

    assert before is Phase.STAGED_IN
    assert waits == ([], "waiting for job 3, which uses what conflict=overwrite-always may overwrite")
    assert desk.stage(3, line=1).phase is Phase.FAILED
    assert desk.wish(Start).transfer.prefixes == ("/shared/",)
    assert desk.stage(3).phase is Phase.RESTORING


def test_overwrites_of_overlapping_prefixes_go_in_one_import() -> None:
    """They are looked at once, and do not undo each other's look."""
    desk = Desk()
    desk.submit(OVER)
    desk.submit("stage_in prefix=/shared/x/ conflict=overwrite-always", job_id=8)
    desk.count()
    start = desk.wish(Start)
    desk.go()

    assert start.transfer.prefixes == ("/shared/",)
    assert {it.prefix for it in start.transfer.leases} == {"/shared/", "/shared/x/"}
    assert desk.wish(Start).transfer.transfer_id == start.transfer.transfer_id
    assert desk.wished(Count) == []
