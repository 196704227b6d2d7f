"""How large a lease is: the wish to count its blobs, and what is made of what was counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from slurm_amlfs.domain import freshness, overwriting, riding
from slurm_amlfs.domain.ask import Conflict, Hydrate
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.draft import Draft, names_some
from slurm_amlfs.domain.errand import Count
from slurm_amlfs.domain.lease import Lease, Part
from slurm_amlfs.domain.records import Stage
from slurm_amlfs.domain.report import Counted


def want(draft: Draft, held: Lease, stages: Sequence[Stage]) -> None:
    """Have the blobs counted; for who wants a fresh look no sooner than that it serves him."""
    if freshness.lists_anew(held.key):
        moments = [moment for stage in stages if (moment := freshness.since(draft, stage)) is not None]
        if not moments:
            riding.say(draft, held, "waiting for Slurm to show when the job was submitted")
            return
        if min(moments) > draft.now:
            draft.wake_at(min(moments))
            return
    draft.want(count(draft, held))


def count(draft: Draft, held: Lease) -> Count:
    """Make the wish to count. While others use the files, what is unsaved may be theirs, and is not looked at."""
    looks = overwriting.overwrites(held.key) and overwriting.user(draft, held) is None
    whole = any(stage.ask.hydrate is Hydrate.ALL for stage in riding.waiting(draft, held))
    known = freshness.remembered(draft, held)
    target = max(1, int(draft.tempo(held.key.fs).blobs_per_second * draft.rules.cut.total_seconds()))
    return Count(held.key, held.generation, target, whole, looks, known, draft.now)


def check(draft: Draft, held: Lease) -> None:
    """Have Lustre looked at before the lease's import may overwrite."""
    riding.say(draft, held, "looking at what the import would overwrite")
    draft.want(count(draft, draft.leases[held.key]))


def counted(draft: Draft, held: Lease, errand: Count, result: Counted) -> None:
    """Take the size of what is wanted; what can never be brought in is the user's mistake, and costs no import."""
    under_way = any(it.holds_slot and held.key in it.leases for it in draft.transfers.values())
    if held.counted is not None and (held.landed or under_way):
        return
    where = held.key.prefix
    if not result.files:
        riding.fail(draft, held, f"no blobs under {where}; check its spelling, scancel this job and submit again")
        return
    if errand.overwrites and result.unsaved_files and overwriting.user(draft, held) is None:
        riding.fail(draft, held, f"{result.unsaved_files} files under {where} are on Lustre only or changed since "
                                 f"their archive, first {names_some(result.unsaved)}; export or remove them, or use "
                                 "conflict=skip")  # fmt: skip
        return
    checked = draft.now if errand.overwrites and not result.unsaved_files else None
    held = replace(held, checked=checked, not_before=None, waits_in_a_row=0)
    draft.put_lease(held if held.counted is not None else _cut(draft, held, errand, result))
    draft.wake_at(draft.now)


def _cut(draft: Draft, held: Lease, errand: Count, result: Counted) -> Lease:
    """Take what was counted for the first time."""
    there = result.same or (result.there and held.key.conflict is Conflict.SKIP)
    began = (errand.wanted or draft.now) if result.same else draft.now
    parts = _parts(held, result, there=began if there else None)
    bare = freshness.lists_anew(held.key) or (result.bare and not any(part.imported for part in parts))
    held = replace(
        held,
        counted=draft.now,
        listed=errand.wanted,
        listing=result.digest,
        mixed=not bare,
        digest=result.digest if result.same else held.digest,
        brought=freshness.brought_with(draft, held),
        parts=parts,
        files_total=result.files,
        bytes_total=result.total_bytes,
        room_bytes=result.room_bytes,
        held_bytes=result.whole_bytes,
        beginning=result.beginning,
        message="",
    )
    if held.landed:
        return held
    came = sum(1 for _ in riding.waiting(draft, held))
    fs = held.key.fs
    draft.tempos[fs] = draft.tempo(fs).weight_came(came, draft.now.timestamp())
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


def _parts(held: Lease, result: Counted, *, there: datetime | None) -> tuple[Part, ...]:
    """Cut the lease; what was imported and is as it was, or all if it is `there` since then, needs no second import."""
    before = {(it.prefix, it.blobs, it.total_bytes): it for it in held.parts if it.imported is not None}
    if held.key.conflict is not Conflict.SKIP:
        before = {}
    made = []
    for cut in result.cuts or (Cut(held.key.prefix, result.files, result.total_bytes),):
        old = before.get((cut.prefix, cut.blobs, cut.total_bytes))
        imported = there or (old.imported if old is not None else None)
        made.append(Part(cut.prefix, cut.blobs, cut.total_bytes, imported))
    return tuple(made)
