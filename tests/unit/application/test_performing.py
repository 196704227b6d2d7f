from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from slurm_amlfs.application import performing
from slurm_amlfs.application.performing import FileSystem, Performer
from slurm_amlfs.domain.ask import Conflict, Direction, Hydrate
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.errand import (
    ArchiveFiles,
    Clear,
    Comment,
    Count,
    DropReceipt,
    Errand,
    Evict,
    Free,
    Probe,
    ProveIn,
    ProveOut,
    Start,
    Stop,
    WriteReceipt,
)
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import StageKey, Transfer, TransferKind
from slurm_amlfs.domain.report import Archived, Counted, Done, Examined, Fault, Freed, Probed, Started, Trouble
from slurm_amlfs.domain.view import BlobView, HsmState, ImportState, JobView
from slurm_amlfs.errors import PermanentError, TemporaryError, ThrottledError
from tests.fakes.arm import FakeArm
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre
from tests.fakes.slurm import FakeSlurm

LEASE = LeaseKey("amlfs", "/a/", Conflict.SKIP, 1000)
OUT = StageKey(7, Direction.OUT, 0)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
IMPORT = Transfer("amlfs-7-x", "amlfs", TransferKind.IMPORT, ("/a/",), NOW, leases=(LEASE,))
ARCHIVE = Transfer("archive-7-x", "amlfs", TransferKind.ARCHIVE, ("/jobs/7/",), NOW, stages=(OUT,))
COUNT = Count(LEASE, 0, 1000, whole=True)
PROVE = ProveIn(LEASE, 0, Hydrate.ALL, None)
RECEIPT = WriteReceipt(7, 0, 61001, 61001, ("amlfs",), "AMLFS_MOUNT=/lustre\n")

PROVE_OUT = ProveOut(OUT, 0, "amlfs", ("/jobs/7/",))
FREE = Free(OUT, 0, "amlfs", ("/jobs/7/",), ())
ARCHIVE_FILES = ArchiveFiles(OUT, 0, "amlfs", ("/jobs/7/",))
ON_LUSTRE = (
    *(PROVE, COUNT, Probe(LEASE, 0), Evict(LEASE, 0, ()), RECEIPT, DropReceipt(7, ("amlfs",))),
    *(PROVE_OUT, ARCHIVE_FILES, FREE),
)


class World:
    """The fakes, and a performer on them."""

    def __init__(self, namespace: Namespace = Namespace.FLAT, window: int = 10, blobs: FakeBlobs | None = None) -> None:
        self.arm = FakeArm(blobs or FakeBlobs(), FakeLustre(total_bytes=1000))
        self.blobs, self.lustre, self.slurm = self.arm.blobs, self.arm.lustre, FakeSlurm()
        file_system = FileSystem(self.arm, self.blobs, self.lustre, namespace)
        self.performer = Performer({"amlfs": file_system}, self.slurm, window, archive_window=window)

    def do(self, errand: Errand) -> object:
        """Do an errand; give its result."""
        report = self.performer.perform(errand)
        assert report.errand is errand
        return report.result


def of(prefix: str, conflict: Conflict = Conflict.SKIP) -> LeaseKey:
    """Name another lease."""
    return LEASE._replace(prefix=prefix, conflict=conflict)


def test_counting_tells_blobs_bytes_parts_and_room() -> None:
    """What the decision needs, in one walk."""
    world = World()
    world.blobs.put("a/x", 10)
    world.blobs.put("a/y", 5)
    cut = (Cut("/a/x", 1, 10), Cut("/a/y", 1, 5))

    assert world.do(COUNT) == Counted(2, 15, (Cut("/a/", 2, 15),), room_bytes=1000)
    assert world.do(replace(COUNT, target_blobs=1)) == Counted(2, 15, cut, room_bytes=1000)
    assert world.do(replace(COUNT, lease=of("/b/"))) == Counted(0, 0, room_bytes=1000)


@pytest.mark.parametrize("conflict", Conflict)
def test_counting_sees_what_is_there_already(conflict: Conflict) -> None:
    """All of it, or not; how much of it is more than a name; only for skip, which leaves what is there as it is."""
    world = World()
    world.blobs.put("a/x", 10)
    world.blobs.put("a/y", 5)
    world.lustre.add_released("/a/x", 10)
    some = world.do(replace(COUNT, lease=of("/a/", conflict)))
    world.lustre.write("/a/y", 5)
    world.lustre.mark_archived("/a/y")
    every = world.do(replace(COUNT, lease=of("/a/", conflict)))

    assert isinstance(some, Counted)
    assert isinstance(every, Counted)
    assert (some.there, some.whole_bytes) == (False, 0)
    assert (every.there, every.whole_bytes) == ((True, 5) if conflict is Conflict.SKIP else (False, 0))


