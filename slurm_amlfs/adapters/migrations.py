"""The formats of the daemon's database, and what leads from each to the next.

Each step is a transaction of its own that ends with the number of the format it made, kept in SQLite's user_version:
who dies between two steps goes on with the next.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slurm_amlfs.errors import PermanentError

Step = tuple[str, ...]

STEPS: tuple[Step, ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        "CREATE TABLE job (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT",
        "CREATE TABLE stage (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT",
        "CREATE TABLE transfer (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT",
        "CREATE TABLE past (job_id INTEGER NOT NULL, kind TEXT NOT NULL, record TEXT NOT NULL) STRICT",
        "CREATE INDEX past_job ON past (job_id)",
        """CREATE TABLE event (
            job_id INTEGER NOT NULL, at REAL NOT NULL, word TEXT NOT NULL, detail TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX event_job ON event (job_id, at)",
    ),
    (
        "CREATE TABLE lease (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT",
        "CREATE TABLE tempo (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT",
    ),
    # What an export has still to archive was a list of prefixes; without it the export is looked at again.
    ("UPDATE stage SET record = json_set(record, '$.todo', json('[]'))",),
)

VERSION = len(STEPS)
"""The format that this release reads and writes."""

_MAGIC = b"SQLite format 3\x00"
_USER_VERSION = slice(60, 64)
"""Where the database header has it (sqlite.org/fileformat2.html)."""


def refuse_newer(path: Path) -> None:
    """Look into the file of a database, without SQLite, which would make files beside it; it may be not there.

    Raises:
        PermanentError: it is of a newer release.
        OSError: it cannot be read.
    """
    if path.exists():
        with path.open("rb") as file:
            head = file.read(_USER_VERSION.stop)
        if head.startswith(_MAGIC):
            _refuse(path, int.from_bytes(head[_USER_VERSION], "big", signed=True))


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring a database, which may be empty, to the format of this release.

    Raises:
        PermanentError: it is of a newer release.
        sqlite3.Error: a step failed, and left nothing.
    """
    version = version_of(db)
    _refuse(path, version)
    for number, step in enumerate(STEPS[version:], version + 1):
        with transaction(db):
            for statement in step:
                db.execute(statement)
            if number == 1:
                db.execute("INSERT INTO meta VALUES ('epoch', ?)", (uuid.uuid4().hex,))
            db.execute(f"PRAGMA user_version={number}")


def version_of(db: sqlite3.Connection) -> int:
    """Read the number of a database's format; an empty one has 0."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Have all of it or nothing; what ends well is on disk."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite itself takes it back after some errors, as of a full disk.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _refuse(path: Path, version: int) -> None:
    if version > VERSION:
        raise PermanentError(
            f"{path} was written by a newer release (format {version}, this one reads {VERSION}); "
            "upgrade slurm_amlfs, or move the file away: nothing that Slurm still wants is lost"
        )
