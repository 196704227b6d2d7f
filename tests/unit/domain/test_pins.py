"""What an admin says of leases: pinned, let go, given back; and what a living job keeps against all that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from slurm_amlfs.domain.errand import Count, Evict, ProveIn, Start
from slurm_amlfs.domain.report import Fault, Freed, Report, Trouble
from slurm_amlfs.wire import Request, RequestKind
from tests.unit.domain.desk import RULES, Desk, counted

PIN, UNPIN, EVICT = RequestKind.PIN, RequestKind.UNPIN, RequestKind.EVICT
IN = "stage_in prefix=/a/"


def say(kind: RequestKind, prefix: str = "/a/", uid: int = 0, fs: str = "amlfs") -> Request:
    """Make an operator's request, or another's."""
    return Request(kind, 0, fs=fs, prefix=prefix, sender_uid=uid)


def left_behind(*lines: str, desk: Desk | None = None) -> Desk:
    """Let a job bring data in, run, and go."""
    desk = desk or Desk()
    desk.stage_in(*(lines or (IN,)))
    desk.run()
    desk.leave()
    return desk


def prefixes(desk: Desk) -> list[str]:
    """List what is leased."""
    return sorted(it.key.prefix for it in desk.records.all_leases())


def test_a_pinned_prefix_outlives_its_time_and_is_let_go_by_unpin() -> None:
    """It stays however long nobody needs it; from the unpin on it has the time of any other."""
    desk = left_behind()
    desk.go(say(PIN))
    desk.go(after=99 * 86_400)
    desk.settle()
    assert prefixes(desk) == ["/a/"]

    desk.settle(say(UNPIN))
    assert prefixes(desk) == ["/a/"]
    desk.go(after=8 * 86_400)
    desk.settle()
    desk.evict()
    assert prefixes(desk) == []


def test_a_pin_of_what_is_not_there_brings_names_in() -> None:
    """Without any job it is counted and imported in a turn of its own; no byte is asked for, and it stays."""
    desk = Desk()
    desk.go(say(PIN))
    desk.go()
    desk.count()
    desk.start()
    desk.land()
    assert desk.lease("/a/").landed
    assert desk.wished(ProveIn) == []
    desk.go(after=99 * 86_400)
    assert desk.lease("/a/").pinned


def test_a_pin_that_cannot_be_brought_in_says_why_and_tries_again() -> None:
    """No blobs yet: the lease says so, is kept, and is counted again after a minute."""
    desk = Desk()
    desk.go(say(PIN))
    desk.go()
    desk.count(0)
    assert "no blobs under /a/" in desk.lease("/a/").message
    desk.go(after=61)
    assert desk.wish(Count).lease.prefix == "/a/"


def test_a_pinned_overwrite_waits_for_a_job() -> None:
    """Nobody says for a pin that files may be replaced: without a job it is not imported, and it stays."""
    desk = Desk()
    desk.submit(f"{IN} conflict=overwrite-always")
    desk.count()
    desk.go(say(PIN))
    desk.leave(job_state="CANCELLED")
    desk.imports = {}
    desk.go(after=120)
    desk.settle()
    assert desk.wished(Start) == desk.wished(Count) == []
    assert desk.lease("/a/").pinned


@pytest.mark.parametrize(("uid", "fs"), [(61001, "amlfs"), (0, "other")])
def test_what_is_not_an_operators_to_say_is_passed_over(uid: int, fs: str) -> None:
    """Another user's word, or one about a file system that is not ours, changes nothing, and the log says so."""
    desk = left_behind()
    for kind in (PIN, UNPIN, EVICT):
        decision = desk.go(say(kind, uid=uid, fs=fs))
        assert [it.word for it in decision.remarks] == ["passed-over"]
        assert desk.wished(Evict) == desk.wished(Count) == []
    assert not desk.lease("/a/").pinned


def test_evict_gives_the_bytes_of_an_idle_lease_back() -> None:
    """The wish is repeated until it is done; then the lease is only names, and nothing more is wished for."""
    desk = left_behind()
    assert desk.lease("/a/").held_bytes == 300
    desk.go(say(EVICT))
    desk.go()
    errand = desk.wish(Evict)
    desk.report(errand, Freed(3, 300))
    desk.settle()
    assert desk.wished(Evict) == []
    assert (desk.lease("/a/").held_bytes, desk.lease("/a/").whole) == (0, False)


