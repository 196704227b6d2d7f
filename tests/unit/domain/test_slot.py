from __future__ import annotations

import re
from dataclasses import replace

import pytest

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.errand import Clear, Count, ProveOut, Start
from slurm_amlfs.domain.foreseeing import awaited
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import StageKey
from slurm_amlfs.domain.report import Done, Fault, Report, Trouble
from slurm_amlfs.domain.slot import wants_look
from slurm_amlfs.domain.view import ArchiveState, ArchiveView, ImportState, ImportView, JobName, QueuedJob, SpaceView
from slurm_amlfs.domain.world import FsRules
from slurm_amlfs.wire import Answer
from tests.unit.domain.desk import BUSY, NOON, RULES, Desk, unproved
from tests.unit.domain.desk import counted as counted_of


def counted(*lines: str) -> Desk:
    """Bring jobs 1, 2, ... of a line each to where they wait for the slot."""
    desk = Desk()
    for number, line in enumerate(lines, start=1):
        desk.submit(line, job_id=number)
    desk.count()
    return desk


def hold(desk: Desk, how: str) -> None:
    """Let somebody else hold the slot, or the file system be away."""
    match how:
        case "import":
            desk.imports["portal-7"] = ImportView("portal-7", ImportState.IN_PROGRESS)
        case "archive":
            desk.archives = (ArchiveView("/else/", ArchiveState.SCAN_IN_PROGRESS, started=NOON),)
        case "auto":
            desk.auto_jobs = ("autoExport nightly",)
        case "maintenance":
            desk.health = "Maintenance"
        case _:
            desk.trouble = "Azure gave no answer"


HOLDS = {
    "import": "the slot is held by the import 'portal-7', which is not ours",
    "archive": "the slot is held by an archive of '/else/', which is not ours",
    "auto": "the slot is held by autoExport nightly, which has to be disabled first",
    "maintenance": "the file system is in Maintenance: planned; it goes on by itself when that is over",
    "trouble": "Azure gave no answer",
}


@pytest.mark.parametrize(
    ("health", "provisioning_state", "said"),
    [
        ("Degraded", "Succeeded", "the file system is in Degraded: planned; look at it in the Azure portal"),
        ("Unavailable", "Failed", "in Unavailable: planned; look at it .*; if that takes long, ask Azure's support"),
        ("Transitioning", "Succeeded", "in Transitioning: planned; it goes on by itself when that is over"),
        ("Expanding", "Updating", "in Expanding: planned; it goes on by itself when that is over"),
        ("Dreaming", "Succeeded", "in Dreaming: planned; look at it in the Azure portal, it goes on by itself"),
        ("", "Succeeded", "Azure does not say how the file system is; wait, it is asked again"),
        ("Available", "Updating", "the file system is being changed; it goes on by itself when that is over"),
        ("Available", "Deleting", "the file system is being deleted"),
    ],
)
def test_while_a_file_system_is_unwell_jobs_wait_and_are_told(health: str, provisioning_state: str, said: str) -> None:
    """Whatever Azure calls it, known or not: nothing is begun, nobody fails, and then it goes on."""
    desk = Desk()
    desk.health, desk.provisioning_state = health, provisioning_state
    desk.submit("stage_in prefix=/a/")
    desk.count()
    for _ in range(100):
        desk.go(after=60)
        assert desk.wished(Start) == []
    message, answers = desk.board().message, desk.answers()
    desk.health, desk.provisioning_state = "available", "Failed"
    desk.settle()

    assert re.search(f"^waiting for the slot: .*{said}", message)
    assert answers[0] is Answer.BUSY
    assert desk.wish(Start)


