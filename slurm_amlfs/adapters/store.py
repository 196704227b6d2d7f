"""The daemon's memory in SQLite: open jobs, stages and transfers, and the history of all of them.

Records are kept as JSON, written and read by pydantic from the domain's own dataclasses. A pass is one transaction,
on disk before anything is done about it. Deleting the file loses no duty: Slurm asks again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from slurm_amlfs.adapters.clock import SystemClock
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.records import Event, Job, Records, Stage, Transfer
from slurm_amlfs.domain.tempo import Tempo
from slurm_amlfs.errors import PermanentError, TemporaryError

FILE_NAME = "amlfs.db"
"""The database in the state directory."""

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE job (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE stage (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE transfer (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE past (job_id INTEGER NOT NULL, kind TEXT NOT NULL, record TEXT NOT NULL) STRICT;
CREATE INDEX past_job ON past (job_id);
CREATE TABLE event (
    job_id INTEGER NOT NULL, at REAL NOT NULL, word TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE INDEX event_job ON event (job_id, at);
"""

_STEPS = (
    _SCHEMA,
    """
CREATE TABLE lease (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE tempo (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
""",
    # What an export has still to archive was a list of prefixes; without it the export is looked at again.
    "UPDATE stage SET record = json_set(record, '$.todo', json('[]'))",
)
"""What leads from each format of the database to the next; the first from an empty file."""

_PUT = {
    "job": "INSERT OR REPLACE INTO job VALUES (?, ?)",
    "stage": "INSERT OR REPLACE INTO stage VALUES (?, ?)",
    "transfer": "INSERT OR REPLACE INTO transfer VALUES (?, ?)",
    "lease": "INSERT OR REPLACE INTO lease VALUES (?, ?)",
    "tempo": "INSERT OR REPLACE INTO tempo VALUES (?, ?)",
}
_DROP = {
    "job": (
        "INSERT INTO past SELECT CAST(id AS INTEGER), 'job', record FROM job WHERE id = ?",
        "DELETE FROM job WHERE id = ?",
    ),
    "stage": (
        "INSERT INTO past SELECT CAST(id AS INTEGER), 'stage', record FROM stage WHERE id = ?",
        "DELETE FROM stage WHERE id = ?",
    ),
    "transfer": ("DELETE FROM transfer WHERE id = ?",),
    "lease": ("DELETE FROM lease WHERE id = ?",),
    "tempo": ("DELETE FROM tempo WHERE id = ?",),
}

KEPT = timedelta(days=90)
"""How long a job's history is kept after its last event."""
_PRUNE_EVERY = timedelta(days=1)

_PRUNE_PAST = """
DELETE FROM past WHERE CAST(job_id AS TEXT) NOT IN (SELECT id FROM job)
AND EXISTS (SELECT 1 FROM event WHERE event.job_id = past.job_id)
AND NOT EXISTS (SELECT 1 FROM event WHERE event.job_id = past.job_id AND at >= :before)
"""
_PRUNE_EVENT = """
DELETE FROM event WHERE CAST(job_id AS TEXT) NOT IN (SELECT id FROM job)
AND NOT EXISTS (SELECT 1 FROM event AS later WHERE later.job_id = event.job_id AND later.at >= :before)
"""

_CLOCK = SystemClock()

VERSION = len(_STEPS)
"""Of the schema above; kept in SQLite's user_version."""

K = TypeVar("K")
T = TypeVar("T")

_JOB = TypeAdapter(Job)
_STAGE = TypeAdapter(Stage)
_TRANSFER = TypeAdapter(Transfer)
_LEASE = TypeAdapter(Lease)
_TEMPO = TypeAdapter(Tempo)


