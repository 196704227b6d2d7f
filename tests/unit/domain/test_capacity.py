"""What fits, what waits, and what gives way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.ask import Hydrate
from slurm_amlfs.domain.errand import Count, Evict, ProveIn
from slurm_amlfs.domain.ledger import nested_bytes
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Fault, Freed, Report, Trouble
from slurm_amlfs.domain.view import QueuedJob, SpaceView
from tests.unit.domain.desk import ALICE, RULES, Desk, counted, looked_at
from tests.unit.domain.model import Model

GIB = 1 << 30


def room(total_gib: float, free_gib: float) -> SpaceView:
    """Make a look at the space."""
    return SpaceView(int(total_gib * GIB), int(free_gib * GIB))


def landed(desk: Desk, gib: float, *lines: str, job_id: int = 7, there: bool = True) -> None:
    """Bring a job to where its names are there, and its bytes, so many of each prefix, are wanted."""
    desk.submit(*lines, job_id=job_id)
    desk.count(total_bytes=int(gib * GIB), there=there)
    desk.settle()


def test_an_unknown_space_waits() -> None:
    """Nothing is restored before the free space was looked at; then it goes on."""
    desk = Desk()
    desk.space = None
    landed(desk, 1, "stage_in prefix=/a/")
    held, said = desk.wished(ProveIn), desk.board().message
    desk.space = room(100, 50)
    desk.go()

    assert held == []
    assert said == "waiting for a look at the free space"
    assert desk.wish(ProveIn).lease.prefix == "/a/"


def test_a_space_that_cannot_be_looked_at_says_why() -> None:
    """Nothing else touches Lustre for a job that was not let in, so nothing else would tell that it is gone."""
    desk = Desk()
    desk.space = None
    landed(desk, 1, "stage_in prefix=/a/")
    desk.trouble = "ARM does not answer"
    desk.spaceless = {"amlfs": "it is not mounted; mount it"}
    desk.settle()
    gone = desk.board().message
    desk.space, desk.spaceless = room(100, 50), {}
    desk.settle()

    assert gone == "waiting for a look at the free space: it is not mounted; mount it"
    assert desk.board().message == ""


def test_who_waits_for_space_says_how_much_is_wanted_and_free() -> None:
    """The reserve is not free; names alone want no room."""
    desk = Desk()
    desk.space = room(100, 45)
    landed(desk, 41, "stage_in prefix=/a/")
    landed(desk, 41, "stage_in prefix=/b/ hydrate=none", job_id=8)
    said = desk.board().message
    wished = desk.wished(ProveIn)
    desk.space = room(100, 46)
    desk.go()

    assert said == "waiting for space on amlfs: 41.0 GiB are wanted and 40.0 GiB are free"
    assert [it.lease.prefix for it in wished] == ["/b/"]
    assert [it.lease.prefix for it in desk.wished(ProveIn)] == ["/a/", "/b/"]


def test_who_wants_names_only_does_not_wait_for_the_room_of_another() -> None:
    """Both ride on one lease; the names are proved first, and the bytes when there is room."""
    desk = Desk()
    desk.space = room(100, 45)
    landed(desk, 41, "stage_in prefix=/a/")
    landed(desk, 41, "stage_in prefix=/a/ hydrate=none", job_id=8)
    names = desk.wish(ProveIn).hydrate
    desk.prove()
    phases = [desk.stage(it).phase.value for it in (7, 8)]
    desk.space = room(100, 46)
    desk.go()

    assert names is Hydrate.NONE
    assert phases == ["restoring", "staged_in"]
    assert desk.wish(ProveIn).hydrate is Hydrate.ALL


def test_names_that_were_proved_are_no_bytes_that_were_written() -> None:
    """Who is let in after names alone were proved still has all to be written, and nobody else gets that room."""
    desk = Desk()
    desk.space = room(100, 55)
    landed(desk, 41, "stage_in prefix=/a/ hydrate=none")
    desk.prove(looked_at(total_bytes=41 * GIB, bytes_done=41 * GIB))
    desk.submit("stage_in prefix=/a/", job_id=8)
    desk.settle()
    landed(desk, 30, "stage_in prefix=/b/", job_id=9)

    assert [it.lease.prefix for it in desk.wished(ProveIn)] == ["/a/"]
    assert desk.board(9).message == "waiting for space on amlfs: 30.0 GiB are wanted and 9.0 GiB are free"


def test_what_gave_its_bytes_back_is_promised_them_anew() -> None:
    """A lease that is let in again still has all to be written, whatever it had before."""
    desk = Desk()
    desk.space = room(100, 95)
    desk.stage_in("stage_in prefix=/a/", job_id=3)
    held = desk.lease("/a/")
    desk.records.leases[held.key] = replace(held, bytes_total=41 * GIB, bytes_done=41 * GIB, held_bytes=41 * GIB)
    desk.run(3)
    desk.leave(3)
    desk.space = room(100, 20)
    landed(desk, 41, "stage_in prefix=/b/")
    desk.report(desk.wish(Evict), Freed(3, 41 * GIB))
    desk.space = room(100, 50)
    desk.submit("stage_in prefix=/a/", job_id=8)
    desk.settle()

    assert [it.lease.prefix for it in desk.wished(ProveIn) if it.hydrate is Hydrate.ALL] in (["/a/"], ["/b/"])


def test_what_was_let_in_and_is_not_written_yet_is_not_free() -> None:
    """The second of two that fit each by itself waits, and counts what the first has written by now."""
    desk = Desk()
    desk.space = room(100, 65)
    landed(desk, 40, "stage_in prefix=/a/")
    landed(desk, 21, "stage_in prefix=/b/", job_id=8)
    said = desk.board(8).message
    [errand] = desk.wished(ProveIn)
    desk.space = room(100, 25)
    desk.report(errand, looked_at(files_done=2, bytes_done=40 * GIB, total_bytes=40 * GIB, settled=False))
    half = desk.board(8).message
    desk.space = room(100, 26)
    desk.go()

    assert errand.lease.prefix == "/a/"
    assert said == "waiting for space on amlfs: 21.0 GiB are wanted and 20.0 GiB are free"
    assert half == said
    assert [it.lease.prefix for it in desk.wished(ProveIn)] == ["/a/", "/b/"]


@pytest.mark.parametrize("gib", [96, 101])
def test_what_can_never_be_let_in_is_refused_and_does_not_wait(gib: int) -> None:
    """More than the file system holds without its reserve: the user is told at once."""
    desk = Desk()
    desk.space = room(100, 99)
    desk.submit("stage_in prefix=/a/")
    desk.go(reports=tuple(
        Report(it, counted(it, 3, gib * GIB, room_bytes=100 * GIB)) for it in desk.wished(Count)
    ))  # fmt: skip

    assert desk.stage().phase.value == "failed"
    assert desk.board().message.startswith(f"{gib * GIB} bytes under /a/ are more than the file system amlfs can hold")


def test_jobs_do_not_wait_for_each_other_with_half_of_what_they_need() -> None:
    """Two jobs of two lines each, of which only two fit: one job is let in whole, and the other after it."""
    model = Model({f"/t/{it}": 400 for it in "abcd"}, total_bytes=1000)
    model.come(1, "stage_in prefix=/t/a", "stage_in prefix=/t/d max_errors=0")
    model.come(2, "stage_in prefix=/t/b", "stage_in prefix=/t/c max_errors=0")
    model.run_all(600)

    assert model.phases() == {1: "over", 2: "over"}


def test_jobs_do_not_wait_for_ever_on_what_earlier_jobs_left_for_each_of_them() -> None:
    """Two jobs find half of what they need there, and there is room for neither other half unless one gives way."""
    model = Model({f"/t/{it}": 400 for it in "abcd"}, total_bytes=1000)
    model.running_seconds = 0.0
    model.come(1, "stage_in prefix=/t/a")
    model.come(2, "stage_in prefix=/t/b")
    model.run_all(200)
    model.come(3, *(f"stage_in prefix={it}" for it in ("/t/a", "/t/c")))
    model.come(4, "stage_in prefix=/t/b prefix=/t/d")
    model.run_all(400)

    assert model.phases() == dict.fromkeys((1, 2, 3, 4), "over")


@pytest.mark.parametrize("first", ["/t/", "/t/a"])
def test_bytes_that_two_leases_share_have_to_fit_once(first: str) -> None:
    """Whoever comes second while the first one's bytes are written waits for no second room."""
    model = Model({"/t/a": 300, "/t/b": 300}, total_bytes=700)
    model.running_seconds = 500.0
    model.come(1, f"stage_in prefix={first}")
    model.step()
    model.come(2, f"stage_in prefix={'/t/a' if first == '/t/' else '/t/'}")
    model.run_all(600)

    assert model.phases() == {1: "over", 2: "over"}


