"""What to say of a transfer that Azure took and does not show, or does not end. Nothing here cancels anything.

Azure's counters are its only signs of life, and documents warn that they may be incomplete; so whether a late import is
dead is for people to say (docs/decisions/0017-retries.md).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain import archiving
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.records import Transfer, TransferKind, TransferPhase
from slurm_amlfs.domain.world import FsSeen

_UNSEEN = timedelta(seconds=60)
"""How long Azure may not show what it has taken before we believe that it is gone."""

_MOST_OF_A_LOOK = timedelta(seconds=15)
"""What one look that lacks it adds to that, so that it takes five at least: neither a single look that came late, nor
a clock that was set, may give a transfer up."""

_SAID = timedelta(seconds=15)
"""Until then it is only a list that comes a little late, as every list may that was begun before Azure took it."""

_TIMES = 4
"""A transfer is late when it takes so many times as long as its size lets expect."""


def missed(transfer: Transfer, seen: FsSeen) -> Transfer:
    """Count a look that lacks a transfer, each look once."""
    if transfer.missed == seen.seen:
        return transfer
    more = timedelta(0) if transfer.missed is None else seen.seen - transfer.missed
    return replace(
        transfer,
        missed=seen.seen,
        missed_for=transfer.missed_for + min(max(more, timedelta(0)), _MOST_OF_A_LOOK),
    )


def found(transfer: Transfer) -> Transfer:
    """Forget that it was missed."""
    return replace(transfer, missed=None, missed_for=timedelta(0))


def is_gone(transfer: Transfer) -> bool:
    """Say whether enough looks lacked it, for long enough."""
    return transfer.missed_for >= _UNSEEN


def expected(draft: Draft, transfer: Transfer) -> timedelta:
    """Say how long a transfer should take by its size and the measured rates."""
    tempo = draft.tempo(transfer.fs)
    if transfer.kind is TransferKind.IMPORT:
        return timedelta(seconds=tempo.overhead_seconds + transfer.blobs / tempo.blobs_per_second)
    stages = (draft.stages.get(key) for key in transfer.stages)
    parts = [part for it in stages if it is not None for part in it.todo if part.prefix in transfer.prefixes]
    return timedelta(seconds=tempo.overhead_seconds + max(map(archiving.seconds, parts), default=0.0))


def watch(draft: Draft, transfer: Transfer) -> Transfer:
    """Say in the log that a transfer under way is late, and again each time that has doubled."""
    if transfer.phase is not TransferPhase.ASKED:
        return transfer
    gone = draft.now - (transfer.asked or transfer.created)
    due = 2 * transfer.overdue or max(draft.rules.stall, _TIMES * expected(draft, transfer))
    if gone < due:
        return transfer
    while 2 * due <= gone:
        due *= 2
    transfer = replace(transfer, overdue=due)
    draft.remark("transfer overdue", f"{transfer.fs} {transfer.transfer_id} {told(draft, transfer)}")
    return transfer


def told(draft: Draft, transfer: Transfer) -> str:
    """Say what is wrong with a transfer that Azure took; nothing if it goes as it should."""
    if transfer.phase is not TransferPhase.ASKED:
        return ""
    if transfer.missed_for >= _SAID:
        return f"Azure took the {transfer.kind.value}, and does not show it; looking again for a minute"
    if not transfer.overdue:
        return ""
    usual = expected(draft, transfer)
    return (
        f"Azure has not ended this {transfer.kind.value} for more than {_minutes(transfer.overdue)}, where"
        f" {_minutes(usual)} should do; if it makes no progress there, cancel it in Azure: what is needed is asked for"
        " again"
    )


def _minutes(duration: timedelta) -> str:
    minutes = max(round(duration.total_seconds() / 60), 1)
    return f"{minutes} minute{'' if minutes == 1 else 's'}"