class SqliteStore:
    """One database file."""

    def __init__(self, path: Path, now: Callable[[], datetime] = _CLOCK.now, group: int | None = None) -> None:
        """Open the database, or make it; `now` tells what of its history is old, `group` may read it besides its owner.

        Raises:
            PermanentError: the file is of a newer release, or no database.
            TemporaryError: it cannot be opened or is locked.
        """
        self._path, self._now = path, now
        with self._told():
            # SQLite gives its other files, which hold what is written last, the rights of the database.
            path.touch(0o600)
            path.chmod(0o600 if group is None else 0o640)
            if group is not None:
                os.chown(path, -1, group)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._prepare()

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise PermanentError(
                f"{self._path} was written by a newer release (format {version}, this one reads {VERSION}); "
                "upgrade slurm_amlfs, or move the file away: nothing that Slurm still wants is lost"
            )
        if version < VERSION:
            with self._transaction():
                for step in _STEPS[version:]:
                    for statement in step.split(";"):
                        self._db.execute(statement)
                if version == 0:
                    self._db.execute("INSERT INTO meta VALUES ('epoch', ?)", (uuid.uuid4().hex,))
                self._db.execute(f"PRAGMA user_version={VERSION}")

    @property
    def epoch(self) -> str:
        """Name this database: a new one has a new name (see wire.Site)."""
        (epoch,) = self._db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        return str(epoch)

    def load(self) -> tuple[Records, tuple[Event, ...]]:
        """Read everything that is not closed, with its events. Which leases rest is for the first pass to say.

        Raises:
            PermanentError: the database is damaged.
            TemporaryError: it cannot be read now.
        """
        with self._told():
            records = _records(self._db)
            events = [event for job_id in records.jobs for event in self.events(job_id)]
        return records, tuple(events)

    def events(self, job_id: int) -> tuple[Event, ...]:
        """Read a job's timeline, a closed job's too."""
        return _events(self._db, job_id)

    def save(self, before: Records, after: Records, events: tuple[Event, ...]) -> None:
        """Write what differs, in one transaction that is on disk when this returns. What is gone becomes history.

        Once a day, what is history for 90 days is forgotten with it.

        Raises:
            PermanentError: the database is damaged.
            TemporaryError: the disk is full, or the file is locked.
        """
        if before == after and not events:
            return
        with self._told(), self._transaction():
            self._save("job", _JOB, before.jobs, after.jobs)
            self._save("stage", _STAGE, before.stages, after.stages)
            self._save("transfer", _TRANSFER, before.transfers, after.transfers)
            laid, lies = before.resting.apart(after.resting)
            self._save("lease", _LEASE, {**before.leases, **laid}, {**after.leases, **lies})
            self._save("tempo", _TEMPO, before.tempos, after.tempos)
            self._db.executemany(
                "INSERT INTO event VALUES (?, ?, ?, ?)",
                [(it.job_id, it.at.timestamp(), it.word, _storable(it.detail)) for it in events],
            )
            self._prune(self._now())

    def _prune(self, now: datetime) -> None:
        row = self._db.execute("SELECT value FROM meta WHERE key = 'pruned'").fetchone()
        # Absolute: a clock that was set back must not stop it for ever.
        if row is not None and abs(now.timestamp() - float(row[0])) < _PRUNE_EVERY.total_seconds():
            return
        for statement in (_PRUNE_PAST, _PRUNE_EVENT):
            self._db.execute(statement, {"before": (now - KEPT).timestamp()})
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('pruned', ?)", (str(now.timestamp()),))

    def _save(self, table: str, adapter: TypeAdapter[T], before: Mapping[K, T], after: Mapping[K, T]) -> None:
        put = _PUT[table]
        changed = [
            (key, record) for key, record in after.items() if (old := before.get(key)) is not record and old != record
        ]
        self._db.executemany(put, [(str(key), _dump(adapter, record)) for key, record in changed])
        for key in [key for key in before if key not in after]:
            for statement in _DROP[table]:
                self._db.execute(statement, (str(key),))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise TemporaryError(
                f"{self._path}: {error}; see that the disk has room and nobody else uses it"
            ) from error
        except sqlite3.DatabaseError as error:
            raise PermanentError(
                f"{self._path} is damaged: {error}; move it away and start again: Slurm asks for all it still wants"
            ) from error


def _dump(adapter: TypeAdapter[T], record: T) -> str:
    """Write a record as JSON; half a surrogate pair in it, which no text of ours has, becomes "?"."""
    try:
        return adapter.dump_json(record).decode()
    except PydanticSerializationError:
        text = json.dumps(adapter.dump_python(record, mode="json"), ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _records(db: sqlite3.Connection) -> Records:
    jobs = [_JOB.validate_json(row) for (row,) in db.execute("SELECT record FROM job")]
    stages = [_STAGE.validate_json(row) for (row,) in db.execute("SELECT record FROM stage")]
    transfers = [_TRANSFER.validate_json(row) for (row,) in db.execute("SELECT record FROM transfer")]
    leases = [_LEASE.validate_json(row) for (row,) in db.execute("SELECT record FROM lease")]
    return Records(
        {job.job_id: job for job in jobs},
        {stage.key: stage for stage in stages},
        {transfer.transfer_id: transfer for transfer in transfers},
        {lease.key: lease for lease in leases},
        {name: _TEMPO.validate_json(row) for name, row in db.execute("SELECT id, record FROM tempo")},
    )


def read_events(path: Path, job_id: int) -> tuple[Event, ...]:
    """Read a job's timeline from the database of a daemon that may be running or dead.

    Raises:
        TemporaryError: it cannot be read: it is not there, or not for this user.
    """
    with _reading(path) as db:
        return _events(db, job_id)


def read_records(path: Path) -> Records:
    """Read everything that is not closed, as it is at one moment; raises as `read_events` does."""
    with _reading(path) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise TemporaryError(f"{path} is of another release; use the slurm-amlfs of the daemon that wrote it")
        db.execute("BEGIN")
        return _records(db)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to read. One that nobody has open is taken as it lies, by who may make no files beside it."""
    try:
        # The files beside it are there while it is open, and after a crash.
        how = "mode=ro" if Path(f"{path}-wal").exists() or os.access(path.parent, os.W_OK) else "immutable=1"
        db = sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=5, isolation_level=None)
        try:
            yield db
        finally:
            db.close()
    except sqlite3.OperationalError as error:
        raise TemporaryError(f"{path} cannot be read ({error}); operators may, and so may root") from error


def _events(db: sqlite3.Connection, job_id: int) -> tuple[Event, ...]:
    rows = db.execute("SELECT at, word, detail FROM event WHERE job_id = ? ORDER BY at, rowid", (job_id,))
    return tuple(Event(job_id, datetime.fromtimestamp(at, UTC), word, detail) for at, word, detail in rows)
