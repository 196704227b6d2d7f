"""The daemon's memory in SQLite: open jobs, stages and transfers, and the history of all of them.

A pass is one transaction, on disk before anything is done about it. A database that is lost or damaged loses no duty:
under the daemon it is written anew from what the daemon knows, and after a start Slurm asks again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from slurm_amlfs.adapters import differences
from slurm_amlfs.adapters.clock import SystemClock
from slurm_amlfs.adapters.damage import damage_in, is_damage, is_wait
from slurm_amlfs.adapters.database_file import DatabaseFile
from slurm_amlfs.adapters.migrations import transaction
from slurm_amlfs.adapters.rows import events_in, records_in
from slurm_amlfs.domain.records import Event, Records
from slurm_amlfs.errors import TemporaryError

FILE_NAME = "amlfs.db"
"""The database in the state directory."""

_CLOCK = SystemClock()

Loaded = tuple[Records, tuple[Event, ...]]


class SqliteStore:
    """One database file."""

    def __init__(
        self, path: Path, now: Callable[[], datetime] = _CLOCK.now, group: int | None = None, term: int = 0
    ) -> None:
        """Open and read the database, or make it; a damaged one is set aside, and a new one made.

        Args:
            path: The file.
            now: Tells what of its history is old.
            group: Who may read it besides its owner.
            term: That of this daemon's tenure on the state directory.

        Raises:
            PermanentError: the file is of a newer release.
            FencedError: a daemon of a later term has written to it.
            TemporaryError: it cannot be opened, or is locked; the disk is full.
        """
        self._path, self._now = path, now
        with _told(path):
            self._file = DatabaseFile(path, group, term)
            try:
                self._loaded: Loaded | None = self._load()
            except (sqlite3.DatabaseError, ValueError) as error:
                if not is_damage(error):
                    raise
                self._file.set_aside(_sentence(error))
                self._loaded = self._load()
            self._mark = self._file.mark()

    @property
    def epoch(self) -> str:
        """Name this database: a new one has a new name (see wire.Site)."""
        return self._mark.epoch

    def load(self) -> Loaded:
        """Read everything that is not closed, with its events. Which leases rest is for the first pass to say.

        Raises:
            TemporaryError: it cannot be read now.
        """
        loaded, self._loaded = self._loaded, None
        with _told(self._path):
            return self._load() if loaded is None else loaded

    def events(self, job_id: int) -> tuple[Event, ...]:
        """Read a job's timeline, a closed job's too."""
        return events_in(self._file.db, job_id)

    def save(self, before: Records, after: Records, events: tuple[Event, ...]) -> None:
        """Write what differs, in one transaction that is on disk when this returns. What is gone becomes history.

        Once a day, what is history for 90 days is forgotten with it. A database that was deleted, replaced or broken
        meanwhile is written anew.

        Raises:
            FencedError: a daemon of a later term has written meanwhile.
            TemporaryError: the disk is full or read-only, or the file is locked; nothing of it was written.
        """
        with _told(self._path), self._shut_by_errors():
            self._loaded = None
            self._file.find_again(self._mark)
            if before == after and not events:
                return
            try:
                self._save(before, after, events)
            except sqlite3.DatabaseError as error:
                # What only seems to be damaged is tried again by who called.
                if not is_damage(error) or not damage_in(self._path):
                    raise
                self._file.set_aside(_sentence(error))
                self._save(before, after, events)

    def close(self) -> None:
        """Close the database."""
        self._file.close()

    def _save(self, before: Records, after: Records, events: tuple[Event, ...]) -> None:
        mark, db = self._mark._replace(saves=self._mark.saves + 1), self._file.db
        with transaction(db):
            self._file.claim()
            if self._file.mark() != self._mark:
                # Another database, or an error told too little: all is known here, so all is written.
                differences.clear(db)
                before = Records()
            differences.write(db, before, after, events)
            differences.prune(db, self._now())
            self._file.put_mark(mark)
        self._mark = mark

    def _load(self) -> Loaded:
        records = records_in(self._file.db)
        return records, tuple(event for job_id in records.jobs for event in self.events(job_id))

    @contextmanager
    def _shut_by_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if not is_wait(error):
                self._file.shut()
            raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        mend = "it is looked at again" if is_damage(error) else "see that the disk has room and nobody else uses it"
        raise TemporaryError(f"{path}: {_sentence(error)}; {mend}") from error


def _sentence(error: BaseException) -> str:
    """Say an error in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())