def test_a_probe_tells_whether_all_is_there() -> None:
    """Released or whole, but every file; a prefix without blobs is never there."""
    world = World()
    world.blobs.put("a/x", 10)
    world.blobs.put("a/y", 5)
    world.lustre.add_released("/a/x", 10)
    some = world.do(Probe(LEASE, 0))
    world.lustre.add_released("/a/y", 5)

    assert some == Probed(there=False)
    assert world.do(Probe(LEASE, 0)) == Probed(there=True)
    assert world.do(Probe(of("/b/"), 0)) == Probed(there=False)


def test_an_idle_lease_gives_its_bytes_back() -> None:
    """What is proved, without what others need."""
    world = World()
    for name in ("a/x", "a/y"):
        world.blobs.put(name, 5)
        world.lustre.write(f"/{name}", 5)
        world.lustre.mark_archived(f"/{name}")

    assert world.do(Evict(LEASE, 0, ("/a/y",))) == Freed(1, 5, needed=1)


def test_counting_tells_a_folder_from_the_beginning_of_names() -> None:
    """A prefix without its "/" at the end may be either; the blobs tell."""
    world = World()
    for name in ("a/x", "a1", "b1", "b2/x", "c"):
        world.blobs.put(name, 10)
    found = {prefix: world.do(replace(COUNT, lease=of(prefix))) for prefix in ("/a", "/b", "/c")}
    told = {prefix: isinstance(it, Counted) and it.beginning for prefix, it in found.items()}

    assert told == {"/a": False, "/b": True, "/c": True}


def test_names_alone_are_counted_without_the_mount() -> None:
    """hydrate=none needs no room."""
    world = World()
    world.blobs.put("a/x", 10)
    world.lustre.is_mounted = False

    assert world.do(replace(COUNT, whole=False)) == Counted(1, 10, (Cut("/a/", 1, 10),))


def test_counting_for_an_overwrite_finds_what_is_nowhere_else() -> None:
    """New, dirty, half archived or lost files, and no others; receipts are ours."""
    world = World()
    world.blobs.put("a/x", 10)
    states = {
        "new": HsmState.NONE,
        "begun": HsmState.EXISTS,
        "dirty": HsmState.EXISTS | HsmState.ARCHIVED | HsmState.DIRTY,
        "lost": HsmState.EXISTS | HsmState.ARCHIVED | HsmState.LOST,
        "clean": HsmState.EXISTS | HsmState.ARCHIVED,
        "released": HsmState.EXISTS | HsmState.ARCHIVED | HsmState.RELEASED,
    }
    for name, state in states.items():
        world.lustre.write(f"/a/{name}", 10)
        world.lustre.states[f"/a/{name}"] = state
    world.lustre.link("/a/link")
    world.lustre.write("/.amlfs/receipts/7", 10)
    world.lustre.write("/c/other", 10)
    counted = world.do(replace(COUNT, overwrites=True))
    everything = world.do(replace(COUNT, lease=of("/"), overwrites=True))

    assert isinstance(counted, Counted)
    assert (counted.unsaved_files, counted.unsaved) == (4, ("/a/new", "/a/begun", "/a/dirty"))
    assert isinstance(everything, Counted)
    assert everything.unsaved_files == 5


def test_on_a_hierarchical_namespace_a_neighbour_fills_no_prefix() -> None:
    """/a with only /ab there is empty."""
    world = World(Namespace.HIERARCHICAL)
    world.blobs.put("ab/x", 10)
    counted = world.do(replace(COUNT, lease=of("/a")))

    assert isinstance(counted, Counted)
    assert (counted.files, counted.cuts) == (0, ())


def test_an_import_is_started_stopped_and_cleared() -> None:
    """Each done twice is success."""
    world = World()
    for _ in range(2):
        started = world.do(Start(IMPORT))
        assert isinstance(started, Started)
        assert started.view is not None
        assert started.view.name == "amlfs-7-x"
    for _ in range(2):
        assert world.do(Stop(IMPORT)) == Done()
    cancelling = world.arm.jobs["amlfs-7-x"].import_state
    world.arm.finish("amlfs-7-x")
    for _ in range(2):
        assert world.do(Clear("amlfs", "amlfs-7-x")) == Done()

    assert cancelling is ImportState.CANCELLING
    assert world.arm.jobs == {}


