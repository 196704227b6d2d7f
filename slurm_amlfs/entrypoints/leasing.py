"""Show what is on Lustre, or is to be, and who needs it: the daemon's leases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.lineup import draft_of
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.riding import WAITS
from slurm_amlfs.domain.world import Rules
from slurm_amlfs.entrypoints.tables import columns

_FEW = 5
"""Jobs of one lease that are named."""


@dataclass(frozen=True, slots=True)
class Row:
    """One lease for people. `first_jobs` are the ids of a few of `jobs`, `kept_until` is "" where no time is set."""

    fs: str
    prefix: str
    conflict: str
    max_errors: int
    is_now: str
    files: int
    total_bytes: int
    bytes_on_lustre: int
    jobs: int
    first_jobs: tuple[int, ...]
    last_used: str
    kept_until: str
    pinned: bool
    message: str


def read(records: Records, rules: Rules, now: datetime) -> list[Row]:
    """List all leases, by file system and prefix."""
    draft = draft_of(records, rules, now)
    importing = {key for it in records.transfers.values() if it.holds_slot for key in it.leases}
    return [_row(draft, held, importing=held.key in importing) for held in sorted(records.all_leases(), key=_place)]


def _place(held: Lease) -> tuple[str, str, str, int]:
    return held.key.fs, held.key.prefix, held.key.conflict.value, held.key.max_errors


def _row(draft: Draft, held: Lease, *, importing: bool) -> Row:
    riders = draft.riders.get(held.key, [])
    jobs = sorted({key.job_id for key in riders})
    waited_for = any(draft.stages[key].phase in WAITS for key in riders)
    free = not jobs and not held.pinned and held.landed
    return Row(
        fs=held.key.fs,
        prefix=held.key.prefix,
        conflict=held.key.conflict.value,
        max_errors=held.key.max_errors,
        is_now=is_now(held, importing=importing, waited_for=waited_for),
        files=held.files_total,
        total_bytes=held.bytes_total,
        bytes_on_lustre=held.held_bytes,
        jobs=len(jobs),
        first_jobs=tuple(jobs[:_FEW]),
        last_used=held.used.isoformat(timespec="seconds"),
        kept_until=(held.used + draft.rules.keep_lease).isoformat(timespec="seconds") if free else "",
        pinned=held.pinned,
        message=held.message,
    )


def is_now(held: Lease, *, importing: bool, waited_for: bool) -> str:
    """Say in words how far a lease is; `waited_for` says that a job waits for it."""
    if held.counted is None:
        return "counting"
    if not held.landed:
        return "importing" if importing else "waiting for the slot"
    if waited_for and not held.whole:
        return "proving"
    return "on Lustre" if held.whole or held.held_bytes >= held.bytes_total else "names only"


def as_json(rows: Sequence[Row]) -> str:
    """Write leases as a JSON list."""
    return json.dumps([asdict(row) for row in rows], indent=2) + "\n"


def as_text(rows: Sequence[Row]) -> str:
    """Write leases as a table."""
    if not rows:
        return "nothing is leased\n"
    head = ("FS", "PREFIX", "CONFLICT", "NOW", "FILES", "BYTES", "ON LUSTRE", "NEEDED BY", "LAST USED", "KEPT UNTIL")
    return columns(head, [_cells(row) for row in rows])


def _cells(row: Row) -> tuple[str, ...]:
    more = f" and {row.jobs - len(row.first_jobs)} more" if row.jobs > len(row.first_jobs) else ""
    jobs = ",".join(map(str, row.first_jobs)) + more
    until = "pinned" if row.pinned else row.kept_until
    now = f"{row.is_now}; {row.message}" if row.message and not row.message.startswith(row.is_now) else row.is_now
    figures = (f"{row.files:,}", f"{row.total_bytes:,}", f"{row.bytes_on_lustre:,}")
    return (row.fs, ascii(row.prefix)[1:-1], row.conflict, now, *figures, jobs, row.last_used, until)
