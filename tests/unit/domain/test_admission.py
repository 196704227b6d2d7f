"""The line for a file system's room: who is let in, who passes whom, and who gives way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.errand import Count, Evict, ProveIn
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Freed, Report
from slurm_amlfs.domain.view import QueuedJob, SpaceView
from slurm_amlfs.domain.world import FsRules
from slurm_amlfs.wire import RequestKind
from tests.unit.domain.desk import ALICE, RULES, Desk, counted
from tests.unit.domain.model import Model

GIB = 1 << 30


def desk_with(free_gib: float, *, file_systems: tuple[str, ...] = ("amlfs",)) -> Desk:
    """Make a desk with 100 GiB on each file system, so many of them free."""
    desk = Desk(replace(RULES, file_systems={it: FsRules(it, f"/{it}", Namespace.FLAT) for it in file_systems}))
    desk.space = SpaceView(100 * GIB, int(free_gib * GIB))
    return desk


def come(desk: Desk, job_id: int, gib: float, *lines: str, priority: int = 100) -> None:
    """Bring a job to where its names are there, and its bytes, so many of each prefix, are wanted."""
    desk.submit(*lines, job_id=job_id)
    desk.show("PENDING", job_id, priority=priority)
    desk.count(total_bytes=int(gib * GIB), there=True)
    desk.settle()


def restored(desk: Desk) -> list[str]:
    """List what is wished to be restored, bytes and all."""
    return [it.lease.prefix for it in desk.wished(ProveIn)]


def leave_running(desk: Desk, job_id: int, prefix: str, gib: float) -> None:
    """Let a job run on bytes, so many, that were brought in for it."""
    desk.stage_in(f"stage_in prefix={prefix}", job_id=job_id)
    held, brought = desk.lease(prefix), int(gib * GIB)
    desk.records.leases[held.key] = replace(held, bytes_total=brought, bytes_done=brought, held_bytes=brought)
    desk.run(job_id)


def test_the_first_of_the_line_is_who_has_the_highest_priority() -> None:
    """Both fit alone and not together; the one that came later is more urgent."""
    desk = desk_with(0)
    come(desk, 1, 50, "stage_in prefix=/1/")
    come(desk, 2, 50, "stage_in prefix=/2/", priority=200)
    desk.space = SpaceView(100 * GIB, 60 * GIB)
    desk.go()

    assert restored(desk) == ["/2/"]


def test_who_fits_passes_who_does_not() -> None:
    """A small job does not wait for a large one, for which there is no room yet."""
    desk = desk_with(40)
    come(desk, 1, 80, "stage_in prefix=/1/")
    come(desk, 2, 20, "stage_in prefix=/2/")

    assert restored(desk) == ["/2/"]


def test_who_fits_beside_one_that_waited_too_long_still_passes() -> None:
    """95 GiB may be filled, and 60 are kept: 30 fit beside, and 15 more do not."""
    desk = desk_with(55)
    leave_running(desk, 9, "/0/", 45)
    come(desk, 1, 60, "stage_in prefix=/1/")
    desk.now += timedelta(minutes=31)
    come(desk, 2, 30, "stage_in prefix=/2/")
    come(desk, 3, 15, "stage_in prefix=/3/")

    assert restored(desk) == ["/2/"]
    assert desk.board(1).message == "waiting for space on amlfs: 60.0 GiB are wanted and 20.0 GiB are free"
    assert desk.board(3).message == "waiting for space on amlfs: job 1 has waited longer and keeps what it needs"


def test_who_could_not_fit_if_all_were_gone_keeps_no_room() -> None:
    """Files that no stage-in brought fill half of the file system; a job that wants more stands in nobody's way."""
    desk = desk_with(50)
    come(desk, 1, 60, "stage_in prefix=/1/")
    desk.now += timedelta(minutes=31)
    come(desk, 2, 20, "stage_in prefix=/2/")

    assert restored(desk) == ["/2/"]


