from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from slurm_amlfs.application.proving import InProof
from slurm_amlfs.application.restore_room import RestoreRoom
from slurm_amlfs.domain.ask import Conflict, Hydrate
from slurm_amlfs.domain.errand import ProveIn
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Examined
from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.errors import PermanentError, TemporaryError
from tests.fakes.blobs import FakeBlobs
from tests.fakes.lustre import FakeLustre

LEASE = LeaseKey("amlfs", "/a/", Conflict.SKIP, 1000)
ERRAND = ProveIn(LEASE, 0, Hydrate.ALL, None)


class Bench:
    """A container and a file system that an import has filled, and a clock that a test moves."""

    def __init__(self, names: tuple[str, ...] = ("a/x", "a/y", "a/z"), errand: ProveIn = ERRAND) -> None:
        self.blobs, self.lustre = FakeBlobs(), FakeLustre()
        self.seconds = 0.0
        for name in names:
            self.blobs.put(name, 10)
            self.lustre.add_released(f"/{name}", 10)
        self.errand = errand

    def begin(
        self, window: int = 100, namespace: Namespace = Namespace.FLAT, most_missing: int | None = None
    ) -> InProof:
        """Begin a proof."""
        return InProof(
            self.blobs,
            self.lustre,
            self.errand,
            namespace,
            window=window,
            clock=lambda: self.seconds,
            most_missing=most_missing,
        )

    def settle(self, proof: InProof) -> Examined:
        """Let restores end, and look until the proof is settled."""
        for _ in range(20):
            found = proof.slice()
            if found.settled:
                return found
            self.lustre.finish_restores()
        raise AssertionError("the proof does not settle")


def test_released_files_are_restored_and_then_proved() -> None:
    """Everything there and released: restores are asked for, and the proof settles when the last has ended."""
    bench = Bench()
    proof = bench.begin()
    first = proof.slice()
    asked = sorted(bench.lustre.restoring)
    bench.lustre.finish_restores()
    second = proof.slice()

    assert (first.settled, first.files, first.files_done) == (False, 3, 0)
    assert asked == ["/a/x", "/a/y", "/a/z"]
    assert second == Examined(settled=True, files=3, files_done=3, total_bytes=30, bytes_done=30)


def test_names_alone_need_no_restore() -> None:
    """hydrate=none: the files are there, released; nothing is asked for."""
    bench = Bench(errand=replace(ERRAND, hydrate=Hydrate.NONE))

    assert bench.begin().slice() == Examined(settled=True, files=3, files_done=3, total_bytes=30, bytes_done=30)
    assert bench.lustre.restoring == []


def test_no_more_restores_are_outstanding_than_the_window() -> None:
    """A million files must not be asked for at once; the rest follows as the first come in."""
    bench = Bench(tuple(f"a/{number:04}" for number in range(1700)))
    proof = bench.begin(window=60)
    most = 0
    for _ in range(100):
        if proof.slice().settled:
            break
        most = max(most, len(bench.lustre.restoring))
        bench.lustre.finish_restores()

    assert most == 60
    assert proof.slice().files_done == 1700


@pytest.mark.parametrize(
    ("change", "which"),
    [
        (lambda bench: bench.lustre.remove("/a/y"), "missing"),
        (lambda bench: bench.lustre.add_released("/a/y", 11), "kept"),
        (lambda bench: bench.lustre.states.update({"/a/y": HsmState(0x4D)}), "missing"),
        (lambda bench: bench.blobs.put("a//y", 1), "missing"),
    ],
)
def test_what_is_not_there_is_named(change: object, which: str) -> None:
    """Gone, other, lost in the archive, or with a name that is no path: named, and the others are proved."""
    bench = Bench()
    assert callable(change)
    change(bench)
    found = bench.settle(bench.begin())
    named = {"missing": found.missing, "kept": found.kept}

    assert [name.replace("//", "/") for name in named.pop(which)] == ["a/y"]
    assert named.popitem()[1] == ()


def test_states_of_a_fresh_import_are_hardly_asked_for_before_it_is_restored() -> None:
    """Each state is a trip to the metadata server: one a file proves it, and a spot check is enough before."""
    bench = Bench(tuple(f"a/{number:04}" for number in range(2000)))
    found = bench.settle(bench.begin(window=2000))

    assert (found.files_done, found.missing) == (2000, ())
    assert len(bench.lustre.looked) <= 1.2 * 2000


