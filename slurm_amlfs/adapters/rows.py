"""How the domain's records stand in the database's rows: as JSON, written and read by pydantic from their classes."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.records import Event, Job, Records, Stage, Transfer
from slurm_amlfs.domain.tempo import Tempo

T = TypeVar("T")

JOB = TypeAdapter(Job)
STAGE = TypeAdapter(Stage)
TRANSFER = TypeAdapter(Transfer)
LEASE = TypeAdapter(Lease)
TEMPO = TypeAdapter(Tempo)

# As bytes: what is no UTF-8 is then told like any other record that cannot be read.
_TEMPOS = "SELECT CAST(id AS BLOB), CAST(record AS BLOB) FROM tempo"
_EVENTS = """
SELECT at, CAST(word AS BLOB), CAST(detail AS BLOB) FROM event WHERE job_id = ? ORDER BY at, rowid
"""


def dump(adapter: TypeAdapter[T], record: T) -> str:
    """Write a record as JSON; half a surrogate pair in it, which no text of ours has, becomes "?"."""
    try:
        return adapter.dump_json(record).decode()
    except PydanticSerializationError:
        text = json.dumps(adapter.dump_python(record, mode="json"), ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()


def storable(text: str) -> str:
    """Write half a surrogate pair so that it can be stored."""
    return text.encode("utf-8", "backslashreplace").decode()


def records_in(db: sqlite3.Connection) -> Records:
    """Read everything that is not closed.

    Raises:
        ValueError: a row holds no such record.
    """
    jobs = [JOB.validate_json(row) for (row,) in db.execute("SELECT CAST(record AS BLOB) FROM job")]
    stages = [STAGE.validate_json(row) for (row,) in db.execute("SELECT CAST(record AS BLOB) FROM stage")]
    transfers = [TRANSFER.validate_json(row) for (row,) in db.execute("SELECT CAST(record AS BLOB) FROM transfer")]
    leases = [LEASE.validate_json(row) for (row,) in db.execute("SELECT CAST(record AS BLOB) FROM lease")]
    return Records(
        {job.job_id: job for job in jobs},
        {stage.key: stage for stage in stages},
        {transfer.transfer_id: transfer for transfer in transfers},
        {lease.key: lease for lease in leases},
        {str(name, "utf-8"): TEMPO.validate_json(row) for name, row in db.execute(_TEMPOS)},
    )


def events_in(db: sqlite3.Connection, job_id: int) -> tuple[Event, ...]:
    """Read a job's timeline, a closed job's too."""
    rows = db.execute(_EVENTS, (job_id,))
    return tuple(Event(job_id, datetime.fromtimestamp(at, UTC), _text(word), _text(said)) for at, word, said in rows)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
