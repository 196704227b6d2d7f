"""An eviction goes on slice by slice: as long as it is wanted, with what is to be spared by then, one at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_amlfs.domain.errand import Evict, ProveIn, key_of
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Freed, Report
from slurm_amlfs.domain.view import ImportState, SpaceView
from slurm_amlfs.domain.world import FsRules
from slurm_amlfs.wire import Request, RequestKind
from tests.unit.domain.desk import RULES, Desk

GIB = 1 << 30
SOME = Freed(1, 100, settled=False)


def evict(prefix: str) -> Request:
    """Let an operator ask for the bytes of a prefix."""
    return Request(RequestKind.EVICT, 0, fs="amlfs", prefix=prefix, sender_uid=0)


def left_behind(desk: Desk, *prefixes: str, fs: str = "amlfs") -> None:
    """Let jobs bring prefixes of 300 bytes in, and go."""
    for number, prefix in enumerate(prefixes, start=len(desk.records.jobs) + 1):
        desk.stage_in(f"stage_in prefix={prefix} fs={fs}", job_id=number)
        desk.run(number)
        desk.leave(number)


def short_of_room() -> Desk:
    """Let a job wait for the room of what an earlier one has left."""
    desk = Desk()
    left_behind(desk, "/a/")
    desk.space = SpaceView(100 * GIB, 20 * GIB)
    desk.submit("stage_in prefix=/b/", job_id=9)
    desk.count(total_bytes=41 * GIB)
    desk.start()
    desk.land()
    return desk


def test_it_goes_on_with_what_is_to_be_spared_by_then() -> None:
    """Each slice is told, and takes as much from what the lease is known to hold; at its end nothing is left."""
    desk = short_of_room()
    held = []
    for _ in range(4):
        held.append(desk.lease("/a/").held_bytes)
        desk.report(desk.wish(Evict), SOME)
    held.append(desk.lease("/a/").held_bytes)
    desk.report(desk.wish(Evict), Freed(0, 0))

    # It held more than was known.
    assert held == [300, 200, 100, 1, 1]
    assert desk.lease("/a/").held_bytes == 0
    assert desk.wished(Evict) == []


def test_what_is_pinned_between_two_slices_is_spared() -> None:
    """An admin pinned a part of it."""
    desk = Desk()
    left_behind(desk, "/a/", "/a/x/")
    desk.go(evict("/a/"))
    desk.go()
    first = desk.wish(Evict)
    desk.go(Request(RequestKind.PIN, 0, fs="amlfs", prefix="/a/x/", sender_uid=0))
    desk.report(first, SOME)

    assert (first.spare, desk.wish(Evict).spare) == ((), ("/a/x/",))
    assert desk.lease("/a/x/").held_bytes == 300


def test_it_ends_when_somebody_needs_the_lease() -> None:
    """He waits for one slice, and not for the end of all; what was given back is not taken to be there."""
    desk = short_of_room()
    errand = desk.wish(Evict)
    desk.running = {key_of(errand)}
    desk.submit("stage_in prefix=/a/", job_id=10)
    desk.settle()
    meanwhile = desk.wished(ProveIn)
    desk.running = set()
    desk.space = SpaceView(100 * GIB, 80 * GIB)
    desk.report(errand, SOME)
    desk.settle()

    assert [it for it in meanwhile if it.lease.prefix == "/a/"] == []
    assert {it.lease.prefix for it in desk.wished(ProveIn)} == {"/a/", "/b/"}
    assert desk.wished(Evict) == []
    assert desk.lease("/a/").held_bytes == 200


def test_it_ends_when_there_is_room_enough() -> None:
    """What is left stays on Lustre, and is known to be there."""
    desk = short_of_room()
    errand = desk.wish(Evict)
    desk.space = SpaceView(100 * GIB, 60 * GIB)
    desk.report(errand, SOME)

    assert desk.wished(Evict) == []
    assert desk.wish(ProveIn).lease.prefix == "/b/"
    assert desk.lease("/a/").held_bytes == 200


def test_what_takes_it_in_holds_so_much_less() -> None:
    """And what it takes in is not known to hold what may have been its own."""
    desk = Desk()
    left_behind(desk, "/a/", "/a/x/", "/a/x/y/")
    desk.go(evict("/a/x/"))
    desk.go()
    desk.report(desk.wish(Evict), SOME)
    some = [desk.lease(it).held_bytes for it in ("/a/", "/a/x/", "/a/x/y/")]
    desk.report(desk.wish(Evict), Freed(2, 200))

    assert some == [200, 200, 200]
    assert [desk.lease(it).held_bytes for it in ("/a/", "/a/x/", "/a/x/y/")] == [0, 0, 0]


def test_on_each_file_system_one_lease_gives_its_bytes_back_at_a_time() -> None:
    """Whoever asks for it; what is under way goes on before another begins."""
    systems = {name: FsRules(name, f"/{name}", Namespace.FLAT) for name in ("amlfs", "two")}
    desk = Desk(replace(RULES, file_systems=systems))
    left_behind(desk, "/a/", "/b/")
    left_behind(desk, "/c/", fs="two")
    desk.go(evict("/a/"), evict("/b/"), replace(evict("/c/"), fs="two"))
    desk.go()
    first = {it.lease.fs: it for it in desk.wished(Evict)}
    desk.running = {key_of(it) for it in first.values()}
    desk.go()
    running = {it.lease for it in desk.wished(Evict)}
    desk.running = {key_of(first["two"])}
    desk.go(reports=(Report(first["amlfs"], SOME),))
    again = {it.lease for it in desk.wished(Evict)}
    desk.report(first["amlfs"], Freed(2, 200))
    then = {it.lease.prefix for it in desk.wished(Evict) if it.lease.fs == "amlfs"}

    assert {it.lease.prefix for it in first.values()} == {"/a/", "/c/"}
    assert running == again == {it.lease for it in first.values()}
    assert then == {"/b/"}


@pytest.mark.parametrize("settled", [True, False])
def test_an_admins_wish_lasts_until_all_is_given_back(settled: bool) -> None:  # noqa: FBT001 - a parameter
    """And no longer."""
    desk = Desk()
    left_behind(desk, "/a/")
    desk.go(evict("/a/"))
    desk.go()
    desk.report(desk.wish(Evict), replace(SOME, settled=settled))
    desk.settle()

    assert desk.lease("/a/").leaving is not settled
    assert bool(desk.wished(Evict)) is not settled


def test_what_is_under_way_is_not_joined_by_another() -> None:
    """It is an earlier wish for the other of the two."""
    desk = Desk()
    left_behind(desk, "/a/", "/b/")
    desk.running = {f"evict {desk.lease('/b/').key}"}
    desk.go(evict("/a/"), evict("/b/"))
    desk.go()

    assert desk.wish(Evict).lease.prefix == "/b/"


def test_what_is_to_go_anyway_makes_room_first() -> None:
    """Before what was needed longer ago."""
    desk = Desk()
    left_behind(desk, "/a/", "/c/")
    desk.space = SpaceView(100 * GIB, 20 * GIB)
    desk.submit("stage_in prefix=/b/", job_id=9)
    desk.count(total_bytes=41 * GIB)
    desk.start()
    desk.show_transfer(desk.transfer(), ImportState.COMPLETED)
    desk.go(evict("/c/"))

    assert {it.lease.prefix for it in desk.wished(Evict)} == {"/c/"}
