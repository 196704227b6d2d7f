"""Which looks serve which job, and what a lease knows of the age of its files.

A job that wants a fresh look is served by none that began before it was submitted. An array's tasks were submitted
together, so one look serves all of them, however late Slurm begins to stage the last.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from slurm_amlfs.domain.ask import Ask, Conflict
from slurm_amlfs.domain.belief import belief
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.records import Stage, Transfer

_SLURMS_SECOND = timedelta(seconds=1)
"""Slurm tells the whole second in which a job was submitted."""

_IMPORTS_REMEMBERED = 8


def lists_anew(key: LeaseKey) -> bool:
    """Say whether a lease's blobs are listed anew for who comes later: only an import can show what changed in them."""
    return key.conflict is Conflict.OVERWRITE_ALWAYS


def wants_fresh(ask: Ask) -> bool:
    """Say whether no look from before the job serves it."""
    return ask.refresh or ask.conflict is Conflict.OVERWRITE_ALWAYS


def since(draft: Draft, stage: Stage) -> datetime | None:
    """Give the moment from which on looks serve a stage that wants a fresh one; None until Slurm has shown its job.

    A job that begins to stage once more, requeued or released, is served by what begins after that.
    """
    heard = heard_at(stage)
    if stage.generation:
        return heard
    view = (draft.seen.jobs or {}).get(stage.key.job_id)
    if view is None:
        return None
    if view.submitted is None or view.submitted > heard:
        return heard
    return view.submitted + _SLURMS_SECOND


def heard_at(stage: Stage) -> datetime:
    """Give the moment at which a stage was last asked for."""
    return stage.asked or stage.since


def is_listed(draft: Draft, held: Lease, stage: Stage) -> bool:
    """Say whether the listing that a lease goes by serves a stage; none does from before a clock was put back."""
    if not lists_anew(held.key):
        return True
    moment = since(draft, stage)
    return moment is not None and held.looked is not None and moment <= held.looked <= draft.now


def serves(draft: Draft, held: Lease, stage: Stage) -> bool:
    """Say whether a lease's proof serves a stage; none does from before a clock was put back."""
    if held.proving is None or held.proving > draft.now or not is_listed(draft, held, stage):
        return False
    if wants_fresh(stage.ask):
        moment = since(draft, stage)
        if moment is None or held.proving < moment:
            return False
    rules = draft.rules
    trust = belief(rules.age_limits, draft.namespace(held.key.fs), held.key.fs, held.key.prefix, rules.fresh)
    return held.is_believed(draft.now, heard_at(stage), trust)


def remembered(draft: Draft, held: Lease) -> frozenset[str]:
    """List the digests with which the lease's prefix was ever brought in: where Blob has one of them, all is there.

    After a proof that failed nothing is taken for granted.
    """
    if held.key.conflict is Conflict.SKIP or held.turns:
        return frozenset()
    return frozenset(it.digest for it in draft.of_prefix(held.key.fs, held.key.prefix) if it.digest)


def brought_with(draft: Draft, held: Lease) -> tuple[datetime, ...]:
    """Give the imports that brought a lease's files, its own or those of a lease that takes it in."""
    if held.brought:
        return held.brought
    where = (held.key.fs, held.key.prefix)
    known = {began for it in (*draft.of_prefix(*where), *draft.around(*where)) for began in it.brought}
    return tuple(sorted(known))[-_IMPORTS_REMEMBERED:]


def remember(held: Lease, began: datetime, transfer: Transfer | None) -> Lease:
    """Remember an import that brought files of a lease, and once all is there, of which listing they are.

    Only if every file was made after the listing, so that a blob cannot have changed in between unseen: then it has
    another ETag in each later listing. An import that began before it may have seen blobs as they were before, and one
    with errors may have left a file as it was.
    """
    times = tuple(sorted({*held.brought, began}))[-_IMPORTS_REMEMBERED:]
    held = replace(held, brought=times, mixed=held.mixed or _began_before(held, transfer))
    spoilt = held.mixed or (lists_anew(held.key) and held.import_errors)
    return replace(held, digest=held.listing) if held.landed and held.listing and not spoilt else held


def _began_before(held: Lease, transfer: Transfer | None) -> bool:
    if held.looked is None or transfer is None or transfer.created < held.looked:
        return True
    # An import of a forgotten daemon is met again by its name, which for overwriting ones tells the listing.
    return not lists_anew(held.key) and transfer.started is not None and transfer.started < held.looked