@pytest.mark.parametrize("need", [IN, "stage_in prefix=/a/x/", "stage_out prefix=/jobs/", "stage_in prefix=/"])
def test_evict_refuses_what_a_living_job_needs(need: str) -> None:
    """Whatever way a job needs some of the files, nothing is released, and the log says by whom they are needed."""
    where = "/jobs/" if "out" in need else "/a/"
    desk = left_behind(f"stage_in prefix={where}")
    desk.submit(need, job_id=8)
    decision = desk.go(say(EVICT, where))
    assert [it.detail for it in decision.remarks] == [f"amlfs {where}: needed by job 8"]
    for _ in range(5):
        desk.go()
        assert desk.wished(Evict) == []


def test_evict_spares_a_pinned_prefix_inside() -> None:
    """What lies under the pinned one is not released, and its lease stays proved."""
    desk = left_behind()
    left_behind("stage_in prefix=/a/x/ conflict=fail", desk=desk)
    desk.go(say(PIN, "/a/x/"))
    desk.go(say(EVICT))
    desk.go()
    assert "/a/x/" in desk.wish(Evict).spare
    assert desk.lease("/a/x/").held_bytes


def test_a_pinned_lease_is_not_evicted() -> None:
    """Neither by an admin's word nor to make room."""
    desk = left_behind()
    desk.go(say(PIN))
    decision = desk.go(say(EVICT))
    assert [it.detail for it in decision.remarks] == ["amlfs /a/: pinned"]
    desk.go()
    assert desk.wished(Evict) == []


def test_a_lease_that_fails_for_some_stays_for_those_who_run() -> None:
    """One job runs on it; another's new ask finds its blobs gone, and fails; the lease is still there for the first."""
    desk = Desk()
    desk.stage_in(IN)
    desk.run()
    held = desk.lease("/a/")
    desk.records = replace(desk.records, leases={held.key: replace(held.begun_anew(desk.now), parts=())})
    desk.submit(IN, job_id=8)
    desk.go(reports=tuple(Report(it, counted(it, 0)) for it in desk.wished(Count)))
    desk.settle()
    assert desk.stage(8).phase.value == "failed"
    assert prefixes(desk) == ["/a/"]


def test_a_lease_that_serves_a_part_of_it_is_kept_for_it() -> None:
    """A job that was let in by a proved lease of a folder above needs that one, for longer than idle ones are kept."""
    desk = Desk(replace(RULES, keep_lease=timedelta(hours=1), most_leases=1))
    desk.stage_in(IN)
    held = desk.lease("/a/")
    desk.records = replace(desk.records, leases={held.key: replace(held, took=timedelta(seconds=60))})
    desk.submit("stage_in prefix=/a/x/", job_id=8)
    desk.settle()
    assert prefixes(desk) == ["/a/"]
    desk.run(8)
    desk.leave(7)
    for _ in range(2):
        desk.go(after=4000)
        desk.settle()
    assert prefixes(desk) == ["/a/"]

    desk.leave(8)
    desk.go(after=4000)
    desk.settle()
    assert desk.wish(Evict).lease.prefix == "/a/"
    desk.evict()
    assert prefixes(desk) == []


def test_needed_files_at_rest_are_not_forgotten() -> None:
    """A lease that no job shares, but whose files a job exports, is kept, however many may be remembered."""
    desk = Desk(replace(RULES, keep_lease=timedelta(hours=1), most_leases=1))
    left_behind("stage_in prefix=/jobs/", "stage_in prefix=/b/", desk=desk)
    desk.submit("stage_out prefix=/jobs/7/", job_id=9)
    desk.run(9)
    desk.go(after=4000)
    desk.settle()
    desk.evict()
    assert prefixes(desk) == ["/jobs/"]


def test_what_can_never_be_given_back_is_forgotten_all_the_same() -> None:
    """After as many tries as a stage has; else they would be made for ever."""
    desk = left_behind(desk=Desk(replace(RULES, keep_lease=timedelta(hours=1))))
    desk.go(after=4000)
    desk.settle()
    for _ in range(RULES.attempts):
        assert prefixes(desk) == ["/a/"]
        desk.report(desk.wish(Evict), Trouble(Fault.PERMANENT, "no right"))
        desk.go(after=120)
        desk.settle()

    assert desk.wished(Evict) == []
    assert prefixes(desk) == []