@pytest.mark.parametrize("trouble", [Trouble(Fault.TEMPORARY, "not mounted"), None])
def test_an_eviction_that_came_to_nothing_is_tried_again(trouble: Trouble | None) -> None:
    """It failed, or the daemon died before it; the bytes are still there, and somebody waits for their room."""
    desk = Desk()
    desk.space = room(100, 95)
    desk.stage_in("stage_in prefix=/a/", job_id=3)
    desk.run(3)
    desk.leave(3)
    desk.space = room(100, 20)
    landed(desk, 41, "stage_in prefix=/b/")
    first = desk.wish(Evict)
    if trouble is not None:
        desk.report(first, trouble)
    desk.go(after=120)

    assert first.lease.prefix == "/a/"
    assert desk.wish(Evict) == first


def test_the_bytes_that_were_needed_longest_ago_give_way() -> None:
    """What counts is when a job last needed them, not when they came: one that ran for long ended last."""
    desk = Desk()
    desk.space = room(100, 95)
    for job_id, prefix in ((1, "/a/"), (2, "/b/")):
        desk.stage_in(f"stage_in prefix={prefix}", job_id=job_id)
        desk.run(job_id)
    desk.now += timedelta(minutes=30)
    desk.leave(2)
    desk.now += timedelta(minutes=30)
    desk.leave(1)
    desk.space = room(100, 20)
    landed(desk, 41, "stage_in prefix=/c/")

    assert desk.wish(Evict).lease.prefix == "/b/"


