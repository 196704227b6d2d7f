from __future__ import annotations

import pytest

from slurm_amlfs.application.archives import Archives, Ended
from slurm_amlfs.application.restore_room import RestoreRoom, RestoreShare
from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.errors import PermanentError
from tests.fakes.lustre import FakeLustre


class Bench:
    """New files, their archives, and a clock that a test moves."""

    def __init__(self, files: int, most: int = 2000) -> None:
        self.lustre = FakeLustre()
        self.seconds = 0.0
        self.room = RestoreRoom(most, lambda: self.seconds)
        self.archives = Archives(self.lustre, RestoreShare(self.room, 0.0), most, lambda: self.seconds)
        self.paths = [f"/a/{number:05}" for number in range(files)]
        for path in self.paths:
            self.lustre.write(path, 1)
            self.archives.add(path, self.lustre.states[path])

    def step(self, until: float = 1e9) -> Ended:
        """Make a step."""
        return self.archives.step(until)

    def run(self, seconds: float = 60.0) -> Ended:
        """Let archives happen and time go by until nothing is left to wait for; add up what the steps found."""
        total = Ended()
        end = self.seconds + seconds
        while not self.archives.over:
            assert self.seconds < end, "it does not end"
            found = self.step()
            total.files += found.files
            total.failed += found.failed
            total.changed += found.changed
            self.lustre.finish_archives()
            self.seconds += 1
        return total


def test_all_are_archived_however_many() -> None:
    """More than a window of them; nobody but what hangs is asked about."""
    bench = Bench(5000)

    assert bench.run() == Ended(files=5000)
    assert all(state.clean for state in bench.lustre.states.values())
    assert bench.lustre.doubted == []


def test_the_window_grows_while_archives_end_quickly() -> None:
    """From a hundred to the most, as with restores."""
    bench = Bench(10_000)
    in_flight = []
    for _ in range(7):
        bench.lustre.finish_archives()
        bench.step()
        in_flight.append(len(bench.lustre.archiving))

    assert in_flight == [100, 200, 400, 800, 1600, 2000, 2000]


def test_all_stages_share_one_room() -> None:
    """What another has in flight is not asked for besides."""
    bench = Bench(500, most=150)
    other = RestoreShare(bench.room, 0.0)
    taken = other.take(100)
    bench.step()

    assert (taken, len(bench.lustre.archiving)) == (100, 50)


def test_a_file_that_fails_for_ever_is_named_and_holds_up_no_other() -> None:
    """Three requests, the later ones alone; then it is given up for this round, with why."""
    bench = Bench(120)
    bench.lustre.failing = {"/a/00007"}
    found = bench.run()

    assert found == Ended(files=119, failed=[("/a/00007", "has no copy after 3 requests")])
    assert bench.lustre.states["/a/00007"] == HsmState.EXISTS


def test_what_fails_once_is_archived_in_the_same_round() -> None:
    """A short outage of Blob costs no turn."""
    bench = Bench(30)
    bench.lustre.failing = set(bench.paths)
    bench.step()
    bench.lustre.finish_archives()
    bench.lustre.failing = set()
    bench.seconds += 3

    assert bench.run() == Ended(files=30)


def test_a_slow_archive_is_waited_for() -> None:
    """An hour for a large file is no failure as long as Lustre has it under way; it is said how long that is."""
    bench = Bench(1)
    bench.step()
    for _ in range(60):
        bench.seconds += 60
        assert bench.step() == Ended()
    quiet = bench.archives.quiet_seconds
    bench.lustre.finish_archives()

    assert quiet == 3600
    assert bench.step() == Ended(files=1)


def test_few_are_asked_about_at_a_time() -> None:
    """Lustre goes through all its requests for each: two thousand that hang are no storm."""
    bench = Bench(10_000)
    for _ in range(6):
        bench.lustre.finish_archives()
        bench.step()
    bench.seconds += 10
    bench.step()

    assert len(bench.lustre.archiving) >= 1600
    assert 0 < len(bench.lustre.doubted) <= 50


def test_a_file_written_during_its_archive_is_left_to_the_next_round() -> None:
    """It may be written for hours; nobody else waits for that."""
    bench = Bench(3)
    bench.step()
    bench.lustre.write("/a/00001", 2)
    bench.lustre.finish_archives()
    bench.seconds += 3

    assert bench.run() == Ended(files=2, changed=1)
    assert bench.lustre.states["/a/00001"] & HsmState.DIRTY


def test_a_dirty_file_is_archived_and_a_gone_one_forgotten() -> None:
    """Dirty from the first is no sign of a change; what was removed needs no archive."""
    bench = Bench(2)
    bench.lustre.states["/a/00000"] = HsmState.EXISTS | HsmState.ARCHIVED | HsmState.DIRTY
    bench.archives.give_up()
    for path in bench.paths:
        bench.archives.add(path, bench.lustre.states[path])
    bench.step()
    bench.lustre.remove("/a/00001")

    assert bench.run() == Ended(files=2)
    assert bench.lustre.states["/a/00000"].clean


def test_a_refused_file_is_tried_alone_and_named() -> None:
    """One that must not be archived spoils no batch."""
    bench = Bench(60)
    bench.lustre.forbid("/a/00030")
    found = bench.run()

    assert (found.files, [path for path, _ in found.failed]) == (59, ["/a/00030"])
    assert "noarchive" in found.failed[0][1]


def test_no_right_at_all_is_an_error() -> None:
    """A squashed root can archive nothing, and is told so at once, not file by file."""
    bench = Bench(60)
    bench.lustre.refusing = set(bench.paths)

    with pytest.raises(PermanentError):
        bench.step()


def test_giving_up_asks_for_nothing_more() -> None:
    """What is in flight is still waited for."""
    bench = Bench(1000)
    bench.step()
    bench.archives.give_up()

    assert bench.run() == Ended(files=100)
