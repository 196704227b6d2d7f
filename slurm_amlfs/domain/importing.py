"""One lease, from wanted to proved: what it wants done next, and what a proof makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain import admission, chaining, freeing, freshness, keeping, overwriting, ranking, riding, sizing
from slurm_amlfs.domain.ask import Conflict, Hydrate
from slurm_amlfs.domain.draft import Draft, names_some
from slurm_amlfs.domain.errand import Probe, ProveIn
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.prefix import matches
from slurm_amlfs.domain.records import Stage, TransferKind
from slurm_amlfs.domain.report import Examined, Fault, Probed, Trouble

_LOOK_AGAIN = timedelta(milliseconds=300)
"""Pause between two looks at restores that are under way: short against the 3 s in which a job has to start."""

_PROBE_AGAIN = timedelta(seconds=2)
_PROBED_PER_SECOND = 20_000


def step_all(draft: Draft) -> None:
    """Let each lease take its step, and those that nobody needs any more rest."""
    admission.admit(draft)
    rests = [it for held in list(draft.leases.values()) if (it := _step(draft, held)) is not None]
    draft.lay_down(rests)
    keeping.forget(draft)


def _step(draft: Draft, held: Lease) -> Lease | None:
    """Want what the lease needs next; nothing while it waits itself. Give it back if it is to rest."""
    if held.key.fs not in draft.rules.file_systems:
        return None
    if held.leaving:
        held = keeping.leave(draft, held)
    stages = list(riding.waiting(draft, held))
    if not stages:
        if held.let_in and not held.whole and not draft.riders.get(held.key):
            held = draft.put_lease(replace(held, let_in=False))
        if not keeping.wanted(draft, held):
            return keeping.rest(draft, held)
    going = [it for it in stages if chaining.awaits(draft, it, surely=True) is None]
    if draft.ready(held) and (going or not stages):
        _go_on(draft, held, going)
    return None


def _go_on(draft: Draft, held: Lease, stages: list[Stage]) -> None:
    whole = any(stage.ask.hydrate is Hydrate.ALL for stage in stages)
    if held.counted is None:
        sizing.want(draft, held, stages)
    elif held.landed and stages and not held.holds(whole=whole):
        _prove(draft, held, Hydrate.ALL if whole else Hydrate.NONE)
    elif not held.landed:
        _probe(draft, held)
        sizing.list_ahead(draft, held)


def _prove(draft: Draft, held: Lease, hydrate: Hydrate) -> None:
    if freeing.is_freed_now(draft, held):
        riding.say(draft, held, "waiting until the space of an earlier job is given back")
        return
    other = overwriting.being_overwritten(draft, held)
    if other is not None:
        riding.say(draft, held, f"waiting until the import of {other.prefix} has overwritten the same files")
        return
    if hydrate is Hydrate.ALL and not held.let_in:
        if held.proved is not None or all(it.ask.hydrate is Hydrate.ALL for it in riding.waiting(draft, held)):
            return
        # Names are all that some ask for, and they need no room.
        hydrate = Hydrate.NONE
    held = draft.leases[held.key]
    if held.proving is None:
        held = draft.put_lease(replace(held, proving=draft.now, brought=freshness.brought_with(draft, held)))
    rank = ranking.of_lease(draft, held)
    draft.want(ProveIn(held.key, held.generation, hydrate, held.import_started, held.proof, held.brought, rank=rank))


def _probe(draft: Draft, held: Lease) -> None:
    """Look for the files of a lease while the import that brings them still runs, so that it need not wait for all.

    The first look is when they can be there at the earliest; then at a pace that costs little beside the listing. Where
    that takes longer than a turn, the import is over first.
    """
    looks_for = held.files_total / _PROBED_PER_SECOND
    if held.key.conflict is not Conflict.SKIP or looks_for > draft.rules.turn.total_seconds():
        return
    for transfer in draft.transfers.values():
        if transfer.kind is not TransferKind.IMPORT or not transfer.holds_slot or transfer.asked is None:
            continue
        if held.key not in transfer.leases or len(transfer.prefixes) == 1:
            continue
        carried = set(transfer.prefixes)
        if any(part.prefix not in carried for part in held.wants):
            continue
        tempo = draft.tempo(held.key.fs)
        blobs = sum(part.blobs for part in held.wants)
        seconds = tempo.overhead_seconds + blobs / tempo.blobs_per_second
        again = _PROBE_AGAIN + timedelta(seconds=looks_for)
        due = transfer.asked + timedelta(seconds=seconds)
        if held.probed is not None and held.probed > transfer.asked:
            due = max(due, held.probed + again)
        if draft.now >= due:
            draft.want(Probe(held.key, held.generation, rank=ranking.of_lease(draft, held)))
        else:
            draft.wake_at(due)


def probed(draft: Draft, held: Lease, result: Probed) -> None:
    """Take what is there already as imported."""
    held = replace(held, probed=draft.now)
    if result.there:
        by = next((it for it in draft.transfers.values() if it.holds_slot and held.key in it.leases), None)
        began = draft.now if by is None else by.started or by.created
        parts = tuple(part if part.imported is not None else replace(part, imported=began) for part in held.parts)
        held = freshness.remember(replace(held, parts=parts), began, by)
        draft.wake_at(draft.now)
    draft.put_lease(held)


def examined(draft: Draft, held: Lease, errand: ProveIn, result: Examined) -> None:
    """Take what the comparison found: go on looking, call it proved, or import again."""
    if errand.proof != held.proof or not held.landed:
        return
    moved = result.files_done != held.files_done
    held = replace(
        held,
        files_total=max(result.files, held.files_total),
        files_done=result.files_done,
        bytes_total=max(result.total_bytes, held.bytes_total),
        bytes_done=result.bytes_done,
        missing=result.missing,
        missing_count=result.missing_count,
        kept=result.kept,
        kept_count=result.kept_count,
        waits_in_a_row=0,
        progressed=draft.now if moved or held.progressed is None else held.progressed,
        message="" if moved else held.message,
    )
    if not result.settled:
        again = draft.now + (timedelta(0) if moved else _LOOK_AGAIN)
        draft.put_lease(replace(_unstick(draft, held, result), not_before=again))
        draft.wake_at(again)
        return
    held = replace(held, files_total=result.files, bytes_total=result.total_bytes, progressed=None, not_before=None)
    excused = min(held.import_errors, _limit(held)) if held.alone else 0
    if not result.newer_count and result.missing_count <= excused:
        whole = errand.hydrate is Hydrate.ALL
        took = timedelta(seconds=result.seconds)
        held = replace(held, proved=draft.now, took=took, whole=whole, used=draft.now, message="", turns=0)
        draft.put_lease(replace(held, held_bytes=held.bytes_done) if whole else held)
    elif held.import_errors and not held.alone and not result.newer_count:
        # The errors may be another's, from the same batch: its own import tells.
        anew = tuple(replace(part, imported=None, suspect=f"alone {held.key}") for part in held.parts)
        draft.put_lease(replace(held, parts=anew, import_errors=0, message="importing by itself"))
    else:
        _bring_again(draft, held, result)


def _limit(held: Lease) -> int:
    return held.key.max_errors if held.key.max_errors >= 0 else held.import_errors


def _bring_again(draft: Draft, held: Lease, result: Examined) -> None:
    """Count again, and import what changed and what is missing; where not all of that has a name, import all."""
    names = result.missing + result.newer
    number = result.missing_count + result.newer_count
    message = f"{number} blobs under {held.key.prefix} are not on Lustre as they are in Blob: {names_some(names)}"
    namespace = draft.namespace(held.key.fs)
    all_named = number == len(names)
    parts = tuple(
        part
        for part in held.parts
        if all_named and not any(matches(namespace, part.prefix, f"/{name}") for name in names)
    )
    spend_turn(draft, replace(held, parts=parts).begun_anew(draft.now), message)


def spend_turn(draft: Draft, held: Lease, message: str) -> None:
    """Count a turn that did not help; wait for the next one, or give up after the configured number."""
    held = replace(held, turns=held.turns + 1)
    if held.turns >= draft.rules.attempts:
        riding.fail(draft, held, f"{message} ({held.turns} tries)")
    else:
        draft.lease_waits(held, Trouble(Fault.TEMPORARY, message))
        riding.tell(draft, held)


def _unstick(draft: Draft, held: Lease, result: Examined) -> Lease:
    """Begin a proof anew that has not come forward for long: what it waits for may be gone from Blob by now.

    It never fails for that: who mends Lustre's copytools has the restores go on.
    """
    if held.progressed is None or draft.now - held.progressed < draft.rules.stall:
        return held
    minutes = round(draft.rules.stall.total_seconds() / 60)
    left = held.files_total - held.files_done
    named = f" ({names_some(result.waiting)})" if result.waiting else ""
    message = (
        f"no restore of the last {left} files{named} has ended for {minutes} minutes; see the HSM of {held.key.fs}"
    )
    return replace(held, proof=held.proof + 1, proving=None, progressed=draft.now, message=message)


def troubled(draft: Draft, held: Lease, trouble: Trouble) -> None:
    """Wait or give up, as an error asks."""
    if trouble.fault is Fault.TEMPORARY:
        riding.tell(draft, draft.lease_waits(held, trouble))
    else:
        riding.fail(draft, held, trouble.message, trouble.correlation_id)
