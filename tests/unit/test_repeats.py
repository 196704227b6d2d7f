"""No hour has more repeated calls than it may, whatever fails, and however often the daemon dies."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_amlfs.adapters.repeats import Repeats
from slurm_amlfs.adapters.retry_budget import WINDOW
from slurm_amlfs.adapters.retry_ledger import FILE_NAME, RetryLedger
from slurm_amlfs.errors import ThrottledError
from tests.examples import examples
from tests.fakes.counting import Time, counted


def call(repeats: Repeats, what: str, *, well: bool, continues: bool = False) -> bool:
    """Make a call, if it may be made; say so."""
    try:
        key = repeats.begin(what, continues=continues)
    except ThrottledError:
        return False
    repeats.ended(key, well=well)
    return True


@dataclass
class Judge:
    """What was called, told apart by its own book: a call after a failed one of its kind, or of pages had before."""

    due: dict[str, int] = field(default_factory=dict)
    run: dict[str, int] = field(default_factory=dict)
    repeated: list[datetime] = field(default_factory=list)
    latest: dict[str, datetime] = field(default_factory=dict)

    def died(self, at: datetime) -> None:
        """Note that the daemon died: what it did in the ten minutes before has to be done again because of that."""
        for what, run in self.run.items():
            if self.latest[what] > at - timedelta(minutes=10):
                self.due[what] = self.due.get(what, 0) + run
        self.run.clear()

    def called(self, at: datetime, what: str, *, well: bool, continues: bool) -> None:
        """Note a call."""
        self.latest[what] = at
        if not continues:
            self.due[what] = self.due.get(what, 0) + (self.run.get(what, 0) if self.due.get(what) else 0)
            self.run[what] = 0
        if self.due.get(what):
            self.due[what] -= 1
            self.repeated.append(at)
        if well:
            self.run[what] = self.run.get(what, 0) + 1
        else:
            self.due[what] = self.due.get(what, 0) + 1

    def most_in_an_hour(self) -> int:
        """Count the most repeated calls of any hour."""
        return max((sum(at <= it < at + WINDOW for it in self.repeated) for at in self.repeated), default=0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "next page", "next page", "dies", "dies under way"]),
        st.sampled_from("abc"),
        st.booleans(),
        st.sampled_from([0, 1, 20, 600, 2000]),
    ),
    max_size=120,
)


PAGE_FAILS_TWICE = [
    *[("call", "a", False, 0)] * 3,
    ("call", "b", True, 0),
    ("next page", "b", False, 0),
    ("call", "b", False, 0),
    ("call", "b", True, 0),
    ("call", "b", False, 0),
]
"""What is reserved for a listing's pages is used by a failure amid them, and so lacks for one of them."""


