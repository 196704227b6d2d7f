"""Databases of older and newer releases, as files that these releases would have left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from slurm_amlfs.adapters import migrations
from slurm_amlfs.adapters.migrations import VERSION, migrate, version_of
from slurm_amlfs.adapters.store import SqliteStore
from slurm_amlfs.domain.ask import Ask, Conflict, Direction
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Event, Job, Records, Stage, StageKey, Transfer, TransferKind
from slurm_amlfs.domain.tempo import Tempo
from slurm_amlfs.errors import PermanentError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
JOB = Job(7, 61001, 61001, ("stage_in prefix=/a/", "stage_out prefix=/jobs/7/"), NOW)
IN = Stage(StageKey(7, Direction.IN, 0), Ask(Direction.IN, ("/a/",)), "amlfs", Phase.RUNNING, NOW)
OUT = Stage(StageKey(7, Direction.OUT, 0), Ask(Direction.OUT, ("/jobs/7/",)), "amlfs", Phase.EXPORTING, NOW)
LEASE = Lease(LeaseKey("amlfs", "/a/", Conflict.SKIP, 1000), NOW, NOW)
TRANSFER = Transfer("amlfs-7-x", "amlfs", TransferKind.ARCHIVE, ("/jobs/7/",), NOW, stages=(OUT.key,))
TEMPO = Tempo.assume(5, 2000)
EVENT = Event(7, NOW, "submitted", "stage_in prefix=/a/")

# As the releases wrote them; a format that has been released is never changed here.
FORMAT_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE job (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE stage (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE transfer (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE past (job_id INTEGER NOT NULL, kind TEXT NOT NULL, record TEXT NOT NULL) STRICT;
CREATE INDEX past_job ON past (job_id);
CREATE TABLE event (job_id INTEGER NOT NULL, at REAL NOT NULL, word TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
CREATE INDEX event_job ON event (job_id, at);
INSERT INTO meta VALUES ('epoch', 'old');
PRAGMA user_version=1;
"""
FORMAT_2 = """
CREATE TABLE lease (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE tempo (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
PRAGMA user_version=2;
"""


def _json(kind: type, record: object) -> str:
    return TypeAdapter(kind).dump_json(record).decode()


def _old_stage(stage: Stage) -> str:
    """Write a stage as it was before the third format: its exports were prefixes, its import its own."""
    more = ',"alone":true,"missing":["a"]}'
    return _json(Stage, stage).replace('"todo":[]', '"todo":["/jobs/7/"]')[:-1] + more


def _fill(db: sqlite3.Connection, *, leases: bool) -> None:
    db.execute("INSERT INTO job VALUES ('7', ?)", (_json(Job, JOB),))
    for stage in (IN, OUT):
        db.execute("INSERT INTO stage VALUES (?, ?)", (str(stage.key), _old_stage(stage)))
    db.execute("INSERT INTO transfer VALUES (?, ?)", (TRANSFER.transfer_id, _json(Transfer, TRANSFER)))
    db.execute("INSERT INTO event VALUES (7, ?, ?, ?)", (NOW.timestamp(), EVENT.word, EVENT.detail))
    db.execute("INSERT INTO past VALUES (3, 'job', '{}')")
    if leases:
        db.execute("INSERT INTO lease VALUES (?, ?)", (str(LEASE.key), _json(Lease, LEASE)))
        db.execute("INSERT INTO tempo VALUES ('amlfs', ?)", (_json(Tempo, TEMPO),))
    db.commit()


def _first(db: sqlite3.Connection) -> None:
    db.executescript(FORMAT_1)
    _fill(db, leases=False)


def _second(db: sqlite3.Connection) -> None:
    db.executescript(FORMAT_1 + FORMAT_2)
    _fill(db, leases=True)


OPEN = Records({7: JOB}, {IN.key: IN, OUT.key: OUT}, {TRANSFER.transfer_id: TRANSFER})
CARRIED = [
    pytest.param(_first, OPEN, id="1"),
    pytest.param(
        _second, Records(OPEN.jobs, OPEN.stages, OPEN.transfers, {LEASE.key: LEASE}, {"amlfs": TEMPO}), id="2"
    ),
]
Make = Callable[[sqlite3.Connection], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a database that is not there yet."""
    return tmp_path / "amlfs.db"


@pytest.fixture
def store(path: Path) -> Iterator[Callable[[], SqliteStore]]:
    """A maker of stores on that path, which are closed at the end."""
    opened: list[SqliteStore] = []

    def make() -> SqliteStore:
        opened.append(SqliteStore(path))
        return opened[-1]

    yield make
    for it in opened:
        it.close()


def test_every_older_format_is_tested() -> None:
    """Whoever adds a step adds the file that it starts from."""
    assert len(CARRIED) == VERSION - 1


@pytest.mark.parametrize(("make", "carried"), CARRIED)
def test_an_older_database_is_taken_over(
    path: Path, store: Callable[[], SqliteStore], make: Make, carried: Records
) -> None:
    """Its records, events, history and name stay; what an export had to archive is looked for again."""
    with closing(sqlite3.connect(path)) as db:
        make(db)
    taken = store()

    assert taken.load() == (carried, (EVENT,))
    assert taken.epoch == "old"
    with closing(sqlite3.connect(path)) as db:
        assert version_of(db) == VERSION
        assert db.execute("SELECT job_id, kind FROM past").fetchall() == [(3, "job")]


@pytest.mark.parametrize(("make", "carried"), CARRIED)
def test_who_dies_between_two_steps_goes_on(
    path: Path, store: Callable[[], SqliteStore], monkeypatch: pytest.MonkeyPatch, make: Make, carried: Records
) -> None:
    """Each step that was made stays made; the next start makes the rest."""
    with closing(sqlite3.connect(path)) as db:
        make(db)
    steps = migrations.STEPS
    for done in range(2, VERSION):
        monkeypatch.setattr(migrations, "STEPS", (*steps[:done], ("SELECT 1", "SELECT no_such_thing")))
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            with pytest.raises(sqlite3.OperationalError):
                migrate(db, path)
            assert version_of(db) == done
            assert not db.in_transaction
    monkeypatch.setattr(migrations, "STEPS", steps)

    assert store().load() == (carried, (EVENT,))


def test_a_step_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what it did nor its number."""
    monkeypatch.setattr(migrations, "STEPS", (("CREATE TABLE half (a)", "SELECT no_such_thing"),))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        with pytest.raises(sqlite3.OperationalError):
            migrate(db, path)
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == []
        assert version_of(db) == 0


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_newer_database_is_refused_untouched(path: Path, mode: str) -> None:
    """With the way out in the message, and not a byte or a right of any file changed."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode={mode}")
        db.executescript(f"CREATE TABLE job (id INTEGER, far BLOB); PRAGMA user_version={VERSION + 1};")
    path.chmod(0o644)
    before = {it: (it.read_bytes(), it.stat().st_mode, it.stat().st_mtime_ns) for it in path.parent.iterdir()}
    with pytest.raises(PermanentError, match="written by a newer release"):
        SqliteStore(path)

    assert {it: (it.read_bytes(), it.stat().st_mode, it.stat().st_mtime_ns) for it in path.parent.iterdir()} == before


def test_a_newer_database_is_refused_though_its_header_is_old(path: Path) -> None:
    """A newer release that was killed while it migrated may have told its format beside the file only."""
    SqliteStore(path).close()
    newer = sqlite3.connect(path, isolation_level=None)
    newer.execute(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(PermanentError, match="written by a newer release"):
        SqliteStore(path)
    newer.close()