@pytest.mark.parametrize("how", HOLDS)
def test_while_somebody_else_holds_the_slot_jobs_wait_and_are_told_who(how: str) -> None:
    """Nothing is started, nothing of theirs is cancelled; the board says who or what; then it goes on."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/")
    desk.drop_receipts()
    hold(desk, how)
    desk.count()
    wished, said, answer = desk.decision, desk.board().message, desk.answers()[0]
    desk.imports, desk.archives, desk.auto_jobs, desk.health, desk.trouble = {}, (), (), "Available", ""
    desk.go()

    assert wished is not None
    assert wished.errands == ()
    assert wished.records.transfers == {}
    assert said == f"waiting for the slot: {HOLDS[how]}"
    assert answer is Answer.BUSY
    assert desk.wish(Start)


def test_a_slot_that_was_not_looked_at_is_not_used() -> None:
    """After a start of the daemon nothing is asked of Azure before its slot has been seen."""
    desk = Desk()
    desk.looked = False
    desk.submit("stage_in prefix=/a/")
    desk.count()

    assert desk.wished(Start) == []
    assert desk.records.transfers == {}
    assert wants_look(desk.records, "amlfs")


def test_jobs_share_an_import() -> None:
    """What waits with the same conflict mode and limit goes in one import, overlapping prefixes once."""
    desk = counted("stage_in prefix=/a/", "stage_in prefix=/b/", "stage_in prefix=/a/x/")
    [start] = desk.wished(Start)

    assert sorted(start.transfer.prefixes) == ["/a/", "/b/"]
    assert {key.prefix for key in start.transfer.leases} == {"/a/", "/b/", "/a/x/"}


def test_on_a_flat_namespace_data_takes_data2_along() -> None:
    """Overlapping as strings makes ARM fail the import, so only the shorter one is sent."""
    desk = counted("stage_in prefix=/data", "stage_in prefix=/data2/")

    assert desk.wish(Start).transfer.prefixes == ("/data",)


@pytest.mark.parametrize("word", ["conflict=overwrite-always", "max_errors=7"])
def test_what_differs_in_more_than_its_prefix_waits_for_the_next_turn(word: str) -> None:
    """One import has one conflict mode and one limit."""
    desk = counted("stage_in prefix=/a/", f"stage_in prefix=/b/ {word}")

    assert desk.wish(Start).transfer.prefixes == ("/a/",)
    assert desk.stage(2).phase is Phase.WAITING
    assert desk.board(2).message == "waiting for the slot: the slot is taken by the import for job 1"


def test_no_import_has_more_prefixes_than_configured() -> None:
    """What does not fit waits, and goes in the next turn."""
    desk = Desk(replace(RULES, prefixes_per_import=2))
    desk.submit("stage_in prefix=/a/", job_id=1)
    desk.submit("stage_in prefix=/b/ prefix=/c/", job_id=2)
    desk.submit("stage_in prefix=/d/", job_id=3)
    desk.count()

    first = desk.start().prefixes
    desk.land()

    assert (len(first), len(desk.wish(Start).transfer.prefixes)) == (2, 2)


def test_one_transfer_at_a_time() -> None:
    """While one holds the slot no other is begun, of either direction; each gets its turn."""
    desk = counted("stage_in prefix=/a/")
    desk.start()
    desk.submit("stage_out prefix=/jobs/2/", job_id=2)
    desk.run(2)
    desk.end("stage_out prefix=/jobs/2/", job_id=2)
    desk.prove_out(unproved("/jobs/2/"))
    desk.submit("stage_in prefix=/b/", job_id=3)
    desk.count()
    held = desk.wished(Start)
    desk.land()
    turns = [desk.start().prefixes]
    desk.archived() if turns[0] == ("/jobs/2/",) else desk.land()
    turns.append(desk.start().prefixes)

    assert held == []
    assert sorted(turns) == [("/b/",), ("/jobs/2/",)]


def beside_an_import() -> Desk:
    """Let an export wait for the slot beside an import that serves three jobs, and so goes first."""
    desk = Desk()
    desk.submit("stage_out prefix=/jobs/9/", job_id=9)
    desk.run(9)
    for job_id in (1, 2, 3):
        desk.submit("stage_in prefix=/a/", job_id=job_id)
    desk.end("stage_out prefix=/jobs/9/", job_id=9)
    hold(desk, "auto")
    desk.go(reports=tuple(Report(it, counted_of(it)) for it in desk.wished(Count)))
    desk.prove_out(unproved("/jobs/9/"))
    return desk


def let_go(desk: Desk) -> tuple[str, ...]:
    """Give the slot free, and name what it carries then."""
    desk.auto_jobs = ()
    desk.go()
    return desk.wish(Start).transfer.prefixes


def test_an_export_that_nobody_waits_for_goes_behind_what_many_want() -> None:
    """Three jobs wait for the import."""
    assert let_go(beside_an_import()) == ("/a/",)


def test_an_export_that_many_wait_for_goes_first() -> None:
    """An array of ten tasks begins when the job is through with its exports."""
    desk = beside_an_import()
    desk.awaited = awaited([QueuedJob(20, 61001, (), tasks=10, after=frozenset({JobName(9)}))])

    assert let_go(desk) == ("/jobs/9/",)


@pytest.mark.parametrize(
    ("name", "first"),
    [(JobName(4, 2), "/jobs/9/"), (JobName(4), "/jobs/9/"), (JobName(4, 3), "/a/"), (JobName(5), "/a/")],
)
def test_an_export_of_a_task_weighs_who_waits_for_it_or_its_array(name: JobName, first: str) -> None:
    """Job 9 is task 2 of array 4: neither its sister nor the job whose id is the array's next waits for it."""
    desk = beside_an_import()
    desk.show("STAGE_OUT", job_id=9, task=JobName(4, 2))
    desk.awaited = awaited([QueuedJob(20, 61001, (), tasks=10, after=frozenset({name}))])

    assert let_go(desk) == (first,)


