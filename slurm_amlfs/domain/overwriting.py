"""What an overwriting import must not touch: what living jobs use, and what is nowhere but on Lustre.

Jobs have one order, by age; a lease is as old as the oldest job that waits for it. An overwrite waits for jobs that run
or have outputs to save, for older jobs, and for younger ones that can start without anybody; a younger job that waits
for something itself gives way, and its files are proved again afterwards. A stage-in waits for overwrites of older
jobs. So the oldest of the jobs that wait always goes on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from slurm_amlfs.domain import lease, riding
from slurm_amlfs.domain.ask import OVERWRITES, Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import overlaps
from slurm_amlfs.domain.records import Life, Stage

_USES = frozenset({Phase.IMPORTING, Phase.RESTORING, Phase.STAGED_IN, Phase.RUNNING})
"""A stage-in that is this far relies on its files: they are, or are about to be, proved."""

_YIELDING = frozenset({Phase.IMPORTING, Phase.RESTORING, Phase.STAGED_IN})
"""A stage-in that is this far can be proved again before its job starts."""

_FRESH = timedelta(minutes=1)
"""How long a look at Lustre may be believed before an import overwrites."""

_RECENT = timedelta(minutes=10)
"""How long after a look the next one keeps the slot free: the one before was in vain, because others took a turn."""

WAITING = "waiting for job"
"""How the message of a lease begins that has to wait for others."""

Age = tuple[datetime, int]

_YOUNGEST: Age = (datetime.max.replace(tzinfo=UTC), 0)


def overwrites(key: LeaseKey) -> bool:
    """Say whether a lease's import may replace what is on Lustre."""
    return key.conflict in OVERWRITES


def is_checked(draft: Draft, held: Lease) -> bool:
    """Say whether the lease's import destroys nothing, as seen a short while ago."""
    return not overwrites(held.key) or (held.checked is not None and abs(draft.now - held.checked) <= _FRESH)


def keeps_its_place(draft: Draft, held: Lease) -> bool:
    """Say whether nobody goes before a lease while it is looked at."""
    return held.checked is not None and abs(draft.now - held.checked) <= _RECENT


def hinders(draft: Draft, held: Lease) -> str:
    """Say in words for whom a lease's import has to wait; empty if for nobody."""
    if draft.seen.unadopted and overwrites(held.key):
        return f"{WAITING}s that run: Slurm has not told yet which do"
    other = user(draft, held)
    if other is not None:
        why = f"uses what conflict={held.key.conflict.value} may overwrite"
        return f"{WAITING} {other.key.job_id}, which {why}"
    return overtakes(draft, held, _eldest(draft, held))


def overtakes(draft: Draft, held: Lease, age: Age) -> str:
    """Say in words which overwrite of an older job a lease would overtake; empty if none."""
    ahead = _ahead(draft, held, age)
    if ahead is None:
        return ""
    return f"{WAITING} {_eldest(draft, ahead)[1]}, which came first and may overwrite the same files"


def user(draft: Draft, held: Lease) -> Stage | None:
    """Find what a living job uses, or has still to export, and the lease's import would overwrite."""
    if not overwrites(held.key):
        return None
    waiting = {it.key for it in riding.waiting(draft, held)}
    mine = {key.job_id for key in waiting}
    age = _eldest(draft, held)
    for other in draft.stages.values():
        if other.key in waiting or not _touches(draft, held, other) or not _in_use(draft, other):
            continue
        # A job's own other lines are its own affair, as long as it is the only one that waits.
        if mine == {other.key.job_id} or _yields(draft, other, age):
            continue
        return other
    return None


def _ahead(draft: Draft, held: Lease, age: Age) -> Lease | None:
    """Find an overwrite of an older job that waits for the same files, and does not go along in the same import."""
    namespace = draft.namespace(held.key.fs)
    for key in draft.overwrites:
        other = draft.leases.get(key)
        if other is None or key == held.key or key.fs != held.key.fs or not other.wants:
            continue
        together = (held.key.conflict, held.key.max_errors) == (other.key.conflict, other.key.max_errors)
        if not overlaps(namespace, held.key.prefix, other.key.prefix) or _eldest(draft, other) >= age:
            continue
        if not (together and user(draft, other) is None):
            return other
    return None


def _eldest(draft: Draft, held: Lease) -> Age:
    """Give the age of the oldest job that waits for a lease, so that none waits for one that waits for it."""
    return min((age_of(draft, it) for it in riding.waiting(draft, held)), default=_YOUNGEST)


def age_of(draft: Draft, stage: Stage) -> Age:
    """Give the age of a stage's job."""
    return draft.jobs[stage.key.job_id].submitted, stage.key.job_id


def _yields(draft: Draft, other: Stage, age: Age) -> bool:
    """Say whether a stage that is in use gives way to an overwrite: its job is younger, and cannot start yet itself."""
    if other.phase not in _YIELDING or other.key.direction is Direction.OUT or not age < age_of(draft, other):
        return False
    return any(it.phase is Phase.WAITING for it in draft.of_job(other.key.job_id, Direction.IN))


def disturb(draft: Draft, held: Lease, together: Collection[LeaseKey]) -> None:
    """Have what gives way to an overwriting import, and is not brought by the same one, proved again after it."""
    if not overwrites(held.key):
        return
    others = [it for it in draft.overlapping(held.key.fs, held.key.prefix) if it.key not in together]
    draft.change(replace(it.doubted(), checked=None) for it in others)
    for stage in list(draft.stages.values()):
        if stage.phase is Phase.STAGED_IN and _touches(draft, held, stage):
            draft.move(stage, Phase.RESTORING, "proving again", "")


def being_overwritten(draft: Draft, held: Lease) -> LeaseKey | None:
    """Find an import of another lease under way that may overwrite files of this one."""
    namespace = draft.namespace(held.key.fs)
    for transfer in draft.transfers.values():
        if not transfer.holds_slot or transfer.fs != held.key.fs or transfer.conflict not in OVERWRITES:
            continue
        for key in transfer.leases:
            if key != held.key and overlaps(namespace, key.prefix, held.key.prefix):
                return key
    return None


def _touches(draft: Draft, held: Lease, stage: Stage) -> bool:
    """Say whether a stage has paths in common with a lease."""
    if stage.fs != held.key.fs:
        return False
    namespace = draft.namespace(stage.fs)
    if stage.key.direction is Direction.IN:
        keys = lease.keys(namespace, stage.fs, stage.ask)
        return any(overlaps(namespace, held.key.prefix, key.prefix) for key in keys)
    return any(overlaps(namespace, held.key.prefix, its) for its in stage.ask.prefixes)


def _in_use(draft: Draft, stage: Stage) -> bool:
    if stage.key.direction is Direction.IN:
        return stage.phase in _USES and not (stage.phase in _YIELDING and riding.is_held(draft, stage.key.job_id))
    job = draft.jobs.get(stage.key.job_id)
    begun = job is not None and job.life is not Life.PENDING
    return begun and (stage.phase is Phase.FAILED or not stage.phase.over)
