"""Show the slot of each file system: what holds it, and what waits for it, in order."""

from __future__ import annotations

import json
import pwd
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lineup import Waiting, draft_of, holder, jobs_of, line_up
from slurm_amlfs.domain.records import Records, Transfer, TransferKind, TransferPhase
from slurm_amlfs.domain.world import Rules
from slurm_amlfs.entrypoints.tables import columns

_FEW = 5


@dataclass(frozen=True, slots=True)
class Holder:
    """What of ours holds a slot. `done` of `total` are blobs of an import, percent of an archive."""

    kind: str
    name: str
    prefixes: tuple[str, ...]
    jobs: tuple[int, ...]
    users: tuple[str, ...]
    since: str
    asked: bool
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Place:
    """Who waits. `weight` is all jobs' together, `seconds` of the slot are needed, `begins` is "" if not foretold."""

    kind: str
    prefixes: tuple[str, ...]
    jobs: tuple[int, ...]
    users: tuple[str, ...]
    weight: float
    files: int
    seconds: float
    since: str
    begins: str


@dataclass(frozen=True, slots=True)
class Slot:
    """One file system's slot. `why` is what the daemon last said of why things wait: who else holds it, for one."""

    fs: str
    holder: Holder | None
    why: str
    waiting: tuple[Place, ...]


def read(records: Records, rules: Rules, now: datetime) -> list[Slot]:
    """Describe each configured file system's slot, from what the daemon remembers."""
    draft = draft_of(records, rules, now)
    return [_slot(draft, records, fs) for fs in rules.file_systems]


def _slot(draft: Draft, records: Records, fs: str) -> Slot:
    held = holder(records, fs)
    said = [it.message for it in records.leases.values() if it.key.fs == fs and not it.landed]
    said += [it.message for it in records.stages.values() if it.fs == fs and it.todo]
    why = next((it.partition(": ")[2] for it in said if it.startswith("waiting for the slot: ")), "")
    waiting = tuple(_place(draft, it) for it in line_up(draft, fs))
    return Slot(fs, None if held is None else _holder(draft, held), why, waiting)


def _holder(draft: Draft, transfer: Transfer) -> Holder:
    jobs = jobs_of(draft, transfer)
    is_import = transfer.kind is TransferKind.IMPORT
    return Holder(
        kind=transfer.kind.value,
        name=transfer.transfer_id,
        prefixes=transfer.prefixes,
        jobs=jobs,
        users=_users(draft, jobs),
        since=_stamp(transfer.started or transfer.asked or transfer.created),
        asked=transfer.phase is TransferPhase.ASKED,
        done=transfer.imported,
        total=transfer.blobs if is_import else 100,
    )


def _place(draft: Draft, waiting: Waiting) -> Place:
    return Place(
        kind=waiting.kind.value,
        prefixes=waiting.prefixes,
        jobs=waiting.jobs,
        users=_users(draft, waiting.jobs),
        weight=round(waiting.weight, 3),
        files=waiting.files,
        seconds=round(waiting.seconds, 1),
        since=_stamp(waiting.since),
        begins="" if waiting.begins is None else _stamp(waiting.begins),
    )


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _users(draft: Draft, jobs: Iterable[int]) -> tuple[str, ...]:
    return tuple(sorted({_name(draft.jobs[job_id].uid) for job_id in jobs if job_id in draft.jobs}))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def as_json(slots: Sequence[Slot]) -> str:
    """Write slots as a JSON list."""
    return json.dumps([asdict(slot) for slot in slots], indent=2) + "\n"


def as_text(slots: Sequence[Slot]) -> str:
    """Write slots for people."""
    return "\n".join(_text(slot) for slot in slots)


def _text(slot: Slot) -> str:
    it = slot.holder
    if it is None:
        text = f"{slot.fs}: nothing of ours holds the slot{'; ' + slot.why if slot.why else ''}\n"
    else:
        what = f"{it.done:,} of {it.total:,} blobs" if it.kind == TransferKind.IMPORT.value else f"{it.done}%"
        far = what if it.asked else f"not taken by Azure yet{'; ' + slot.why if slot.why else ''}"
        text = f"{slot.fs}: {it.kind} {_some(it.prefixes)} for {_whose(it.jobs, it.users)} since {it.since}, {far}\n"
    if not slot.waiting:
        return text + "  nothing waits\n"
    rows = [_cells(number, place) for number, place in enumerate(slot.waiting, 1)]
    return text + columns(("", "WHAT", "PREFIX", "FOR", "WEIGHT", "FILES", "SECONDS", "BEGINS"), rows)


def _cells(number: int, it: Place) -> tuple[str, ...]:
    begins = it.begins or ("later" if it.jobs else "with others")
    figures = (f"{it.weight:g}", f"{it.files:,}", f"{it.seconds:g}")
    return (str(number), it.kind, _some(it.prefixes), _whose(it.jobs, it.users), *figures, begins)


def _some(prefixes: Sequence[str]) -> str:
    more = f" and {len(prefixes) - 1} more" if len(prefixes) > 1 else ""
    return ascii(prefixes[0])[1:-1] + more


def _whose(jobs: Sequence[int], users: Sequence[str]) -> str:
    if not jobs:
        return "a pin or jobs to come"
    more = f" and {len(jobs) - _FEW} more" if len(jobs) > _FEW else ""
    return f"job {','.join(map(str, jobs[:_FEW]))}{more} of {','.join(users[:_FEW])}"
