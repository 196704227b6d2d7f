"""The daemon's memory in SQLite: open jobs, stages and transfers, and the history of all of them.

A pass is one transaction, on disk before anything is done about it. Deleting the file loses no duty: Slurm asks again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from slurm_amlfs.adapters import differences
from slurm_amlfs.adapters.clock import SystemClock
from slurm_amlfs.adapters.migrations import migrate, refuse_newer, transaction
from slurm_amlfs.adapters.rows import events_in, records_in
from slurm_amlfs.domain.records import Event, Records
from slurm_amlfs.errors import PermanentError, TemporaryError

FILE_NAME = "amlfs.db"
"""The database in the state directory."""

_CLOCK = SystemClock()


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
            refuse_newer(path)
            # SQLite gives its other files, which hold what is written last, the rights of the database.
            path.touch(0o600)
            path.chmod(0o600 if group is None else 0o640)
            if group is not None:
                os.chown(path, -1, group)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            migrate(self._db, path)

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
            records = records_in(self._db)
            events = [event for job_id in records.jobs for event in self.events(job_id)]
        return records, tuple(events)

    def events(self, job_id: int) -> tuple[Event, ...]:
        """Read a job's timeline, a closed job's too."""
        return events_in(self._db, job_id)

    def save(self, before: Records, after: Records, events: tuple[Event, ...]) -> None:
        """Write what differs, in one transaction that is on disk when this returns. What is gone becomes history.

        Once a day, what is history for 90 days is forgotten with it.

        Raises:
            PermanentError: the database is damaged.
            TemporaryError: the disk is full, or the file is locked.
        """
        if before == after and not events:
            return
        with self._told(), transaction(self._db):
            differences.write(self._db, before, after, events)
            differences.prune(self._db, self._now())

    def close(self) -> None:
        """Close the database."""
        self._db.close()

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