def test_nothing_gives_way_that_is_pinned_or_foreseen() -> None:
    """Then it waits, and does not say that it makes room."""
    desk = Desk()
    desk.space = room(100, 95)
    for job_id, prefix in ((1, "/a/"), (2, "/b/x/")):
        desk.stage_in(f"stage_in prefix={prefix}", job_id=job_id)
        held = desk.lease(prefix)
        desk.records.leases[held.key] = replace(held, pinned=prefix == "/a/")
        desk.run(job_id)
        desk.leave(job_id)
    desk.queue = [QueuedJob(9, ALICE, ("stage_in prefix=/b/",))]
    desk.space = room(100, 20)
    landed(desk, 41, "stage_in prefix=/c/")

    assert desk.wished(Evict) == []
    assert desk.board().message == "waiting for space on amlfs: 41.0 GiB are wanted and 15.0 GiB are free"
    assert RULES.reserve == 0.05


def test_who_is_laid_to_rest_in_the_pass_that_takes_a_part_of_it_is_not_believed_any_more() -> None:
    """A job that comes next has all of it proved again."""
    desk = Desk()
    desk.space = room(100, 95)
    for job_id, prefix in ((1, "/a/x/"), (2, "/a/")):
        desk.stage_in(f"stage_in prefix={prefix}", job_id=job_id)
        desk.run(job_id)
    desk.leave(1)
    desk.space = room(100, 20)
    landed(desk, 41, "stage_in prefix=/c/")
    before = desk.wished(Evict)
    desk.show("COMPLETED", 2)
    desk.go()

    assert before == []
    assert desk.wish(Evict).lease.prefix == "/a/x/"
    assert (desk.lease("/a/").proved, desk.lease("/a/").let_in) == (None, False)


@pytest.mark.parametrize("namespace", Namespace)
def test_what_a_prefix_takes_in_is_counted_once(namespace: Namespace) -> None:
    """Of a prefix its own bytes, or those of what it takes in; a longer name beside it is somebody else's."""
    sizes = {"/a/": 100, "/a/x/": 70, "/a/y/": 50, "/a/y/z/": 60, "/b": 5, "/b/c/": 3, "/b2/": 7}

    assert nested_bytes(namespace, sizes) == 130 + (10 if namespace is Namespace.FLAT else 12)