def test_who_waits_for_a_task_and_its_array_is_weighed_once() -> None:
    """One job that names both, and the task's own id, is still one."""
    desk = beside_an_import()
    desk.show("STAGE_OUT", job_id=9, task=JobName(4, 2))
    names = frozenset({JobName(4), JobName(4, 2), JobName(9)})
    desk.awaited = awaited([QueuedJob(20, 61001, (), after=names)])

    assert let_go(desk) == ("/a/",)


@pytest.mark.parametrize("release", ["yes", "no"])
def test_an_export_that_gives_space_back_goes_before_what_has_room(release: str) -> None:
    """Four jobs wait for room, which the export makes if it releases its files."""
    desk = Desk()
    line = f"stage_out prefix=/jobs/9/ release={release}"
    desk.submit(line, job_id=9)
    desk.run(9)
    for job_id in (1, 2, 3, 4):
        desk.submit("stage_in prefix=/large/", job_id=job_id)
    desk.space = SpaceView(10**6, 10)
    desk.count()
    desk.start()
    desk.land()
    said = desk.board(1).message
    for job_id in (5, 6):
        desk.submit("stage_in prefix=/a/", job_id=job_id)
    desk.end(line, job_id=9)
    hold(desk, "auto")
    desk.go(reports=tuple(Report(it, counted_of(it)) for it in desk.wished(Count)))
    desk.prove_out(unproved("/jobs/9/"))

    assert said.startswith("waiting for space on ")
    assert let_go(desk) == (("/jobs/9/",) if release == "yes" else ("/a/",))


def test_an_import_asked_for_twice_meets_itself() -> None:
    """Lost report, lost answer: the same turn has the same name, legal in ARM; another turn another."""
    desk = counted("stage_in prefix=/a/")
    first = desk.wish(Start).transfer.transfer_id
    desk.go()
    again = desk.wish(Start).transfer.transfer_id
    desk.start()
    desk.land(ImportState.FAILED)
    desk.go(after=60)

    assert re.fullmatch(r"[0-9a-zA-Z][-0-9a-zA-Z_]{0,78}[0-9a-zA-Z]", first)
    assert again == first
    assert desk.wish(Start).transfer.transfer_id != first


def test_the_record_of_an_import_that_is_over_is_deleted() -> None:
    """When its stages have landed; a failed delete is not hammered at; a deleted one is forgotten."""
    desk = counted("stage_in prefix=/a/")
    desk.start()
    desk.land()
    clear = desk.wish(Clear)
    desk.report(clear, BUSY, after=0)
    early = desk.wished(Clear)
    desk.go(after=2)
    desk.report(desk.wish(Clear), Done())

    assert early == []
    assert desk.records.transfers == {}