def test_a_large_job_is_not_passed_for_ever() -> None:
    """Two small jobs are always there; the large one gets its turn."""
    model = Model({f"/t/{it}/0": 400 for it in range(60)} | {"/large/0": 900}, total_bytes=1000)
    model.rules = replace(model.rules, patience=timedelta(minutes=3))
    model.running_seconds = 60.0
    model.come(99, "stage_in prefix=/large/", priority=1)
    job_id = 0
    for _ in range(4000):
        if sum(where not in {"over", "held"} for where in model.phases().values()) < 4 and job_id < 60:
            model.come(job_id := job_id + 1, f"stage_in prefix=/t/{job_id - 1}/")
        model.step()
        if model.place[99] == "over":
            break

    assert model.place[99] == "over"
    assert job_id < 60


def test_what_is_only_foreseen_gives_way_last_and_only_if_that_is_enough() -> None:
    """A job that begins tomorrow keeps its inputs on Lustre as long as nobody waits for their room."""
    desk = desk_with(95)
    leave_running(desk, 3, "/a/", 60)
    desk.leave(3)
    desk.queue = [QueuedJob(9, ALICE, ("stage_in prefix=/a/",))]
    desk.space = SpaceView(100 * GIB, 10 * GIB)
    come(desk, 4, 80, "stage_in prefix=/4/")
    too_little = desk.wished(Evict)
    come(desk, 5, 40, "stage_in prefix=/5/")

    assert too_little == []
    assert desk.wish(Evict).lease.prefix == "/a/"
    assert desk.board(5).message == "waiting for space on amlfs: 40.0 GiB are wanted and 5.0 GiB are free, making room"


def test_jobs_on_two_file_systems_do_not_wait_with_half_of_what_they_need() -> None:
    """Each needs 60 GiB on both, where one fits; the first is let in on both, the other on none."""
    desk = desk_with(95, file_systems=("one", "two"))
    desk.space = None
    for job_id, systems in ((1, ("one", "two")), (2, ("two", "one"))):
        come(desk, job_id, 60, *(f"stage_in prefix=/{job_id}/ fs={it}" for it in systems))
    desk.space = SpaceView(100 * GIB, 95 * GIB)
    desk.go()

    assert sorted((it.lease.fs, it.lease.prefix) for it in desk.wished(ProveIn)) == [("one", "/1/"), ("two", "/1/")]


def test_lines_that_fit_alone_and_not_together_are_refused() -> None:
    """Each line is smaller than the file system; the job that wants both could never start."""
    desk = desk_with(95)
    desk.submit("stage_in prefix=/a/", "stage_in prefix=/b/")
    desk.go(reports=tuple(Report(it, counted(it, 3, 60 * GIB, room_bytes=100 * GIB)) for it in desk.wished(Count)))
    desk.settle()

    assert desk.stage().phase.value == "failed"
    assert f"{120 * GIB} bytes under /a/, /b/ are more than the file system amlfs can hold" in desk.board().message


@pytest.mark.parametrize(
    "lines", [("stage_in prefix=/t/a prefix=/t/c",), ("stage_in prefix=/t/a", "stage_in prefix=/t/c")]
)
def test_who_gives_way_is_staged_in_anew(lines: tuple[str, ...]) -> None:
    """The one behind loses what an earlier job left for it, also where a line of it was staged in, and ends as well."""
    model = Model({f"/t/{it}": 400 for it in "abcd"}, total_bytes=1000)
    model.running_seconds = 0.0
    model.come(1, "stage_in prefix=/t/a")
    model.come(2, "stage_in prefix=/t/b")
    model.run_all(200)
    model.come(3, *lines, priority=1)
    model.come(4, "stage_in prefix=/t/b prefix=/t/d", priority=2)
    model.run_all(400)

    evicted = [it.lease.prefix for it in model.all_errands if isinstance(it, Evict)]
    assert evicted[0] == "/t/a"
    assert model.phases() == dict.fromkeys((1, 2, 3, 4), "over")


def test_an_admin_gives_back_what_nobody_remembers() -> None:
    """After a lost database the bytes of earlier jobs are leased by nobody: their prefix can be named."""
    desk = desk_with(10)
    desk.go(replace(desk.request(RequestKind.EVICT), job_id=0, fs="amlfs", prefix="/old/", sender_uid=0))
    desk.settle()
    wish = desk.wish(Evict)
    desk.report(wish, Freed(3, 300))
    desk.settle()

    assert wish.lease.prefix == "/old/"
    assert list(desk.records.all_leases()) == []