@examples(150)
@given(st.integers(0, 9), STEPS)
@example(4, PAGE_FAILS_TWICE)
def test_no_hour_has_more_repeated_calls_than_configured(
    per_hour: int, steps: list[tuple[str, str, bool, int]]
) -> None:
    """Over simulated hours of failures, listings that begin again, and deaths of the daemon."""
    time, judge = Time(), Judge()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repeats = counted(per_hour, folder, time)
        for step, what, well, seconds in steps:
            time.sleep(seconds)
            if step == "dies":
                judge.died(time.now)
                repeats = counted(per_hour, folder, time)
                continue
            continues = step == "next page"
            if continues and judge.due.get(what, 0) + judge.run.get(what, 0) >= max(per_hour // 2, 1):
                # A listing that is longer than may be reserved has a test of its own.
                continue
            if step == "dies under way":
                try:
                    repeats.begin(what)
                except ThrottledError:
                    continue
                judge.called(time.now, what, well=False, continues=False)
                judge.died(time.now)
                repeats = counted(per_hour, folder, time)
            elif call(repeats, what, well=well, continues=continues):
                judge.called(time.now, what, well=well, continues=continues)
        assert judge.most_in_an_hour() <= per_hour


def test_what_succeeds_is_no_repeated_call() -> None:
    """A look every five seconds, each page of a listing, another prefix: none of these counts."""
    repeats = counted(0)
    for _ in range(50):
        assert call(repeats, "look", well=True)
    assert call(repeats, "list a", well=True)
    for _ in range(50):
        assert call(repeats, "list a", well=True, continues=True)
    assert call(repeats, "list b", well=False)
    assert not call(repeats, "list b", well=True)


def test_two_at_once_are_no_repetition_of_each_other() -> None:
    """The second begins while the first is under way."""
    repeats = counted(0)
    first, second = repeats.begin("a"), repeats.begin("a")
    repeats.ended(first, well=True)
    repeats.ended(second, well=True)
    assert call(repeats, "a", well=True)


def test_when_it_is_used_up_it_says_until_when() -> None:
    """With the configured number and the time of day, and the wait for the loop; then one is let through again."""
    time = Time()
    repeats = counted(2, time=time)
    for _ in range(3):
        assert call(repeats, "a", well=False)
        time.sleep(60)
    with pytest.raises(ThrottledError, match=r"the 2 repeated calls of an hour are used up.* at about 13:01") as caught:
        repeats.begin("a")
    assert caught.value.retry_after == timedelta(minutes=58)
    assert call(repeats, "new", well=True)
    time.sleep(58 * 60)
    assert call(repeats, "a", well=True)


def test_a_listing_that_begins_again_costs_all_the_pages_it_had() -> None:
    """A failed page that is asked for again costs one; from the beginning, each page once more."""
    repeats = counted(10)
    assert call(repeats, "list", well=True)
    for well in (True, True, False, True, False):
        assert call(repeats, "list", well=well, continues=True)
    # Four pages and two failures: one repeated so far; the other and four pages are to be repeated now.
    assert call(repeats, "list", well=True)
    for _ in range(9):
        assert call(repeats, "list", well=True, continues=True)
    for _ in range(4):
        assert call(repeats, "other", well=False)
    assert call(repeats, "other", well=False)
    assert not call(repeats, "other", well=False)


def test_a_listing_begins_again_only_when_all_its_pages_may_be_had() -> None:
    """Else it would stop half way, hour after hour. One longer than half the budget costs half of it, and goes on."""
    time = Time()
    repeats = counted(4, time=time)
    assert call(repeats, "list", well=True)
    for _ in range(50):
        assert call(repeats, "list", well=True, continues=True)
    assert call(repeats, "list", well=False, continues=True)
    for _ in range(4):
        call(repeats, "other", well=False)
    assert not call(repeats, "list", well=True)
    time.sleep(3601)
    assert call(repeats, "list", well=True)
    for _ in range(60):
        assert call(repeats, "list", well=True, continues=True)


def test_a_full_disk_stops_what_is_repeated_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be counted is not repeated; first calls go on, and so does all when there is room again."""
    repeats = counted(10, tmp_path)
    assert call(repeats, "a", well=False)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(ThrottledError, match=r"no call is made again while .*No space left"):
            repeats.begin("a")
        assert call(repeats, "b", well=True)
    assert call(repeats, "a", well=True)


def test_the_ledger_outlives_what_a_death_leaves_of_it(tmp_path: Path) -> None:
    """Half a line, nonsense, a clock that was ahead: what can be read counts, in the future as now."""
    time = Time()
    repeats = counted(2, tmp_path, time)
    for _ in range(3):
        call(repeats, "a", well=False)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes() + b"\xff nonsense\n1e999 x 1 1 1\n1767268800.0 0123 1")
    time.sleep(-7200)
    assert not call(counted(2, tmp_path, time), "a", well=True)
    time.sleep(3601)
    assert call(counted(2, tmp_path, time), "a", well=True)


def test_the_ledger_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written anew now and then, with what still counts; and readable by its owner only."""
    monkeypatch.setattr("slurm_amlfs.adapters.retry_ledger._MOST_LINES", 40)
    time = Time()
    repeats = counted(3, tmp_path, time)
    for _ in range(2):
        call(repeats, "bad", well=False)
    for number in range(200):
        time.sleep(1)
        call(repeats, f"key {number % 5}", well=True)
    path = tmp_path / FILE_NAME
    assert len(path.read_text().splitlines()) <= 40
    assert path.stat().st_mode & 0o777 == 0o600
    again = counted(3, tmp_path, time)
    assert [call(again, "bad", well=False) for _ in range(3)] == [True, True, False]
    assert RetryLedger(path, time.read() + timedelta(days=2)).entries() == ()