def test_an_archive_is_started_and_stopped() -> None:
    """A second one while it runs is refused for now."""
    world = World()
    started, second, stopped = world.do(Start(ARCHIVE)), world.do(Start(ARCHIVE)), world.do(Stop(ARCHIVE))

    assert isinstance(started, Started)
    assert isinstance(second, Trouble)
    assert second.fault is Fault.TEMPORARY
    assert stopped == Done()
    assert [archive.path for archive in world.arm.archives] == ["/jobs/7/"]


def test_receipts_are_written_and_dropped() -> None:
    """Dropped twice is success."""
    world = World()
    written = world.do(RECEIPT)
    there = dict(world.lustre.receipts)
    dropped = [world.do(DropReceipt(7, ("amlfs",))) for _ in range(2)]

    assert written == Done()
    assert there[7].text == "AMLFS_MOUNT=/lustre\n"
    assert dropped == [Done(), Done()]
    assert world.lustre.receipts == {}


def test_a_comment_reaches_slurm() -> None:
    """And one on a job that is gone is success."""
    world = World()
    world.slurm.records[7] = JobView(7, 61001, "PENDING")

    assert world.do(Comment(7, "amlfs: waiting")) == Done()
    assert world.do(Comment(8, "amlfs: waiting")) == Done()
    assert world.slurm.comments == {7: ["amlfs: waiting"]}


def test_archives_go_on_from_slice_to_slice_and_share_the_room() -> None:
    """What one stage has in flight another waits for; a round that nobody wants any more leaves its room."""
    world = World()
    other = replace(ARCHIVE_FILES, stage=OUT._replace(job_id=8), prefixes=("/jobs/8/",))
    for number in range(15):
        world.lustre.write(f"/jobs/7/{number:02}", 5)
        world.lustre.write(f"/jobs/8/{number:02}", 5)
    first = world.do(ARCHIVE_FILES)
    second = world.do(other)
    world.lustre.finish_archives()
    world.do(replace(ARCHIVE_FILES, urgency=9.0))
    asked = set(world.lustre.archiving)
    world.performer.keep((), (), {other.stage})
    world.do(other)

    assert isinstance(first, Archived)
    assert isinstance(second, Archived)
    assert (first.under_way, second.under_way) == (10, 0)
    assert len(asked) <= 10
    assert any(path.startswith("/jobs/8/") for path in world.lustre.archiving)


@pytest.mark.parametrize("errand", ON_LUSTRE)
def test_without_the_mount_everything_on_lustre_waits(errand: Errand) -> None:
    """An empty mount point must never pass for an empty file system."""
    world = World()
    world.lustre.is_mounted = False
    result = world.do(errand)

    assert isinstance(result, Trouble)
    assert result.fault is Fault.TEMPORARY
    assert "is not mounted on the daemon's host; mount it" in result.message


@pytest.mark.parametrize(
    ("error", "fault", "wait"),
    [
        (ThrottledError("slow", retry_after=timedelta(seconds=9), correlation_id="c1"), Fault.TEMPORARY, 9),
        (TemporaryError("later", correlation_id="c1"), Fault.TEMPORARY, 0),
        (PermanentError("never", correlation_id="c1"), Fault.PERMANENT, 0),
    ],
)
def test_errors_become_troubles(error: TemporaryError | PermanentError, fault: Fault, wait: int) -> None:
    """With their kind, their wait, and Azure's correlation id."""
    world = World()
    world.arm.faults.append(error)

    assert world.do(Start(IMPORT)) == Trouble(fault, error.message, timedelta(seconds=wait), "c1")


def test_a_fault_of_ours_stops_nobody() -> None:
    """Whatever breaks in an errand is logged and tried again."""
    world = World()
    result = world.do(replace(COUNT, lease=LEASE._replace(fs="forgotten")))

    assert isinstance(result, Trouble)
    assert result.fault is Fault.TEMPORARY
    assert "internal error" in result.message


def test_a_message_can_be_stored_whatever_is_in_it() -> None:
    """A path on Lustre need not be UTF-8; the message that names it is."""
    world = World()
    world.arm.faults.append(PermanentError("refused /a/\udcff"))
    result = world.do(Start(IMPORT))

    assert isinstance(result, Trouble)
    assert result.message == "refused /a/\\udcff"


