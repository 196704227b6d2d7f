"""Holding a state directory by files, and what the daemon's parts do when another has it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slurm_amlfs.adapters.memory_reading import read_term
from slurm_amlfs.adapters.store import SqliteStore
from slurm_amlfs.adapters.tenure import Tenure
from slurm_amlfs.adapters.term_files import FOLDER, Term, TermFiles
from slurm_amlfs.adapters.this_process import began, this_process
from slurm_amlfs.domain.records import Event, Records
from slurm_amlfs.domain.tenure import Holder, Status, Timing, is_dead
from slurm_amlfs.errors import FencedError, TemporaryError
from tests.unit.application.loop_site import Site

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ME = Holder("a", 7, "boot", "pids", "100", NOW.isoformat())
OTHER = replace(ME, host="b")
TIMING = Timing(renew_seconds=1.0, stale_seconds=10.0)


def taken(files: TermFiles, term: int, holder: Holder = ME) -> Term:
    """Take a term that nobody has."""
    found = files.take(term, holder)
    assert found is not None
    return found


class Clock:
    """Seconds, as a test lets them go by."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Read them."""
        return self.now


def test_a_term_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Who holds it, and each renewal; then that it was given back."""
    files = TermFiles(tmp_path)
    assert (files.newest(), files.newest_term()) == (None, 0)
    term = taken(files, 1)
    seen = [files.newest()]
    term.renew()
    seen.append(files.newest())
    term.give_back()
    seen.append(files.newest())

    assert [it and (it.term, it.status, it.beat, it.holder) for it in seen] == [
        (1, Status.HELD, 0, ME),
        (1, Status.HELD, 1, ME),
        (1, Status.GIVEN_BACK, 2, ME),
    ]
    assert [it.name for it in (tmp_path / FOLDER).iterdir()] == ["1"]


def test_of_many_who_want_a_term_one_gets_it(tmp_path: Path) -> None:
    """However they meet."""
    files = TermFiles(tmp_path)
    start = threading.Barrier(8)

    def take(number: int, term: int) -> bool:
        start.wait()
        return files.take(term, replace(ME, pid=number)) is not None

    with ThreadPoolExecutor(8) as pool:
        for term in range(1, 20):
            assert sum(pool.map(take, range(8), [term] * 8)) == 1


def test_a_term_that_was_taken_over_cannot_be_renewed(tmp_path: Path) -> None:
    """What its holder writes then goes nowhere that anybody reads."""
    files = TermFiles(tmp_path)
    old = taken(files, 1)
    taken(files, 2, OTHER)
    old.renew()
    record = files.read(1)

    assert record is not None
    assert (record.status, record.holder) == (Status.TAKEN, OTHER)


def test_who_was_away_for_long_takes_no_old_number(tmp_path: Path) -> None:
    """Records of old terms are forgotten; their numbers are not given again."""
    files = TermFiles(tmp_path)
    for term in range(1, 120):
        taken(files, term).give_back()

    assert files.read(5) is None
    assert files.take(5, OTHER) is None
    assert files.newest_term() == 119


@pytest.mark.parametrize(
    "text", [b"", b"held", b"held 7\n", b"held    1\n[]\n", b"\xff\xfe\n{}", b'held  1\n{"host": 1}\n']
)
def test_a_record_that_cannot_be_read_is_held_by_somebody(tmp_path: Path, text: bytes) -> None:
    """As after a crash of its host: whoever waits counts the time."""
    files = TermFiles(tmp_path)
    (tmp_path / FOLDER / "3").write_bytes(text)
    newest = files.newest()

    assert newest is not None
    assert (newest.term, newest.status) == (3, Status.HELD)
    assert "unknown" in str(newest.holder)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def tenure(tmp_path: Path, clock: Clock) -> Tenure:
    """A tenure that only the test renews."""
    files = TermFiles(tmp_path)
    return Tenure(files, taken(files, 1), TIMING, 60.0, clock)


def test_a_tenure_that_is_not_renewed_lapses_and_comes_back(tenure: Tenure, clock: Clock) -> None:
    """Nothing may be done meanwhile; if nobody took over, it goes on."""
    tenure.check()
    clock.now += 4.9
    tenure.check()
    clock.now += 0.2
    with pytest.raises(TemporaryError, match="not renewed for 5 s"):
        tenure.check()
    tenure.renew()
    tenure.check()


def test_a_tenure_that_was_taken_over_is_lost(tmp_path: Path, tenure: Tenure) -> None:
    """At once, and for good, however fresh it is; the line names who has it."""
    taken(TermFiles(tmp_path), 2, OTHER)
    for _ in range(2):
        with pytest.raises(FencedError, match=r"slurm-amlfsd on b, pid 7, since .* has taken over"):
            tenure.check()
        tenure.renew()
    tenure.give_back()

    assert TermFiles(tmp_path).newest() == taken_by(tmp_path, OTHER)


def taken_by(folder: Path, holder: Holder) -> object:
    """Read the newest record, which has to be a holder's."""
    newest = TermFiles(folder).newest()
    assert newest is not None
    assert (newest.holder, newest.status) == (holder, Status.HELD)
    return newest


