"""Who waits for a file system's slot, in the order in which the next turns would take them. Pure; for people only.

It is what the daemon would choose if nothing new came. Priorities are Slurm's to know: where nobody asks Slurm, all
jobs weigh alike here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast

from slurm_amlfs.domain import batching, riding
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.records import Records, StageKey, Transfer, TransferKind
from slurm_amlfs.domain.turn import Load
from slurm_amlfs.domain.world import Foreseen, Rules, Seen

_TURNS = 50
"""So many turns are foretold; what comes later has a place and no time."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One place in the line. `seconds` of the slot are what it still needs, `begins` when its first turn would."""

    kind: TransferKind
    prefixes: tuple[str, ...]
    jobs: tuple[int, ...]
    weight: float
    files: int
    seconds: float
    since: datetime
    begins: datetime | None = None


def draft_of(records: Records, rules: Rules, now: datetime) -> Draft:
    """Make a draft to look at, as if a pass began now; what had been foreseen is taken to be so still."""
    ahead = {it.key: Foreseen(1, 1, frozenset({0})) for it in records.leases.values() if it.ahead and not it.pinned}
    draft = Draft.of(records, rules, Seen(now, foreseen=ahead))
    riding.take_stock(draft)
    return draft


def holder(records: Records, fs: str) -> Transfer | None:
    """Find what of ours holds the slot."""
    return next((it for it in records.transfers.values() if it.fs == fs and it.holds_slot), None)


def jobs_of(draft: Draft, transfer: Transfer) -> tuple[int, ...]:
    """Name the jobs that a transfer serves."""
    riders = [key for held in transfer.leases for key in draft.riders.get(held, ())]
    return tuple(sorted({key.job_id for key in (*riders, *transfer.stages)}))


def line_up(draft: Draft, fs: str) -> list[Waiting]:
    """List who waits, the next first. What only goes along with others comes last."""
    under_way = holder(draft.records(), fs)
    taken = set(under_way.leases) if under_way is not None else set()
    left = [load for load in batching.loads_of(draft, fs) if _lease(load) not in taken]
    at = draft.now if under_way is None else max(_end(draft, under_way), draft.now)
    placed: dict[object, Waiting] = {}
    tempo = draft.tempo(fs)
    for _ in range(_TURNS):
        turn = batching.choose_turn(draft, fs, left, at)
        if turn is None:
            break
        carried = {piece.prefix for piece in turn.pieces}
        for load in left:
            if load.key in turn.loads:
                placed.setdefault(load.key, replace(_place(draft, load), begins=at))
        left = [replace(it, pieces=tuple(one for one in it.pieces if one.prefix not in carried)) for it in left]
        left = [it for it in left if it.pieces]
        at += timedelta(seconds=tempo.overhead_seconds + sum(piece.seconds for piece in turn.pieces))
    rest = sorted((it for it in left if it.key not in placed), key=lambda it: (it.needs_seconds / it.weight, it.since))
    return [*placed.values(), *(_place(draft, load) for load in rest)]


def _end(draft: Draft, transfer: Transfer) -> datetime:
    tempo = draft.tempo(transfer.fs)
    seconds = tempo.overhead_seconds + transfer.blobs / tempo.blobs_per_second
    return (transfer.asked or transfer.created) + timedelta(seconds=seconds)


def _lease(load: Load) -> LeaseKey | None:
    return None if isinstance(load.key, StageKey) else cast("tuple[LeaseKey, str]", load.key)[0]


def _place(draft: Draft, load: Load) -> Waiting:
    key = _lease(load)
    jobs: Sequence[int]
    prefixes: tuple[str, ...]
    if key is None:
        stage = draft.stages[cast("StageKey", load.key)]
        kind, jobs = TransferKind.ARCHIVE, [stage.key.job_id]
        prefixes, files = tuple(it.prefix for it in stage.todo), max(stage.files_total - stage.files_done, 0)
    else:
        held = draft.leases[key]
        kind, jobs = TransferKind.IMPORT, sorted({it.key.job_id for it in riding.waiting(draft, held)})
        prefixes, files = (key.prefix,), sum(part.blobs for part in held.wants)
    since = datetime.fromtimestamp(load.since, UTC)
    return Waiting(kind, prefixes, tuple(jobs), load.weight, files, load.needs_seconds, since)
