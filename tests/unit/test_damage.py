"""What becomes of a database that is damaged, deleted, replaced, locked or out of room."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slurm_amlfs.adapters.damage import is_damage
from slurm_amlfs.adapters.store import SqliteStore
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.records import Event, Job, Life, Records
from slurm_amlfs.errors import TemporaryError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
JOB = Job(7, 61001, 61001, ("stage_in prefix=/a/",), NOW)
LEASES = {
    (key := LeaseKey("amlfs", f"/data/{number}/", Conflict.SKIP, 1000)): Lease(key, NOW, NOW, message="x" * 500)
    for number in range(200)
}
FIRST = Records({7: JOB}, leases=LEASES)
SECOND = replace(FIRST, jobs={7: replace(JOB, life=Life.RUNNING), 8: replace(JOB, job_id=8)})
EVENTS = (Event(7, NOW, "submitted", "stage_in prefix=/a/"),)
PAGE = 4096

Open = Callable[[], SqliteStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a database that is not there yet, in a folder of its own."""
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "amlfs.db"


@pytest.fixture
def start(path: Path) -> Iterator[Open]:
    """A maker of stores on that path, which are closed at the end."""
    opened: list[SqliteStore] = []

    def make() -> SqliteStore:
        opened.append(SqliteStore(path))
        return opened[-1]

    yield make
    for it in opened:
        it.close()


@pytest.fixture
def filled(path: Path) -> str:
    """Leave a database with something in it; give its name."""
    store = SqliteStore(path)
    store.save(Records(), FIRST, EVENTS)
    store.close()
    return store.epoch


def aside(path: Path) -> list[Path]:
    """List what was set aside."""
    return sorted(path.parent.glob("amlfs.db.damaged-*"))


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def _truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _corrupt_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // PAGE // 2 * PAGE)
        file.write(b"\xa5" * PAGE)


