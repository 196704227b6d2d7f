from __future__ import annotations

from collections.abc import Sequence
from threading import Barrier

from slurm_amlfs.application.restore_room import RestoreRoom, RestoreShare
from slurm_amlfs.application.restoring import Restores
from slurm_amlfs.domain.view import HsmState
from tests.fakes.lustre import FakeLustre

LONG = 60.0
"""Seconds that nothing takes on any machine."""


class MeetingLustre(FakeLustre):
    """Has a request and a look wait for each other, once that is wanted."""

    meet: Barrier | None = None

    def restore(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Queue restores."""
        if self.meet:
            self.meet.wait(LONG)
        return super().restore(paths)

    def hsm_states(self, paths: Sequence[str]) -> dict[str, HsmState]:
        """Tell states."""
        if self.meet:
            self.meet.wait(LONG)
        return super().hsm_states(paths)


class Bench:
    """Released files, their restores, and a clock that a test moves."""

    def __init__(self, files: int, most: int) -> None:
        self.lustre = MeetingLustre()
        self.seconds = 0.0
        self.room = RestoreRoom(most, lambda: self.seconds)
        self.restores = Restores(self.lustre, RestoreShare(self.room, 0.0), most, lambda: self.seconds)
        for number in range(files):
            self.lustre.add_released(f"/a/{number:05}", 1)
            self.restores.add(f"/a/{number:05}", 1)

    def step(self, until: float = 1e9) -> int:
        """Look, and send more; say how many files were found whole."""
        files = self.restores.look().files
        self.restores.send(until)
        return files

    def grow(self) -> None:
        """Let all restores end at once until the window is at its most."""
        for _ in range(8):
            self.lustre.finish_restores()
            self.step()
        self.lustre.looked.clear()


def test_the_window_grows_while_restores_end_quickly() -> None:
    """From a hundred to the most."""
    bench = Bench(10_000, 2000)
    in_flight = []
    for _ in range(7):
        bench.lustre.finish_restores()
        bench.step()
        in_flight.append(len(bench.lustre.restoring))

    assert in_flight == [100, 200, 400, 800, 1600, 2000, 2000]


def test_while_nothing_ends_only_a_sample_is_looked_at() -> None:
    """Ten looks at 2,000 outstanding restores do not ask for 20,000 states."""
    bench = Bench(20_000, 2000)
    bench.grow()
    for _ in range(10):
        bench.seconds += 0.3
        assert bench.step() == 0

    assert len(bench.lustre.looked) == 10 * 25


def test_as_the_oldest_end_the_next_are_looked_at() -> None:
    """As far as it is worth the calls."""
    bench = Bench(20_000, 2000)
    bench.grow()
    first = set(bench.lustre.restoring[:700])
    rest = [path for path in bench.lustre.restoring if path not in first]
    bench.lustre.restoring = bench.lustre.restoring[:700]
    bench.lustre.finish_restores()
    bench.lustre.restoring = rest

    files = bench.step()

    assert 600 <= files <= 700
    assert len(bench.lustre.looked) <= files + 25


def test_what_ends_behind_files_that_hang_is_found_at_once() -> None:
    """The oldest hang: their youngest neighbours tell that others do not."""
    bench = Bench(20_000, 2000)
    bench.grow()
    hanging = bench.lustre.restoring[:200]
    bench.lustre.restoring = bench.lustre.restoring[200:]
    bench.lustre.finish_restores()
    bench.lustre.restoring = hanging

    assert bench.step() == 1800


def test_what_ends_out_of_order_is_found_in_time() -> None:
    """A few have ended where none is looked at first: every few seconds all are looked at."""
    bench = Bench(20_000, 2000)
    bench.grow()
    bench.step()
    looked = set(bench.lustre.looked)
    for path in [path for path in bench.lustre.restoring if path not in looked][:20]:
        bench.lustre.states[path] &= ~HsmState.RELEASED
    soon = bench.step()
    bench.seconds += 6

    assert (soon, bench.step()) == (0, 20)


def test_asking_stops_when_the_time_is_up() -> None:
    """A slow metadata server holds nobody longer than a slice; what was not asked for keeps no room."""
    bench = Bench(20_000, 4000)
    bench.grow()
    bench.lustre.finish_restores()
    bench.step(until=0.0)
    asked = len(bench.lustre.restoring)
    bench.step()

    assert asked == 500
    assert len(bench.lustre.restoring) == 4000


def test_more_is_asked_for_while_what_was_asked_is_looked_at() -> None:
    """Each waits for a server, and one after the other would take the sum of both."""
    bench = Bench(1000, 400)
    bench.step()
    bench.lustre.finish_restores()
    bench.step()
    for path in list(bench.lustre.restoring)[:100]:
        bench.lustre.states[path] &= ~HsmState.RELEASED
    while bench.restores.look().files:
        pass
    bench.lustre.meet = Barrier(2)

    assert bench.restores.go_on(1e9).files == 0
    assert len(bench.lustre.restoring) == 300


def test_restores_that_fail_leave_the_room_to_others() -> None:
    """Blobs that nobody can read any more: a few are tried at a time, ever more rarely, until they can be read."""
    bench = Bench(150, 200)
    bench.restores.send(1e9)
    sent: list[int] = []
    for _ in range(40):
        bench.seconds += 31
        bench.step()
        sent.append(len(bench.lustre.restoring))
        bench.lustre.restoring.clear()
    room_left = RestoreShare(bench.room, 9.0).take(200)

    assert sent[0] > 10
    assert max(sent[8:]) <= 10
    assert room_left >= 190
    assert not bench.restores.over
    assert len(bench.restores.longest) == 3
    for _ in range(2000):
        bench.seconds += 31
        bench.step()
        bench.lustre.finish_restores()
        if bench.restores.over:
            return
    raise AssertionError("they are never whole")


def test_a_restore_that_lustre_knows_of_is_waited_for() -> None:
    """A file of terabytes takes hours: it is not asked for again, and keeps its room."""
    bench = Bench(50, 200)
    bench.restores.send(1e9)
    for _ in range(20):
        bench.seconds += 61
        bench.step()

    assert len(bench.lustre.restoring) == 50
    assert RestoreShare(bench.room, 9.0).take(200) == 150


def test_what_has_failed_and_is_then_refused_holds_up_no_other() -> None:
    """More of them than are tried at a time: all are told as gone, and the restores are over."""
    bench = Bench(25, 200)
    bench.restores.send(1e9)
    for _ in range(6):
        bench.lustre.restoring.clear()
        bench.seconds += 61
        bench.restores.look()
    bench.lustre.refusing |= set(bench.lustre.files)
    gone: list[str] = []
    for _ in range(100):
        bench.seconds += 61
        gone += bench.restores.go_on(1e9).gone
        bench.lustre.restoring.clear()

    assert sorted(gone) == sorted(bench.lustre.files)
    assert bench.restores.over
