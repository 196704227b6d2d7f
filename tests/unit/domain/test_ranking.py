from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain.errand import ArchiveFiles, Count, Errand, Evict, ProveIn, ProveOut, Walk
from slurm_amlfs.domain.urgency import FIRST, Rank
from slurm_amlfs.domain.view import JobName, QueuedJob, SpaceView
from slurm_amlfs.domain.world import ExportBy
from tests.unit.domain.desk import ALICE, RULES, Desk, unproved

GIB = 1 << 30


def rank(desk: Desk, kind: type[Errand]) -> Rank:
    """Give the rank of the one wish of a kind."""
    errand = desk.wish(kind)
    assert isinstance(errand, Walk)
    return errand.rank


def test_what_is_foreseen_ranks_behind_what_is_staged() -> None:
    """Whatever their priorities; once its job is staged, it ranks by the highest of those who wait."""
    desk = Desk()
    desk.queue = [QueuedJob(9, ALICE, ("stage_in prefix=/a/",), priority=9000)]
    desk.go()
    ahead = rank(desk, Count)
    for job_id, priority in ((9, 5), (8, 7)):
        desk.submit("stage_in prefix=/a/", job_id=job_id)
        desk.show("PENDING", job_id, priority=priority)
    desk.go()

    assert ahead == Rank(foreseen=True, priority=9000)
    assert rank(desk, Count) == Rank(priority=7)


def test_what_an_admin_pinned_ranks_as_foreseen() -> None:
    """No job waits for it."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/")
    held = desk.lease("/a/")
    desk.records.leases[held.key] = replace(held, pinned=True)
    desk.jobs = {}
    desk.go()
    desk.settle()

    assert rank(desk, Count) == Rank(foreseen=True)


def test_a_proof_ranks_by_its_job() -> None:
    """So do its restores."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/")
    desk.show("PENDING", priority=7)
    desk.count()
    desk.start()
    desk.land()

    assert rank(desk, ProveIn) == Rank(priority=7)


def test_an_export_ranks_by_its_job_or_by_who_waits_for_its_end() -> None:
    """By the highest of them, also where Lustre archives file by file."""
    systems = {"amlfs": replace(RULES.file_systems["amlfs"], export_by=ExportBy.HSM)}
    desk = Desk(replace(RULES, file_systems=systems))
    desk.awaited = {JobName(7): (QueuedJob(8, ALICE, (), priority=11), QueuedJob(9, ALICE, (), priority=13))}
    desk.submit("stage_out prefix=/jobs/7/")
    desk.end("stage_out prefix=/jobs/7/")
    proof = desk.wish(ProveOut)
    desk.report(proof, unproved("/jobs/7/"))
    desk.settle()
    archive = rank(desk, ArchiveFiles)
    desk.awaited = {}
    desk.show("STAGE_OUT", priority=12)
    desk.go()

    assert (proof.rank, archive, rank(desk, ArchiveFiles)) == (
        Rank(priority=13),
        Rank(priority=13),
        Rank(priority=12),
    )


def test_what_makes_room_goes_first_and_what_only_gives_it_back_does_not() -> None:
    """Somebody waits for the room; for an admin nobody does."""
    desk = Desk()
    desk.space = SpaceView(100 * GIB, 95 * GIB)
    desk.stage_in("stage_in prefix=/a/", job_id=3)
    desk.run(3)
    desk.leave(3)
    desk.space = SpaceView(100 * GIB, 20 * GIB)
    desk.submit("stage_in prefix=/b/")
    desk.count(total_bytes=41 * GIB)
    desk.start()
    desk.land()
    making = rank(desk, Evict)
    held = desk.lease("/a/")
    desk.records = replace(desk.records, resting=desk.records.resting.changed(drops=(held.key,)))
    desk.records.leases[held.key] = replace(held, leaving=True)
    desk.jobs = {}
    desk.go()
    desk.settle()

    assert making == FIRST
    assert rank(desk, Evict) == Rank()
