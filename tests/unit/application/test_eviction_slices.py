from __future__ import annotations

from datetime import timedelta

from slurm_amlfs.application.performing import FileSystem, Performer
from slurm_amlfs.application.spaces import Spaces
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.errand import Evict
from slurm_amlfs.domain.lease import Lease, LeaseKey, Part
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.report import Fault, Freed, Report, Result, Trouble
from slurm_amlfs.domain.view import HsmState
from tests.fakes.arm import FakeArm
from tests.fakes.slurm import FakeSlurm
from tests.unit.application.loop_site import RULES
from tests.unit.domain.desk import NOON

LEASE = LeaseKey("amlfs", "/a/", Conflict.SKIP, 1000)
FILES = 1500


class Slow:
    """A performer for which a second goes by with nearly each batch, on 1,500 proved files of 5 bytes."""

    def __init__(self) -> None:
        self.arm = FakeArm()
        for number in range(FILES):
            self.arm.blobs.put(f"a/{number:04}", 5)
            self.arm.lustre.write(f"/a/{number:04}", 5)
            self.arm.lustre.mark_archived(f"/a/{number:04}")
        self.seconds = 0.0
        fs = FileSystem(self.arm, self.arm.blobs, self.arm.lustre, Namespace.FLAT)
        self.performer = Performer({"amlfs": fs}, FakeSlurm(), 10, clock=self.clock)

    def clock(self) -> float:
        """Let time go by."""
        self.seconds += 0.6
        return self.seconds

    def evict(self, *spare: str) -> Freed:
        """Let a slice of the eviction be done, after a pass."""
        self.performer.keep((), (), ())
        report = self.performer.perform(Evict(LEASE, 0, spare))
        assert isinstance(report.result, Freed)
        return report.result

    def until(self, *, settled: bool, spare: tuple[str, ...] = ()) -> list[Freed]:
        """Go on until it is over, or until something was given back."""
        found = [self.evict(*spare)]
        while not (found[-1].settled or (found[-1].files and not settled)):
            found.append(self.evict(*spare))
        return found

    def released(self) -> int:
        """Count what is released."""
        return sum(bool(it & HsmState.RELEASED) for it in self.arm.lustre.states.values())


def test_each_slice_tells_what_it_gave_back_itself() -> None:
    """Together they give all back."""
    slow = Slow()
    found = slow.until(settled=True)

    assert len(found) > 3
    assert max(it.files for it in found) < FILES
    assert sum(it.files for it in found) == slow.released() == FILES
    assert sum(it.freed_bytes for it in found) == FILES * 5


def test_what_is_needed_between_two_slices_is_spared() -> None:
    """It does not begin again for that."""
    slow = Slow()
    first = slow.until(settled=False)
    given_back = slow.released()
    then = slow.until(settled=True, spare=("/a/",))

    assert 0 < given_back < FILES
    assert slow.released() == given_back
    assert then[-1].needed == FILES - given_back
    assert not first[-1].settled


def test_one_that_stood_still_for_long_is_begun_anew() -> None:
    """What it had listed may be gone from Blob by now, and stays on Lustre then."""
    slow = Slow()
    slow.until(settled=False)
    given_back = slow.released()
    slow.seconds += 60
    slow.arm.blobs.by_name.clear()
    found = slow.until(settled=True)

    assert slow.released() == given_back < FILES
    assert found[-1].unproved == FILES - given_back


def known(result: Result) -> tuple[bool, bool]:
    """Say whether the room is known after a report of an eviction, and is looked at again at once."""
    lease = Lease(LEASE, NOON, NOON, counted=NOON, parts=(Part("/a/", 1, 1, imported=NOON),))
    arm = FakeArm()
    spaces = Spaces(RULES, None)
    spaces.plan(Records(leases={LEASE: lease}))
    spaces.begin("amlfs", FileSystem(arm, arm.blobs, arm.lustre, Namespace.FLAT), NOON)()()
    spaces.hear(Report(Evict(LEASE, 0, ()), result))
    return "amlfs" in spaces.known, bool(spaces.due(NOON + timedelta(seconds=1)))


def test_the_room_is_looked_at_as_something_is_given_back() -> None:
    """What is known is kept as long as it goes on, and nothing else gives way; at its end it is forgotten."""
    assert known(Freed(0, 0, settled=False)) == (True, False)
    assert known(Freed(1, 5, settled=False)) == (True, True)
    assert known(Freed(0, 0)) == (False, True)
    assert known(Trouble(Fault.TEMPORARY, "not mounted")) == (False, True)
