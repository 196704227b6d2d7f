"""When a lease is listed or proved again for those whom its latest look does not serve.

Those whom it serves and who can go on at once go first, and while it is on its way to a proof for somebody it goes
there, so that however many come later, nobody's look is thrown away before it has served him.
"""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain import freshness, lease, riding
from slurm_amlfs.domain.ask import Hydrate
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.records import Stage


def renew(draft: Draft) -> None:
    """Begin again what does not serve all who wait for it."""
    for key in draft.riders:
        held = draft.leases.get(key)
        if held is None or (held.proved is None and not freshness.lists_anew(key)):
            continue
        behind: list[Stage] = []
        others: list[Stage] = []
        for stage in riding.waiting(draft, held):
            (behind if _is_behind(draft, held, stage) else others).append(stage)
        if not behind:
            continue
        listed_before = [it for it in behind if not freshness.is_listed(draft, held, it)]
        if listed_before:
            if not _under_way(draft, held) and not _first(draft, held, others, listed_before):
                draft.put_lease(replace(held.begun_anew(draft.now), turns=0))
        elif held.proved is not None and not _first(draft, held, others, behind):
            draft.put_lease(held.doubted())


def _is_behind(draft: Draft, held: Lease, stage: Stage) -> bool:
    """Say whether the lease's latest look does not serve a stage; no, while Slurm has not shown its job."""
    if freshness.wants_fresh(stage.ask) and freshness.since(draft, stage) is None:
        return False
    if held.proved is not None:
        return not freshness.serves(draft, held, stage)
    return held.counted is not None and not freshness.is_listed(draft, held, stage)


def _first(draft: Draft, held: Lease, others: list[Stage], behind: list[Stage]) -> bool:
    """Say whether others go first, who asked before, or for whom the lease is on its way to a proof."""
    if held.proved is None:
        return any(freshness.is_listed(draft, held, it) for it in others)
    eldest = min(freshness.heard_at(it) for it in behind)
    return any(freshness.heard_at(it) <= eldest and _can_go(draft, it) for it in others)


def _can_go(draft: Draft, stage: Stage) -> bool:
    """Say whether all that a stage waits for is proved."""
    held = riding.serving(draft, stage)
    whole = stage.ask.hydrate is Hydrate.ALL
    known = len(held) == len(lease.keys(draft.namespace(stage.fs), stage.fs, stage.ask))
    return known and all(it.holds(whole=whole) and freshness.serves(draft, it, stage) for it in held)


def _under_way(draft: Draft, held: Lease) -> bool:
    return any(it.holds_slot and held.key in it.leases for it in draft.transfers.values())
