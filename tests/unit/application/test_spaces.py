"""When the room on a file system is looked at, and that Slurm's pools follow the looks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.application.spaces import Spaces
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.capacity import Pool
from slurm_amlfs.domain.lease import Lease, LeaseKey, Part
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.world import FsRules
from slurm_amlfs.errors import TemporaryError
from tests.fakes.arm import FakeArm
from tests.fakes.pools import FakePools
from tests.unit.application.loop_site import RULES
from tests.unit.domain.desk import NOON

GIB = 1 << 30
LEASE = Lease(
    LeaseKey("amlfs", "/a/", Conflict.SKIP, 0), NOON, NOON, counted=NOON, parts=(Part("/a/", 1, GIB, imported=NOON),)
)
WAITING = Records(leases={LEASE.key: LEASE})


class Room:
    """Spaces over a fake file system of 100 GiB."""

    def __init__(self, pools: FakePools | None) -> None:
        self.arm = FakeArm()
        self.arm.lustre.total_bytes = 100 * GIB
        self.fs = FileSystem(self.arm, self.arm.blobs, self.arm.lustre, Namespace.FLAT)
        self.spaces = Spaces(RULES, pools)

    def due(self, seconds: float) -> list[str]:
        """Say where to look after so many seconds."""
        return self.spaces.due(NOON + timedelta(seconds=seconds))

    def look(self, seconds: float, records: Records) -> bool:
        """Look, put the answer in place, and tell Slurm; say whether the look asks for a pass."""
        news = self.spaces.begin("amlfs", self.fs, NOON + timedelta(seconds=seconds))()()
        self.spaces.tell(records, ())
        return news


def test_without_pools_nobody_looks_for_nobody() -> None:
    """A look is made where bytes may have to be restored, every ten seconds, and nowhere else."""
    room = Room(None)
    assert room.due(0) == []
    room.spaces.plan(WAITING)
    assert room.due(0) == ["amlfs"]
    assert room.look(0, WAITING)
    assert room.spaces.known["amlfs"].total_bytes == 100 * GIB
    assert [room.due(seconds) for seconds in (9, 10)] == [[], ["amlfs"]]


def test_what_was_seen_where_nobody_waits_is_forgotten() -> None:
    """A pass never counts on an old look."""
    for pools in (None, FakePools()):
        room = Room(pools)
        room.spaces.plan(WAITING)
        room.look(0, WAITING)
        room.spaces.plan(Records())
        assert room.spaces.known == {}
        room.spaces.plan(WAITING)
        assert room.due(1) == ["amlfs"]


def test_a_look_that_fails_says_why_once() -> None:
    """Whoever waits for room is told, by a pass that the news asks for; nothing of it stays when it works again."""
    room = Room(None)
    room.spaces.plan(WAITING)
    well = room.look(0, WAITING)
    room.arm.lustre.is_mounted = False
    failed = [room.look(seconds, WAITING) for seconds in (10, 20)]
    known, troubles = dict(room.spaces.known), dict(room.spaces.troubles)
    room.arm.lustre.is_mounted = True
    again = room.look(30, WAITING)

    assert (well, failed, again) == (True, [True, False], True)
    assert known == {}
    assert troubles["amlfs"].startswith("the file system amlfs is not mounted on the daemon's host; mount it")
    assert room.spaces.troubles == {}
    room.arm.lustre.is_mounted = False
    room.look(40, WAITING)
    room.spaces.plan(Records())
    assert room.spaces.troubles == {}


def test_with_pools_there_is_a_slow_look_at_all() -> None:
    """Every half minute, as often as Slurm asks; it makes no pass, and no pass counts on it."""
    pools = FakePools()
    room = Room(pools)
    assert room.due(0) == ["amlfs"]
    assert not room.look(0, Records())
    assert room.spaces.known == {}
    assert pools.pools == (Pool("amlfs", 95, 95),)
    assert [room.due(seconds) for seconds in (29, 30)] == [[], ["amlfs"]]
    room.spaces.plan(WAITING)
    assert room.due(1) == ["amlfs"]


def test_only_news_is_written() -> None:
    """The file changes with the figures and not with the looks; one that somebody removed comes again."""
    pools = FakePools()
    room = Room(pools)
    for _ in range(3):
        room.look(0, Records())
    assert pools.posts == 1
    room.look(0, Records(leases={LEASE.key: replace(LEASE, let_in=True, bytes_total=3 * GIB)}))
    assert (pools.posts, pools.pools) == (2, (Pool("amlfs", 95, 92),))
    pools.remove()
    room.spaces.tell(Records(), ())
    assert pools.pools == ()
    room.look(0, Records())
    assert pools.pools == (Pool("amlfs", 95, 95),)


def test_a_mount_that_is_gone_keeps_its_figures() -> None:
    """Also over a start of the daemon: a pool that vanished would have no space at all for Slurm."""
    pools = FakePools()
    pools.pools = (Pool("other", 9, 9), Pool("amlfs", 95, 40))
    room = Room(pools)
    room.arm.lustre.is_mounted = False
    room.look(0, Records())
    assert pools.posts == 0
    rules = replace(RULES, file_systems={**RULES.file_systems, "two": FsRules("two", "/two", Namespace.FLAT)})
    room.spaces = Spaces(rules, pools)
    room.spaces.begin("two", replace(room.fs, lustre=FakeArm().lustre), NOON)()()
    room.spaces.tell(Records(), ())
    assert [it.name for it in pools.pools] == ["amlfs", "two"]
    assert pools.pools[0] == Pool("amlfs", 95, 40)


def test_a_full_disk_stops_nothing() -> None:
    """Slurm goes on with the figures it has, and the next look tries again."""
    pools = FakePools()
    pools.faults.append(TemporaryError("no room"))
    room = Room(pools)
    room.look(0, Records())
    assert pools.pools == ()
    room.look(0, Records())
    assert pools.pools == (Pool("amlfs", 95, 95),)
