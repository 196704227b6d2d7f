"""What the end of an import means for the leases that it carried, and for all others whose prefixes it brought.

A failed batch is halved, and its halves again, until the prefix that it fails for stands alone: the others go on, and
only those who want that one are told, with Azure's words.
"""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain import freshness, importing, riding
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease, Part
from slurm_amlfs.domain.prefix import covers
from slurm_amlfs.domain.records import Outcome, Transfer
from slurm_amlfs.domain.report import Fault, Trouble

_BROUGHT = frozenset({Outcome.COMPLETED, Outcome.PARTIAL})


def land(draft: Draft, transfer: Transfer) -> None:
    """Take the end of an import, once."""
    draft.wake_at(draft.now)
    if transfer.outcome in _BROUGHT:
        _learn(draft, transfer)
        for held in list(draft.leases.values()):
            if held.key.fs == transfer.fs and not held.landed:
                _bring(draft, transfer, held)
    elif transfer.outcome is Outcome.VANISHED:
        _ask_again(draft, transfer)
    elif len(transfer.prefixes) > 1:
        _halve(draft, transfer)
    else:
        for held in [it for key in transfer.leases if (it := draft.leases.get(key)) is not None and it.wants]:
            if _asked_for(draft, transfer, held):
                _failed_alone(draft, transfer, held)
            else:
                _part_ways(draft, transfer, held)


def _ask_again(draft: Draft, transfer: Transfer) -> None:
    """Let the leases wait and go again. Azure has lost it, which is no fault of a prefix and no turn of anybody's."""
    message = f"Azure took the import {transfer.transfer_id} and no longer shows it; it is asked for again"
    for held in [it for key in transfer.leases if (it := draft.leases.get(key)) is not None and it.wants]:
        riding.tell(draft, draft.lease_waits(held, Trouble(Fault.TEMPORARY, message)))


def _learn(draft: Draft, transfer: Transfer) -> None:
    if transfer.started is None or transfer.completed is None:
        return
    seconds = (transfer.completed - transfer.started).total_seconds()
    draft.tempos[transfer.fs] = draft.tempo(transfer.fs).turn_took(transfer.blobs, seconds)


def _bring(draft: Draft, transfer: Transfer, held: Lease) -> None:
    """Take parts as imported that the import carried, or took in."""
    riding_along = held.key in transfer.leases
    if not riding_along and held.key.conflict is not Conflict.SKIP:
        return
    if freshness.lists_anew(held.key) and held.looked is not None and transfer.created < held.looked <= draft.now:
        return
    began = transfer.started or transfer.created
    parts = tuple(
        replace(part, imported=began, suspect="", turns=0)
        if part.imported is None and _carried(draft, transfer, part)
        else part
        for part in held.parts
    )
    if parts == held.parts:
        return
    # What its imports counted before may have been another's, and so may these errors.
    own = riding_along and len(transfer.leases) == 1
    held = replace(
        held,
        parts=parts,
        import_errors=held.import_errors + transfer.errors,
        alone=(own or not transfer.errors) and (held.alone or not held.import_errors),
        correlation_id=transfer.correlation_id or held.correlation_id,
        files_done=0,
        bytes_done=0,
        progressed=None,
        not_before=None,
        message="",
    )
    draft.put_lease(freshness.remember(held, began, transfer))


def _carried(draft: Draft, transfer: Transfer, part: Part) -> bool:
    if part.prefix in transfer.prefixes:
        return True
    namespace = draft.namespace(transfer.fs)
    return any(covers(namespace, prefix, part.prefix) for prefix in transfer.prefixes)


def _halve(draft: Draft, transfer: Transfer) -> None:
    """Let the two halves of a failed batch go separate ways."""
    middle = (len(transfer.prefixes) + 1) // 2
    for key in transfer.leases:
        held = draft.leases.get(key)
        if held is None:
            continue
        parts = []
        for part in held.parts:
            half = next(
                (
                    number // middle
                    for number, prefix in enumerate(transfer.prefixes)
                    if part.imported is None and covers(draft.namespace(transfer.fs), prefix, part.prefix)
                ),
                None,
            )
            parts.append(part if half is None else replace(part, suspect=f"{transfer.transfer_id} {half}"))
        if tuple(parts) == held.parts:
            continue
        said = transfer.message or transfer.outcome.value
        message = f"an import of {len(transfer.prefixes)} prefixes failed, and is taken apart: {said}"
        riding.tell(draft, draft.put_lease(replace(held, parts=tuple(parts), message=message)))


def _asked_for(draft: Draft, transfer: Transfer, held: Lease) -> bool:
    """Say whether a lease wants all of the one prefix that failed, and did not only ride along with a part of it."""
    namespace = draft.namespace(transfer.fs)
    return any(covers(namespace, held.key.prefix, prefix) for prefix in transfer.prefixes)


def _part_ways(draft: Draft, transfer: Transfer, held: Lease) -> None:
    """Let those who only rode along go on without who asked for the prefix that failed."""
    parts = _set_apart(draft, transfer, held, f"{transfer.transfer_id} 1")
    message = f"the import of {transfer.prefixes[0]} took this along and failed; it is tried by itself"
    riding.tell(draft, draft.put_lease(replace(held, parts=parts, message=message)))


def _set_apart(draft: Draft, transfer: Transfer, held: Lease, suspect: str) -> tuple[Part, ...]:
    return tuple(
        replace(part, suspect=suspect) if part.imported is None and _carried(draft, transfer, part) else part
        for part in held.parts
    )


def _failed_alone(draft: Draft, transfer: Transfer, held: Lease) -> None:
    """Decide what a failed import of one prefix means; its counters tell, not its words."""
    where = transfer.prefixes[0]
    # Until its import has worked it shares a turn with nobody.
    parts = _set_apart(draft, transfer, held, f"alone {held.key}")
    correlation_id = transfer.correlation_id or held.correlation_id
    held = draft.put_lease(replace(held, parts=parts, correlation_id=correlation_id))
    if transfer.outcome is Outcome.FAILED and held.key.conflict is Conflict.FAIL and transfer.conflicts:
        riding.fail(draft, held, f"{transfer.conflicts} paths under {where} are on Lustre already and differ (conflict="
                                 f"fail); use conflict=skip or an overwrite mode: {transfer.message}")  # fmt: skip
    elif transfer.outcome is Outcome.FAILED and 0 <= held.key.max_errors < transfer.errors:
        riding.fail(draft, held, f"the import of {where} met {transfer.errors} errors, more than max_errors="
                                 f"{held.key.max_errors}; see the logging container: {transfer.message}")  # fmt: skip
    else:
        said = transfer.message or "Azure gave no reason"
        importing.spend_turn(draft, held, f"the import of {where} {transfer.outcome.value}: {said}")