def test_no_restore_is_asked_for_where_all_is_whole() -> None:
    """What a lease has kept on Lustre is proved at once, and needs no room among the restores of others."""
    bench = Bench(tuple(f"a/{number:04}" for number in range(2000)))
    bench.lustre.restoring += list(bench.lustre.files)
    bench.lustre.finish_restores()

    assert bench.begin(window=1).slice().files_done == 2000


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda lustre, path: lustre.states.update({path: HsmState.EXISTS | HsmState.ARCHIVED}), ()),
        (lambda lustre, path: lustre.lose(path), ("a/0777",)),
        (lambda lustre, path: lustre.states.pop(path), ("a/0777",)),
    ],
)
def test_what_the_spot_check_did_not_see_is_judged_by_its_own_state(change: object, missing: tuple[str, ...]) -> None:
    """One among a thousand that is whole, lost, or just gone: the others are restored, and it is told as it is."""
    bench = Bench(tuple(f"a/{number:04}" for number in range(1000)))
    assert callable(change)
    change(bench.lustre, "/a/0777")
    found = bench.settle(bench.begin(window=1000))

    assert (found.files_done, found.missing) == (1000 - len(missing), missing)


def test_a_file_that_goes_while_it_is_restored_is_missing() -> None:
    """Deleted by somebody meanwhile: no endless wait."""
    bench = Bench()
    proof = bench.begin()
    proof.slice()
    bench.lustre.remove("/a/x")
    found = bench.settle(proof)

    assert found.missing == ("a/x",)
    assert found.files_done == 2


def test_blobs_that_changed_after_the_import_began_are_told_apart() -> None:
    """Younger than the import and not there: newer, not missing."""
    bench = Bench(errand=replace(ERRAND, import_started=datetime(2026, 1, 1, 1, tzinfo=UTC)))
    bench.blobs._time = datetime(2026, 1, 2, tzinfo=UTC)  # noqa: SLF001 - the fake's own clock
    bench.blobs.put("a/new", 5)
    found = bench.settle(bench.begin())

    assert (found.newer, found.missing) == (("a/new",), ())


def test_a_restore_that_shows_nothing_is_asked_for_again() -> None:
    """After a minute: the coordinator may have dropped the request."""
    bench = Bench(("a/x",))
    proof = bench.begin()
    proof.slice()
    bench.lustre.restoring.clear()
    bench.seconds = 59
    proof.slice()
    early = list(bench.lustre.restoring)
    bench.seconds = 61
    proof.slice()

    assert early == []
    assert bench.lustre.restoring == ["/a/x"]


def test_restores_that_are_waited_for_longest_are_named() -> None:
    """Three of them, and none when all is there."""
    bench = Bench(tuple(f"a/{number}" for number in range(9)))
    proof = bench.begin()
    first = proof.slice()
    bench.lustre.restoring.clear()
    bench.seconds += 61
    told = proof.slice()

    assert (len(first.waiting), len(told.waiting)) == (3, 3)
    assert set(told.waiting) <= {f"/a/{number}" for number in range(9)}
    assert bench.settle(proof).waiting == ()


def test_a_slice_ends_after_a_second() -> None:
    """A walk of many blobs reports on the way."""
    bench = Bench(tuple(f"a/{number:05}" for number in range(4000)))
    ticks = iter(range(10**6))
    proof = InProof(
        bench.blobs, bench.lustre, bench.errand, Namespace.FLAT, window=10**6, clock=lambda: next(ticks) * 0.4
    )
    found = proof.slice()

    assert not found.settled
    assert 0 < found.files < 4000


def test_on_a_hierarchical_namespace_neighbours_do_not_count() -> None:
    """/a takes what is below it, not /ab."""
    bench = Bench(("a/x", "ab/y"), replace(ERRAND, lease=LEASE._replace(prefix="/a")))
    bench.lustre.remove("/ab/y")
    flat = bench.settle(bench.begin())
    hierarchical = bench.settle(bench.begin(namespace=Namespace.HIERARCHICAL))

    assert flat.missing == ("ab/y",)
    assert (hierarchical.missing, hierarchical.files) == ((), 1)


def test_trouble_is_passed_on() -> None:
    """The errand fails as the port did; it begins again from nothing."""
    bench = Bench()
    bench.lustre.is_mounted = False
    with pytest.raises(TemporaryError):
        bench.begin().slice()


