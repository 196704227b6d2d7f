"""Reading the daemon's database from another process, whether the daemon runs or is dead."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from slurm_amlfs.adapters.migrations import VERSION, version_of
from slurm_amlfs.adapters.rows import events_in, records_in
from slurm_amlfs.domain.records import Event, Records
from slurm_amlfs.errors import TemporaryError

_HEAD_BYTES = 19
_HAS_LOG = b"\x02"
"""The read version in the database header (sqlite.org/fileformat2.html): 2 with a write-ahead log."""


def read_events(path: Path, job_id: int) -> tuple[Event, ...]:
    """Read a job's timeline from the database of a daemon that may be running or dead.

    Raises:
        TemporaryError: it cannot be read: it is not there, or not for this user.
    """
    with _reading(path) as db:
        return events_in(db, job_id)


def read_records(path: Path) -> Records:
    """Read everything that is not closed, as it is at one moment; raises as `read_events` does."""
    with _reading(path) as db:
        if version_of(db) != VERSION:
            raise TemporaryError(f"{path} is of another release; use the slurm-amlfs of the daemon that wrote it")
        db.execute("BEGIN")
        return records_in(db)


def read_term(path: Path) -> int:
    """Read the latest term of the state directory in which the database was written to, 0 if that cannot be told."""
    with suppress(TemporaryError, sqlite3.DatabaseError), _reading(path) as db:
        found = db.execute("SELECT value FROM meta WHERE key = 'term'").fetchone()
        return int(found[0]) if found is not None and str(found[0]).isdecimal() else 0
    return 0


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to read. One that nobody has open is taken as it lies, by who may make no files beside it."""
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?{_how(path)}", uri=True, timeout=5, isolation_level=None)
        try:
            yield db
        finally:
            db.close()
    except sqlite3.OperationalError as error:
        raise TemporaryError(f"{path} cannot be read ({error}); operators may, and so may root") from error


def _how(path: Path) -> str:
    """Say how to open a database; the files of a write-ahead log are there while it is open, and after a crash."""
    with suppress(OSError), path.open("rb") as file:
        if file.read(_HEAD_BYTES)[-1:] != _HAS_LOG:
            return "mode=ro"
    return "mode=ro" if Path(f"{path}-wal").exists() or os.access(path.parent, os.W_OK) else "immutable=1"