def test_a_name_that_is_being_deleted_is_not_used() -> None:
    """A job forgotten by mistake comes back under the same name: it waits until the old record is gone."""
    desk = counted("stage_in prefix=/a/")
    old = desk.start()
    desk.land()
    over = desk.records.transfers[old.transfer_id]
    back = counted("stage_in prefix=/a/")
    back.records.transfers.clear()
    key = StageKey(1, Direction.IN, 0)
    back.records.stages[key] = replace(back.records.stages[key], phase=Phase.WAITING, transfer_id="")
    back.records.transfers[old.transfer_id] = over
    back.go()
    held = back.wished(Start)
    back.report(back.wish(Clear), Done())

    assert held == []
    assert back.wish(Start).transfer.transfer_id == old.transfer_id


def test_an_import_of_ours_that_was_forgotten_is_no_hindrance() -> None:
    """With a new database an import under way is met again by its name."""
    desk = counted("stage_in prefix=/a/")
    transfer = desk.wish(Start).transfer
    fresh = Desk()
    fresh.show_transfer(transfer)
    fresh.submit("stage_in prefix=/a/", job_id=1)
    fresh.count()
    fresh.settle()

    assert fresh.transfer().transfer_id == transfer.transfer_id
    assert fresh.wished(Start) == []


OVER = "stage_in prefix=/shared/ conflict=overwrite-always"


def test_nothing_is_overwritten_that_a_living_job_uses() -> None:
    """An overwriting import waits for the jobs that rely on its paths, says which, and goes on when they are gone."""
    desk = Desk()
    desk.stage_in("stage_in prefix=/shared/x/", job_id=3)
    desk.submit(OVER)
    desk.count()
    held, said = desk.wished(Start), desk.board().message
    desk.run(3)
    still = desk.wished(Start)
    desk.leave(3)
    desk.count()

    assert held == still == []
    assert said == "waiting for job 3, which uses what conflict=overwrite-always may overwrite"
    assert desk.wish(Start).transfer.prefixes == ("/shared/",)


@pytest.mark.parametrize("failed", [False, True])
def test_outputs_not_yet_in_blob_are_not_overwritten(failed: bool) -> None:  # noqa: FBT001 - drawn
    """A job's outputs are on Lustre only until its export is proved, also while that has failed."""
    desk = Desk()
    desk.submit("stage_out prefix=/shared/out/", job_id=3)
    desk.run(3)
    desk.submit(OVER)
    desk.count()
    running = desk.wished(Start)
    desk.end("stage_out prefix=/shared/out/", job_id=3)
    if failed:
        desk.report(desk.wish(ProveOut), Trouble(Fault.PERMANENT, "no right"))
    still = desk.wished(Start)

    assert running == still == []
    assert (desk.out(3).phase is Phase.FAILED) is failed
    assert desk.board().message.startswith("waiting for job 3")


def test_jobs_that_have_not_begun_hold_up_no_overwrite() -> None:
    """Two waiting jobs that overwrite the same go together, and a pending job's outputs are not there yet."""
    desk = Desk()
    desk.submit("stage_out prefix=/shared/out/", job_id=3)
    desk.submit(OVER)
    desk.submit(OVER, job_id=8)
    desk.count()

    assert desk.wish(Start).transfer.leases[0].prefix == "/shared/"
    assert desk.stage(7).phase is desk.stage(8).phase is Phase.IMPORTING


def test_file_systems_have_their_own_slots() -> None:
    """Two file systems, two transfers at once."""
    systems = {name: FsRules(name, f"/{name}", Namespace.FLAT) for name in ("one", "two")}
    desk = Desk(replace(RULES, file_systems=systems))
    desk.submit("stage_in prefix=/a/ fs=one", "stage_in prefix=/a/ fs=two")
    desk.count()

    assert sorted(start.transfer.fs for start in desk.wished(Start)) == ["one", "two"]
