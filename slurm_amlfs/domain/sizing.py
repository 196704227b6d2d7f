"""How large a lease is: what it wants listed, and which parts come of what was found.

A lease whose prefix was listed to its bound has parts that were not listed. They are listed one by one, each within the
same bound and while others are imported, no further ahead than some turns will take; so none is imported unlisted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slurm_amlfs.domain import freshness, overwriting, ranking, riding
from slurm_amlfs.domain.ask import Conflict, Hydrate
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Count
from slurm_amlfs.domain.lease import Lease, Part
from slurm_amlfs.domain.records import Stage
from slurm_amlfs.domain.report import Counted

_TURNS_AHEAD = 10
"""Parts for so many turns are listed before they are wanted: the slot never waits for a listing, and what may never be
imported is not listed."""


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
    draft.want(replace(count(draft, held), known=freshness.remembered(draft, held), wanted=draft.now))


def count(draft: Draft, held: Lease) -> Count:
    """Make the wish to count. While others use the files, what is unsaved may be theirs, and is not looked at."""
    looks = overwriting.overwrites(held.key) and overwriting.user(draft, held) is None
    whole = any(stage.ask.hydrate is Hydrate.ALL for stage in riding.waiting(draft, held))
    target = max(1, int(draft.tempo(held.key.fs).blobs_per_second * draft.rules.cut.total_seconds()))
    bounds = (draft.rules.list_blobs, draft.rules.list_time.total_seconds())
    rank = ranking.of_lease(draft, held)
    return Count(
        held.key, held.generation, target, whole, looks, list_blobs=bounds[0], list_seconds=bounds[1], rank=rank
    )


def check(draft: Draft, held: Lease) -> None:
    """Have Lustre looked at before the lease's import may overwrite. What is in Blob does not matter for that."""
    riding.say(draft, held, "looking at what the import would overwrite")
    draft.want(replace(count(draft, draft.leases[held.key]), whole=False, lists=False))


def list_ahead(draft: Draft, held: Lease) -> None:
    """Have the next part listed that was not, unless enough is ready for the next turns."""
    if not held.unlisted:
        return
    ready = sum(part.blobs for part in held.wants if not part.estimated)
    enough = draft.tempo(held.key.fs).blobs_per_second * draft.rules.turn.total_seconds() * _TURNS_AHEAD
    if ready < enough:
        draft.want(replace(count(draft, held), whole=False, overwrites=False, part=held.unlisted[0].prefix))


def goes_on(draft: Draft, held: Lease, errand: Count, result: Counted) -> None:
    """Say how far a count is that is not over, where nothing else is going on for those who wait for it."""
    if held.counted is None or (len(held.unlisted) == len(held.wants) and not _under_way(draft, held)):
        riding.say(draft, held, f"counting {errand.prefix}: {result.files:,} blobs so far")


def _under_way(draft: Draft, held: Lease) -> bool:
    return any(it.holds_slot and held.key in it.leases for it in draft.transfers.values())


def listed(draft: Draft, held: Lease, errand: Count, result: Counted) -> None:
    """Put what was found in a part in its place. What became of it meanwhile goes before."""
    part = next((it for it in held.unlisted if it.prefix == errand.part), None)
    if part is None:
        return
    made = tuple(
        replace(it, suspect=part.suspect, turns=part.turns)
        for it in parts(draft, held, result, part.prefix)
        if result.files
    )
    found = tuple(new for old in held.parts for new in (made if old is part else (old,)))
    draft.put_lease(
        replace(
            held,
            parts=found,
            files_total=sum(it.blobs for it in found),
            bytes_total=held.bytes_total - part.total_bytes + result.total_bytes,
            held_bytes=held.held_bytes + result.whole_bytes,
            message="",
            not_before=None,
            waits_in_a_row=0,
        )
    )
    draft.wake_at(draft.now)


def parts(draft: Draft, held: Lease, result: Counted, prefix: str) -> tuple[Part, ...]:
    """Make parts of what was found under a prefix; what was imported and is as it was needs no second import.

    What cannot be cut any further than what was just listed is not listed again.
    """
    there = draft.now if result.there and held.key.conflict is Conflict.SKIP else None
    if result.same:
        there = result.wanted or draft.now
    before = {(it.prefix, it.blobs, it.total_bytes): it for it in held.parts if it.imported is not None}
    if held.key.conflict is not Conflict.SKIP:
        before = {}
    made = []
    for cut in result.cuts or (Cut(prefix, result.files, result.total_bytes),):
        old = before.get((cut.prefix, cut.blobs, cut.total_bytes))
        imported = None
        if not cut.estimated:
            imported = there or (old.imported if old is not None else None)
        estimated = cut.estimated and cut.prefix != prefix
        made.append(Part(cut.prefix, cut.blobs, cut.total_bytes, imported, estimated=estimated))
    return tuple(made)
