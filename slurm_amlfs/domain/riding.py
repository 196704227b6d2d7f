"""Who rides on which lease. What befalls a lease befalls all who ride on it and still wait; nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from slurm_amlfs.domain import freshness, lease
from slurm_amlfs.domain.ask import OVERWRITES, Direction, Hydrate
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import covers
from slurm_amlfs.domain.records import Life, Stage

WAITS = frozenset({Phase.WAITING, Phase.IMPORTING, Phase.RESTORING})
"""A stage-in that is this far waits for its leases."""

NEEDS = WAITS | {Phase.STAGED_IN, Phase.RUNNING}
"""A stage-in that is this far needs its leases' files."""


_FORESEE_AGAIN = timedelta(minutes=1)


def take_stock(draft: Draft) -> None:
    """List who rides on which lease, and make the leases that somebody waits for and nobody has yet."""
    draft.riders = {}
    for stage in draft.stages.values():
        if stage.key.direction is Direction.IN and stage.phase in NEEDS and stage.fs in draft.rules.file_systems:
            for key in lease.keys(draft.namespace(stage.fs), stage.fs, stage.ask):
                _ride(draft, stage, key)
    draft.foreseen = {
        key: it for key, it in draft.seen.foreseen.items() if not all(_has_asked(draft, job_id) for job_id in it.jobs)
    }
    for key in draft.foreseen.keys() - draft.leases.keys():
        if draft.wake_lease(key) is None:
            draft.put_lease(new(draft, key, ahead=True))
    draft.overwrites = [key for key in draft.leases if key.conflict in OVERWRITES]


def _has_asked(draft: Draft, job_id: int) -> bool:
    """Say whether what a job needs is known by its own asking; between setup and data_in it is only foreseen."""
    job = draft.jobs.get(job_id)
    return job is not None and bool(job.token_in or job.refusal or job.life is not Life.PENDING)


def _ride(draft: Draft, stage: Stage, key: LeaseKey) -> None:
    held = draft.wake_lease(key)
    if stage.phase in WAITS:
        if (stage.asked or stage.since) > draft.now:
            # The clock was put back: no proof would be as young as the ask for hours.
            stage = draft.put(replace(stage, asked=draft.now))
        if held is None and _covering(draft, stage, key) is not None:
            return
        if held is None:
            draft.put_lease(new(draft, key))
        elif held.ahead:
            said = "" if held.counted is None else held.message
            draft.put_lease(replace(held, ahead=False, since=draft.now, not_before=None, message=said))
    elif held is None:
        key = _once_covering(draft, stage, key)
    draft.riders.setdefault(key, []).append(stage.key)


def new(draft: Draft, key: LeaseKey, *, ahead: bool = False) -> Lease:
    """Make a lease of which nothing is known yet."""
    return Lease(key, draft.now, draft.now, generation=int(draft.now.timestamp() * 1e6), ahead=ahead)


def _covering(draft: Draft, stage: Stage, key: LeaseKey) -> Lease | None:
    """Find a proved lease of the same kind that takes in the prefix, and more."""
    if key.conflict in OVERWRITES:
        return None
    namespace = draft.namespace(stage.fs)
    for end in range(1, len(key.prefix)):
        outer = draft.find_lease(key._replace(prefix=key.prefix[:end]))
        if (
            outer is not None
            and covers(namespace, outer.key.prefix, key.prefix)
            and outer.holds(whole=stage.ask.hydrate is Hydrate.ALL)
            and freshness.serves(draft, outer, stage)
        ):
            return outer
    return None


def _once_covering(draft: Draft, stage: Stage, key: LeaseKey) -> LeaseKey:
    """Name the lease that served a stage that has no own one; it is needed as long as that stage lives."""
    namespace = draft.namespace(stage.fs)
    for end in range(1, len(key.prefix)):
        outer = LeaseKey(key.fs, key.prefix[:end], key.conflict, key.max_errors)
        if draft.find_lease(outer) is not None and covers(namespace, outer.prefix, key.prefix):
            draft.wake_lease(outer)
            return outer
    return key


def serving(draft: Draft, stage: Stage) -> list[Lease]:
    """List the leases that a stage rides on, in the order of its prefixes; one that is not known is left out."""
    found = []
    for key in lease.keys(draft.namespace(stage.fs), stage.fs, stage.ask):
        held = draft.find_lease(key) or _covering(draft, stage, key)
        if held is not None:
            found.append(held)
    return found


def leave(draft: Draft, stage: Stage) -> None:
    """Note on a stage's leases when it needed them last: what was needed longest ago gives way first."""
    if stage.fs in draft.rules.file_systems:
        draft.change(replace(it, used=draft.now) for it in serving(draft, stage))


def waiting(draft: Draft, held: Lease) -> Iterator[Stage]:
    """Yield the stages that wait for a lease."""
    for key in draft.riders.get(held.key, ()):
        stage = draft.stages.get(key)
        if stage is not None and stage.phase in WAITS:
            yield stage


def is_held(draft: Draft, job_id: int) -> bool:
    """Say whether a job waits for an operator because a stage-in failed, and will be staged anew before it starts."""
    return any(it.phase is Phase.FAILED for it in draft.of_job(job_id, Direction.IN))


def fail(draft: Draft, held: Lease, message: str, correlation_id: str = "") -> None:
    """Give a lease up, in words for all who wait for it. Who asks again begins anew."""
    for stage in waiting(draft, held):
        draft.fail(stage, message, correlation_id or held.correlation_id)
    if held.ahead or held.pinned or _has_living_riders(draft, held):
        # Nobody else is to be told yet, and it may be mended until somebody asks.
        anew = replace(held.begun_anew(draft.now), ahead=True, turns=0, not_before=draft.now + _FORESEE_AGAIN)
        draft.put_lease(replace(anew, message=message) if held.pinned else anew)
    else:
        draft.leases.pop(held.key, None)


def _has_living_riders(draft: Draft, held: Lease) -> bool:
    stages = (draft.stages.get(key) for key in draft.riders.get(held.key, ()))
    return any(stage is not None and stage.phase in NEEDS for stage in stages)


def said(held: Lease) -> str:
    """Say what a lease says, and what of its size is a guess."""
    return "; ".join(it for it in (held.message, estimate(held) if held.unlisted else "") if it)


def estimate(held: Lease) -> str:
    """Say that a lease was not listed to its end."""
    return f"more than {held.listed:,} blobs under {held.key.prefix}; the rest is estimated"


def say(draft: Draft, held: Lease, message: str) -> None:
    """Let a lease, and all who wait for it, say why it waits."""
    if held.message != message:
        tell(draft, draft.put_lease(replace(held, message=message)))


def tell(draft: Draft, held: Lease) -> None:
    """Let all who wait for a lease say what it says."""
    held = draft.leases.get(held.key, held)
    message = said(held)
    for stage in waiting(draft, held):
        if stage.message != message or stage.correlation_id != held.correlation_id:
            draft.put(replace(stage, message=message, correlation_id=held.correlation_id))
