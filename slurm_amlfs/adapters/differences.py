"""Writing what differs between two versions of the records, and forgetting old history, inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeVar

from pydantic import TypeAdapter

from slurm_amlfs.adapters import rows
from slurm_amlfs.domain.records import Event, Records

K = TypeVar("K")
T = TypeVar("T")

KEPT = timedelta(days=90)
"""How long a job's history is kept after its last event."""
_PRUNE_EVERY = timedelta(days=1)

_PUT = MappingProxyType({
    "job": "INSERT OR REPLACE INTO job VALUES (?, ?)",
    "stage": "INSERT OR REPLACE INTO stage VALUES (?, ?)",
    "transfer": "INSERT OR REPLACE INTO transfer VALUES (?, ?)",
    "lease": "INSERT OR REPLACE INTO lease VALUES (?, ?)",
    "tempo": "INSERT OR REPLACE INTO tempo VALUES (?, ?)",
})  # fmt: skip
_DROP = MappingProxyType({
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
})  # fmt: skip

_PRUNE_PAST = """
DELETE FROM past WHERE CAST(job_id AS TEXT) NOT IN (SELECT id FROM job)
AND EXISTS (SELECT 1 FROM event WHERE event.job_id = past.job_id)
AND NOT EXISTS (SELECT 1 FROM event WHERE event.job_id = past.job_id AND at >= :before)
"""
_PRUNE_EVENT = """
DELETE FROM event WHERE CAST(job_id AS TEXT) NOT IN (SELECT id FROM job)
AND NOT EXISTS (SELECT 1 FROM event AS later WHERE later.job_id = event.job_id AND later.at >= :before)
"""


def write(db: sqlite3.Connection, before: Records, after: Records, events: Iterable[Event]) -> None:
    """Write what differs, and what happened. What is gone becomes history."""
    _write(db, "job", rows.JOB, before.jobs, after.jobs)
    _write(db, "stage", rows.STAGE, before.stages, after.stages)
    _write(db, "transfer", rows.TRANSFER, before.transfers, after.transfers)
    laid, lies = before.resting.apart(after.resting)
    _write(db, "lease", rows.LEASE, {**before.leases, **laid}, {**after.leases, **lies})
    _write(db, "tempo", rows.TEMPO, before.tempos, after.tempos)
    db.executemany(
        "INSERT INTO event VALUES (?, ?, ?, ?)",
        [(it.job_id, it.at.timestamp(), it.word, rows.storable(it.detail)) for it in events],
    )


def clear(db: sqlite3.Connection) -> None:
    """Forget all that is not closed; history stays."""
    for table in _PUT:
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - constant names


def prune(db: sqlite3.Connection, now: datetime) -> None:
    """Once a day, forget what is history for 90 days."""
    row = db.execute("SELECT value FROM meta WHERE key = 'pruned'").fetchone()
    # Absolute: a clock that was set back must not stop it for ever.
    if row is not None and abs(now.timestamp() - float(row[0])) < _PRUNE_EVERY.total_seconds():
        return
    for statement in (_PRUNE_PAST, _PRUNE_EVENT):
        db.execute(statement, {"before": (now - KEPT).timestamp()})
    db.execute("INSERT OR REPLACE INTO meta VALUES ('pruned', ?)", (str(now.timestamp()),))


def _write(
    db: sqlite3.Connection, table: str, adapter: TypeAdapter[T], before: Mapping[K, T], after: Mapping[K, T]
) -> None:
    changed = [
        (key, record) for key, record in after.items() if (old := before.get(key)) is not record and old != record
    ]
    db.executemany(_PUT[table], [(str(key), rows.dump(adapter, record)) for key, record in changed])
    for key in [key for key in before if key not in after]:
        for statement in _DROP[table]:
            db.execute(statement, (str(key),))
