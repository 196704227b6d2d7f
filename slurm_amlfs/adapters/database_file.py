"""The file of the daemon's database: opened, watched for being lost, and opened again."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from slurm_amlfs.adapters.damage import damage_in, rescue, set_aside
from slurm_amlfs.adapters.local_disk import is_local
from slurm_amlfs.adapters.log import event
from slurm_amlfs.adapters.migrations import migrate, refuse_newer, transaction
from slurm_amlfs.errors import FencedError

_LOG = logging.getLogger(__name__)


class Mark(NamedTuple):
    """What tells one database, and one state of it, from another: its name, and how often it was saved to."""

    epoch: str
    saves: int


class _Place(NamedTuple):
    """Which file, in which folder, by device and inode; None for what is not there."""

    folder: tuple[int, int] | None
    file: tuple[int, int] | None


class DatabaseFile:
    """One database, of the format of this release; a damaged one is set aside, and a new one made.

    Attributes:
        db: The connection.

    Raises:
        PermanentError: the file is of a newer release.
        FencedError: a daemon of a later term has written to it.
        sqlite3.Error, OSError: it cannot be opened now.
    """

    def __init__(self, path: Path, group: int | None, term: int = 0) -> None:
        self.path, self._group, self._term = path, group, term
        self._shut = False
        self.open()

    def mark(self) -> Mark:
        """Read which state of which database it holds."""
        found = dict(self.db.execute("SELECT key, value FROM meta WHERE key IN ('epoch', 'saves')"))
        saves = str(found.get("saves", ""))
        return Mark(str(found.get("epoch", "")), int(saves) if saves.isdecimal() else 0)

    def put_mark(self, mark: Mark) -> None:
        """Write which state of which database it holds, inside a transaction."""
        known = self.mark()
        for key, value, old in (("epoch", mark.epoch, known.epoch), ("saves", mark.saves, known.saves)):
            if value != old:
                self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value)))

    def claim(self) -> None:
        """See, inside a transaction, that no later term has written here, and write this daemon's.

        Raises:
            FencedError: one has.
        """
        found = self.db.execute("SELECT value FROM meta WHERE key = 'term'").fetchone()
        known = int(found[0]) if found is not None and str(found[0]).isdecimal() else 0
        if known > self._term:
            raise FencedError(f"{self.path} was written to in term {known} of the state directory, after {self._term}")
        if known < self._term:
            self.db.execute("INSERT OR REPLACE INTO meta VALUES ('term', ?)", (str(self._term),))

    def open(self) -> None:
        """Open what is there, or make it."""
        refuse_newer(self.path)
        if not self.path.exists():
            set_aside(self.path, "the database that these files belong to is gone")
        elif why := damage_in(self.path):
            set_aside(self.path, why)
        self._connect()
        migrate(self.db, self.path)
        with transaction(self.db):
            self.claim()
        self._place = _place(self.path)

    def close(self) -> None:
        """Close it. Twice is success."""
        with suppress(sqlite3.Error):
            self.db.close()

    def shut(self) -> None:
        """Have it opened again before it is used again: an error may have left the connection unfit."""
        self._shut = True

    def find_again(self, mark: Mark) -> None:
        """See that it is the file that was open, and open that again if it has to be; `mark` is what it should hold.

        What was deleted is put back, what was replaced is set aside.

        Raises:
            PermanentError, sqlite3.Error, OSError: as when it was opened; or its whole folder is another.
        """
        place = _place(self.path)
        if place == self._place and not self._shut:
            return
        self._shut = True
        if place.file is None and place.folder != self._place.folder:
            raise OSError("its folder is not the one that it was in; see that its file system is mounted")
        if place.file is not None and place.file != self._place.file:
            set_aside(self.path, "it is not the file that this daemon has opened")
        if place.file != self._place.file:
            kept = rescue(self.db, self.path)
            event(_LOG, logging.WARNING, "database-deleted", file=self.path, history="kept" if kept else "lost")
        self.close()
        self.open()
        if self.mark() != mark:
            self.set_aside("it is not what this daemon wrote last")
        self._shut = False

    def set_aside(self, why: str) -> None:
        """Give it a dated name, and make a new one."""
        self._shut = True
        self.close()
        set_aside(self.path, why)
        self.open()
        self._shut = False

    def _connect(self) -> None:
        # SQLite gives its other files, which hold what is written last, the rights of the database.
        self.path.touch(0o600)
        self.path.chmod(0o600 if self._group is None else 0o640)
        if self._group is not None:
            os.chown(self.path, -1, self._group)
        self.db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5)
        self.db.execute(f"PRAGMA journal_mode={'WAL' if is_local(self.path.parent) else 'DELETE'}")
        self.db.execute("PRAGMA synchronous=FULL")


def _place(path: Path) -> _Place:
    return _Place(_inode(path.parent), _inode(path))


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