def test_a_tenure_whose_records_are_gone_is_lost(tmp_path: Path, tenure: Tenure) -> None:
    """Another may have begun from the first term."""
    (tmp_path / FOLDER / "1").unlink()
    with pytest.raises(FencedError, match="its record is gone"):
        tenure.check()


def test_a_loop_that_is_stuck_lets_its_tenure_lapse(tenure: Tenure, clock: Clock) -> None:
    """It renews as long as the loop goes on, not as long as its thread lives."""
    for _ in range(15):
        clock.now += 4
        tenure.renew()
    tenure.check()
    for _ in range(2):
        clock.now += 4
        tenure.renew()
    with pytest.raises(TemporaryError, match="nothing goes on"):
        tenure.check()
    tenure.went_on()
    tenure.renew()
    tenure.check()


def test_a_tenure_given_back_is_free_at_once(tmp_path: Path, tenure: Tenure) -> None:
    """Its thread ends; what it held says so."""
    tenure.start()
    tenure.give_back()
    newest = TermFiles(tmp_path).newest()

    assert newest is not None
    assert newest.status is Status.GIVEN_BACK


def test_who_this_process_is() -> None:
    """It lives, its parent too; a pid that nobody has, and one that another process has, do not count."""
    me = this_process(NOW)

    assert me.pid == os.getpid()
    assert not is_dead(me, me, began(me.pid))
    assert began(os.getppid()) is not None
    assert began(2**22 + 1) is None
    assert began(2**70) is None
    assert is_dead(replace(me, began="1"), me, began(me.pid))


def test_the_database_knows_the_term(tmp_path: Path) -> None:
    """A daemon of an older term writes nothing any more, whether it had the database open or opens it then."""
    path = tmp_path / "amlfs.db"
    old = SqliteStore(path, term=1)
    old.save(Records(), Records(), (Event(7, NOW, "submitted", ""),))
    assert read_term(path) == 1
    new = SqliteStore(path, term=2)
    with pytest.raises(FencedError, match="in term 2 of the state directory, after 1"):
        old.save(Records(), Records(), (Event(7, NOW, "started", ""),))
    with pytest.raises(FencedError):
        SqliteStore(path, term=1)
    new.save(Records(), Records(), (Event(7, NOW, "ended", ""),))

    assert [it.word for it in new.events(7)] == ["submitted", "ended"]
    assert read_term(path) == 2
    old.close()
    new.close()


def test_the_term_of_no_database() -> None:
    """Is none."""
    assert read_term(Path("/nowhere/amlfs.db")) == 0


def test_a_loop_without_its_tenure_does_nothing(tmp_path: Path) -> None:
    """Nothing is taken from the inbox, stored, posted or asked of Azure; and what had begun begins no errand."""
    site = Site(tmp_path)
    site.submit()
    tenure = Lost()
    site.loop._outside = replace(site.loop._outside, tenure=tenure)  # noqa: SLF001 - as if built with it
    for _ in range(5):
        with pytest.raises(FencedError):
            site.turn()

    assert tenure.turns == 5
    assert len(site.inbox.waiting) == 2
    assert site.board.boards == {}
    assert site.store.load()[0] == Records()
    site.end()


def test_a_loop_that_hung_in_its_pass_tells_nobody(tmp_path: Path) -> None:
    """Another has taken over while it stored what it decided: it posts no board, and what it begins is not done."""
    site = Site(tmp_path)
    site.submit()
    site.loop._outside = replace(site.loop._outside, tenure=LostBySaving(site))  # noqa: SLF001 - as if built with it
    for _ in range(2):
        with pytest.raises(FencedError):
            site.until(lambda: False)

    assert site.store.load()[0] != Records()
    assert site.board.boards == {}
    assert site.arm.jobs == {}
    site.end()


class LostBySaving:
    """A tenure that is over as soon as anything is stored."""

    def __init__(self, site: Site) -> None:
        self._store = site.store

    def check(self) -> None:
        """Refuse what comes after the save."""
        if self._store.saved:
            raise FencedError("another has taken over")

    def went_on(self) -> None:
        """Pass it over."""


class Lost:
    """A tenure that another has."""

    turns = 0

    def check(self) -> None:
        """Refuse."""
        raise FencedError("another has taken over")

    def went_on(self) -> None:
        """Count."""
        self.turns += 1
