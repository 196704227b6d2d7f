"""What is made of a count: how large a lease is, what was there already, and how its files came to be known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from slurm_amlfs.domain import chaining, freshness, overwriting, riding, sizing
from slurm_amlfs.domain.draft import Draft, names_some
from slurm_amlfs.domain.errand import Count
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.report import Counted, Fault, Trouble


def counted(draft: Draft, held: Lease, errand: Count, result: Counted) -> None:
    """Take the size of what is wanted; what can never be brought in is the user's mistake, and costs no import."""
    if not result.settled:
        sizing.goes_on(draft, held, errand, result)
        return
    if errand.part:
        sizing.listed(draft, held, errand, result)
        return
    under_way = any(it.holds_slot and held.key in it.leases for it in draft.transfers.values())
    if held.counted is not None and (held.landed or under_way):
        return
    where = held.key.prefix
    if errand.lists and not result.files:
        if not_yet := chaining.not_out_yet(draft, held):
            riding.tell(draft, draft.lease_waits(held, Trouble(Fault.TEMPORARY, not_yet)))
            return
        riding.fail(draft, held, f"no blobs under {where}; check its spelling, scancel this job and submit again")
        return
    if errand.overwrites and result.unsaved_files and overwriting.user(draft, held) is None:
        riding.fail(draft, held, f"{result.unsaved_files} files under {where} are on Lustre only or changed since "
                                 f"their archive, first {names_some(result.unsaved)}; export or remove them, or use "
                                 "conflict=skip")  # fmt: skip
        return
    checked = draft.now if errand.overwrites and not result.unsaved_files else None
    held = replace(held, checked=checked, not_before=None, waits_in_a_row=0)
    draft.put_lease(held if held.counted is not None else _cut(draft, held, result))
    draft.wake_at(draft.now)


def _cut(draft: Draft, held: Lease, result: Counted) -> Lease:
    """Take what was counted: what has come is what was not counted before it was begun anew."""
    again = bool(held.parts)
    parts = sizing.parts(draft, held, result, held.key.prefix)
    bare = freshness.lists_anew(held.key) or (result.bare and not any(part.imported for part in parts))
    held = replace(
        held,
        counted=draft.now,
        looked=result.wanted,
        listing=result.digest,
        mixed=not bare,
        digest=result.digest if result.same else held.digest,
        brought=freshness.brought_with(draft, held),
        parts=parts,
        files_total=result.files,
        listed=result.listed,
        bytes_total=result.total_bytes,
        room_bytes=result.room_bytes,
        held_bytes=result.whole_bytes,
        beginning=result.beginning,
        message="",
    )
    if result.listed:
        for job_id in {stage.key.job_id for stage in riding.waiting(draft, held)}:
            draft.note(job_id, "counted", riding.estimate(held))
    if held.landed:
        return held
    came = sum(1 for _ in riding.waiting(draft, held))
    if came and not again:
        draft.tempos[held.key.fs] = draft.tempo(held.key.fs).weight_came(came, draft.now.timestamp())
    return replace(held, message="waiting for the slot", backlog_seconds=_backlog_seconds(draft, held))


def _backlog_seconds(draft: Draft, held: Lease) -> float:
    """Give what else the user has waiting who has least, of all who want a lease; his own jobs make nobody late."""
    if draft.backlog is None:
        draft.backlog = Counter()
        for other in draft.leases.values():
            blobs = sum(part.blobs for part in other.wants)
            for uid in _owners(draft, other) if blobs else ():
                draft.backlog[other.key.fs, uid] += blobs
    fs = held.key.fs
    blobs = min((draft.backlog[fs, uid] for uid in _owners(draft, held)), default=0)
    for uid in _owners(draft, held):
        draft.backlog[fs, uid] += sum(part.blobs for part in held.wants)
    return blobs / draft.tempo(fs).blobs_per_second


def _owners(draft: Draft, held: Lease) -> set[int]:
    return {draft.jobs[stage.key.job_id].uid for stage in riding.waiting(draft, held)}