def released(world: World) -> None:
    """Put a file there that has to be restored."""
    world.blobs.put("a/x", 10)
    world.lustre.add_released("/a/x", 10)


def slices(world: World, then: Callable[[], object], errand: ProveIn) -> list[object]:
    """Make one slice, let something happen, make another."""
    first = world.do(PROVE)
    then()
    return [first, world.do(errand)]


def test_a_proof_goes_on_from_slice_to_slice() -> None:
    """The second slice only looks at what was asked for."""
    world = World()
    released(world)

    def more() -> None:
        world.lustre.finish_restores()
        world.blobs.put("a/later", 1)

    first, second = slices(world, more, PROVE)
    assert isinstance(first, Examined)
    assert isinstance(second, Examined)
    assert (first.settled, second.settled) == (False, True)
    assert second.files == 1


@pytest.mark.parametrize("how", ["another proof", "forgotten", "trouble"])
def test_a_proof_begins_anew(how: str) -> None:
    """When it is another one, when its stage is no longer proved, after trouble: from nothing, finding what is new."""
    world = World()
    released(world)

    def more() -> None:
        world.blobs.put("a/later", 1)
        if how == "forgotten":
            world.performer.keep(set(), set(), set())
        elif how == "trouble":
            world.lustre.faults.append(TemporaryError("flapped"))
            assert isinstance(world.do(PROVE), Trouble)

    _, second = slices(world, more, replace(PROVE, proof=1) if how == "another proof" else PROVE)
    assert isinstance(second, Examined)
    assert second.files == 2


def test_a_proof_that_is_still_wanted_is_kept() -> None:
    """Forgetting others' proofs leaves this one alone."""
    world = World()
    released(world)

    def more() -> None:
        world.blobs.put("a/later", 1)
        world.performer.keep(set(), {LEASE}, set())

    _, second = slices(world, more, PROVE)
    assert isinstance(second, Examined)
    assert second.files == 1


class Halting(FakeBlobs):
    """A container of which each page is another slice's."""

    page_blobs = 2

    def pages(self, prefix: str) -> Iterator[Sequence[BlobView]]:
        """Let a second go by for each page."""
        for page in super().pages(prefix):
            performing.time.seconds += 1  # type: ignore[attr-defined]
            yield page


class Clock:
    """A clock that stands unless it is moved."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Tell the time."""
        return self.seconds


@pytest.mark.parametrize(
    ("how", "files"),
    [
        ("goes on", [0, 2, 4, 5, 5]),
        ("forgotten", [0, 0, 2, 4, 6, 6]),
        ("another", [0, 0, 2, 4, 6, 6]),
        ("asks more", [0, 2, 4, 5, 5]),
    ],
)
def test_a_count_goes_on_from_slice_to_slice(monkeypatch: pytest.MonkeyPatch, how: str, files: list[int]) -> None:
    """As a proof does; begun again it finds what is new. Who asks beside for the room does not begin it again."""
    monkeypatch.setattr(performing, "time", Clock())
    world = World(blobs=Halting())
    for name in "abcde":
        world.blobs.put(f"a/{name}", 10)
    told = [world.do(COUNT)]
    world.blobs.put("a/later", 10)
    world.performer.keep(set() if how == "forgotten" else {LEASE}, set(), set())
    errand = COUNT
    if how == "another":
        errand = replace(COUNT, generation=1)
    elif how == "asks more":
        errand = replace(COUNT, target_blobs=7, whole=False)
    while not told[-1].settled:
        told.append(world.do(errand))

    assert [it.files for it in told] == files


def test_a_look_before_an_overwrite_asks_blob_for_nothing() -> None:
    """It is about what is on Lustre, and Blob may take hours to list."""
    world = World()
    world.lustre.write("/a/new", 10)
    found = world.do(replace(COUNT, overwrites=True, whole=False, lists=False))

    assert found == Counted(0, 0, unsaved_files=1, unsaved=("/a/new",))
    assert world.blobs.asked == 0


def test_space_is_freed() -> None:
    """What is proved, and nothing else."""
    world = World()
    world.lustre.write("/jobs/7/a", 5)
    world.lustre.write("/jobs/7/b", 5)
    world.blobs.put("jobs/7/a", 5)
    world.lustre.mark_archived("/jobs/7/a")

    assert world.do(FREE) == Freed(1, 5, dirty=1)