def test_a_folder_stub_is_a_directory() -> None:
    """An empty blob with a trailing "/" or a directory in its place is there when the directory is."""
    bench = Bench(("a/sub/x",))
    bench.blobs.put("a/sub/", 0)
    bench.blobs.put("a/sub", 0)

    assert bench.settle(bench.begin()).missing == ()


def test_of_many_missing_blobs_the_first_are_named_and_all_counted() -> None:
    """What a proof tells does not grow with what it finds."""
    bench = Bench(())
    for number in range(2500):
        bench.blobs.put(f"a/{number:04}", 1)
    found = bench.settle(bench.begin())

    assert (len(found.missing), found.missing[0], found.missing_count) == (1000, "a/0000", 2500)
    assert (found.newer_count, found.kept_count) == (0, 0)


def test_a_look_before_an_import_ends_early() -> None:
    """Is it there already? When more are missing than may be, the rest is not looked at, and nothing is restored."""
    bench = Bench(tuple(f"a/{number:04}" for number in range(5000)))
    for number in range(100, 200):
        bench.lustre.remove(f"/a/{number:04}")
    found = bench.begin(most_missing=99).slice()
    whole = bench.settle(bench.begin(window=5000, most_missing=100))

    assert (found.settled, found.missing_count, found.files) == (True, 100, 1000)
    assert (whole.missing_count, whole.files) == (100, 5000)


def test_what_is_proved_is_not_looked_at_again() -> None:
    """While one file hangs, only that one is asked about."""
    bench = Bench(tuple(f"a/{number:04}" for number in range(300)))
    proof = bench.begin(window=1000)
    for _ in range(5):
        proof.slice()
        bench.lustre.restoring = [path for path in bench.lustre.restoring if path != "/a/0007"]
        bench.lustre.finish_restores()
    bench.lustre.looked.clear()
    found = proof.slice()

    assert (found.files_done, found.settled) == (299, False)
    assert bench.lustre.looked == ["/a/0007"]


def test_one_refused_file_fails_no_other() -> None:
    """It is tried again alone, and is missing if it is refused alone too."""
    bench = Bench(tuple(f"a/{number:04}" for number in range(120)))
    bench.lustre.refusing = {"/a/0050"}
    found = bench.settle(bench.begin())

    assert (found.files_done, found.missing) == (119, ("a/0050",))


def test_a_file_that_was_refused_with_others_is_restored_alone() -> None:
    """Refused once, taken when it is tried again: nothing is missing."""
    bench = Bench(tuple(f"a/{number:04}" for number in range(120)))
    bench.lustre.refusing = {"/a/0050"}
    proof = bench.begin()
    proof.slice()
    bench.lustre.refusing.clear()
    found = bench.settle(proof)

    assert (found.files_done, found.missing) == (120, ())


def test_a_file_system_that_refuses_all_is_an_error() -> None:
    """No right to restore at all is not the files' fault, and importing them again would not help."""
    bench = Bench()
    bench.lustre.refusing = {"/a/x", "/a/y", "/a/z"}
    with pytest.raises(PermanentError, match="refuses"):
        bench.begin().slice()


def test_an_urgent_proof_gets_the_room_that_comes_free() -> None:
    """Two proofs share one room: who is sooner is restored first, though the other came before."""
    bench = Bench(tuple(f"{folder}/{number:03}" for folder in "ab" for number in range(300)))
    room = RestoreRoom(100, lambda: bench.seconds)

    def begin(prefix: str, urgency: float) -> InProof:
        errand = replace(ERRAND, lease=LEASE._replace(prefix=prefix))
        return InProof(
            bench.blobs,
            bench.lustre,
            errand,
            Namespace.FLAT,
            window=100,
            clock=lambda: bench.seconds,
            room=room,
            urgency=urgency,
        )

    later, sooner = begin("/a/", 2.0), begin("/b/", 1.0)
    later.slice()
    sooner.slice()
    crowd = list(bench.lustre.restoring)
    bench.lustre.finish_restores()
    later.slice()
    sooner.slice()
    after = list(bench.lustre.restoring)

    assert (len(crowd), {path[1] for path in crowd}) == (100, {"a"})
    assert (len(after), {path[1] for path in after}) == (100, {"b"})