def _no_record(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE job SET record = '{\"job_id\": 7}'")


def _no_text(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE job SET record = CAST(x'ff00fe' AS TEXT)")


def _no_table(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE lease")


def _of_something_else(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")


DAMAGES = [_garbage, _truncated, _corrupt_page, _no_record, _no_text, _no_table, _of_something_else]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_set_aside(
    path: Path, filled: str, start: Open, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    """Whole, under a dated name, in one line; the daemon starts with a new one that Slurm's hooks know for new."""
    damage(path)
    was = path.read_bytes()
    with caplog.at_level(logging.INFO):
        store = start()

    assert store.load() == (Records(), ())
    assert store.epoch != filled
    (kept,) = aside(path)
    assert kept.read_bytes() == was
    assert [it.getMessage() for it in caplog.records] == ["database-set-aside"]
    store.save(Records(), FIRST, ())
    assert start().load()[0] == FIRST


def test_two_damaged_databases_are_both_kept(path: Path, start: Open) -> None:
    """Also when they are set aside within a second."""
    for text in (b"one", b"two"):
        path.write_bytes(text * 1000)
        start().close()

    assert {it.read_bytes()[:3] for it in aside(path)} == {b"one", b"two"}


def test_an_empty_file_is_a_new_database(path: Path, start: Open) -> None:
    """There is nothing to set aside."""
    path.touch()

    assert start().load() == (Records(), ())
    assert aside(path) == []


@pytest.mark.usefixtures("filled")
def test_a_locked_database_is_not_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and untouched."""
    connect = sqlite3.connect
    with closing(connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **named: connect(*args, **{**named, "timeout": 0}))
        with pytest.raises(TemporaryError, match="locked"):
            SqliteStore(path)

    assert aside(path) == []
    monkeypatch.undo()
    store = SqliteStore(path)
    assert store.load()[0] == FIRST
    store.close()


@pytest.mark.parametrize(
    ("code", "damaged"),
    [
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_CORRUPT_INDEX, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_IOERR, False),
        (sqlite3.SQLITE_IOERR_READ, False),
        (sqlite3.SQLITE_IOERR_CORRUPTFS, False),
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_READONLY, False),
        (sqlite3.SQLITE_CANTOPEN, False),
        (sqlite3.SQLITE_PERM, False),
        (sqlite3.SQLITE_NOMEM, False),
    ],
)
def test_only_broken_contents_are_damage(code: int, damaged: bool) -> None:  # noqa: FBT001 - a column of the table above
    """What can be put right by waiting never costs a good database."""
    error = sqlite3.DatabaseError("as SQLite says it")
    error.sqlite_errorcode = code

    assert is_damage(error) is damaged


@pytest.mark.usefixtures("filled")
def test_damage_under_the_daemon_costs_nothing(path: Path, start: Open) -> None:
    """What it knows is written anew, under the old name, and no hook has to ask again."""
    store = start()
    store._file.db.execute("PRAGMA cache_size=1")  # noqa: SLF001 - else SQLite would not look at the file again
    store._file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # noqa: SLF001
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)
    store.save(FIRST, SECOND, ())

    again = start()
    assert again.load()[0] == SECOND
    assert again.epoch == store.epoch
    assert len([it for it in aside(path) if not it.name.endswith(("-wal", "-shm"))]) == 1


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("which", ["amlfs.db", "amlfs.db*"])
def test_a_database_deleted_under_the_daemon_is_put_back(path: Path, start: Open, which: str) -> None:
    """With all of its history, and under its old name, with the next thing that is remembered."""
    store = start()
    for file in path.parent.glob(which):
        file.unlink()
    store.save(FIRST, SECOND, ())

    again = start()
    assert again.load() == (SECOND, EVENTS)
    assert again.epoch == store.epoch
    store.save(SECOND, FIRST, ())
    assert start().load()[0] == FIRST


@pytest.mark.usefixtures("filled")
def test_another_database_in_its_place_is_set_aside(path: Path, start: Open) -> None:
    """As a copy of yesterday: what the daemon knows is newer."""
    copy = path.with_name("yesterday")
    shutil.copy(path, copy)
    store = start()
    store.save(FIRST, SECOND, ())
    copy.replace(path)
    strange = path.stat().st_ino
    store.save(SECOND, replace(SECOND, leases={}), ())

    assert start().load() == (replace(SECOND, leases={}), EVENTS)
    assert aside(path)[0].stat().st_ino == strange


@pytest.mark.usefixtures("filled")
def test_a_folder_that_is_gone_makes_no_new_database(path: Path, start: Open) -> None:
    """A file system that is not mounted hides a good one; it goes on when that is back."""
    store = start()
    hidden = path.parent.with_name("hidden")
    path.parent.rename(hidden)
    path.parent.mkdir()
    with pytest.raises(TemporaryError, match="mounted"):
        store.save(FIRST, SECOND, ())
    assert list(path.parent.iterdir()) == []
    path.parent.rmdir()
    hidden.rename(path.parent)
    store.save(FIRST, SECOND, ())

    assert start().load()[0] == SECOND


@pytest.mark.usefixtures("filled")
def test_a_full_disk_leaves_what_was(start: Open) -> None:
    """All of a pass or nothing of it; it goes on by itself when there is room."""
    store = start()
    db = store._file.db  # noqa: SLF001 - as full as a disk can be
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count={pages}")
    large = replace(SECOND, jobs={**SECOND.jobs, 9: replace(JOB, job_id=9, comment="x" * 50 * PAGE)})
    for _ in range(2):
        with pytest.raises(TemporaryError, match="disk is full; see that the disk has room"):
            store.save(FIRST, large, EVENTS)
        assert not db.in_transaction
    assert start().load() == (FIRST, EVENTS)
    db.execute("PRAGMA max_page_count=1000000")
    store.save(FIRST, large, ())

    assert start().load()[0] == large
