"""What waits for a file system's slot, as loads for `turn.choose`, and the transfer that comes of its choice."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import median
from typing import NamedTuple, cast

from slurm_amlfs.domain import archiving, capacity, freshness, keeping, overwriting, ranking, riding, sizing
from slurm_amlfs.domain.ask import Conflict, Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Clear, key_of
from slurm_amlfs.domain.lease import Lease, LeaseKey, Part
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import reduce
from slurm_amlfs.domain.records import Outcome, Stage, StageKey, Transfer, TransferKind
from slurm_amlfs.domain.turn import Bounds, Load, Pace, Piece, Turn, choose
from slurm_amlfs.domain.world import Ahead, FsSeen

NAME_PREFIX = "amlfs-"
"""Beginning of our imports' names in ARM. One that we no longer know is met again by its name, not waited for."""

_LEAST_WEIGHT, _MOST_WEIGHT = 0.1, 10.0
"""Bounds of a job's weight, which is its priority set beside the median of those that wait."""

_FORESEEN_WEIGHT = 0.5
"""What a job that Slurm has not begun to stage, or an admin's pin, weighs beside one that waits."""


class _Kind(NamedTuple):
    """What imports must have in common to share a turn."""

    conflict: Conflict
    max_errors: int
    suspect: str


_ARCHIVE = "archive"


def waits_for_slot(stage: Stage) -> bool:
    """Say whether a stage-out waits for its turn."""
    return stage.key.direction is Direction.OUT and stage.phase is Phase.WAITING and bool(stage.todo)


def next_turn(draft: Draft, fs: str) -> Turn | None:
    """Choose what the slot does next; None if nothing waits that may go.

    What has first to be looked at, because its import overwrites, is looked at. A look may take minutes, and others go
    meanwhile; not a second time, or it would wait for ever.
    """
    loads = loads_of(draft, fs)
    while (turn := choose_turn(draft, fs, loads, draft.now)) is not None and turn.kind != _ARCHIVE:
        unchecked = [held for held in _leases(draft, turn) if not overwriting.is_checked(draft, held)]
        if not unchecked:
            break
        for held in unchecked:
            sizing.check(draft, held)
        if any(overwriting.keeps_its_place(draft, held) for held in unchecked):
            return None
        passed = {held.key for held in unchecked}
        loads = [load for load in loads if isinstance(load.key, StageKey) or _lease_of(load.key) not in passed]
    return turn


def loads_of(draft: Draft, fs: str) -> list[Load]:
    """List what waits for a file system's slot."""
    weights = _Weights(draft)
    return [*_imports(draft, fs, weights), *_archives(draft, fs, weights)]


def choose_turn(draft: Draft, fs: str, loads: Sequence[Load], at: datetime) -> Turn | None:
    """Choose among loads the next turn of a moment; None if none of them may go."""
    tempo = draft.tempo(fs)
    now = at.timestamp()
    pace = Pace(tempo.overhead_seconds, tempo.weight_per_second(now))
    bounds = Bounds(draft.rules.turn.total_seconds(), draft.rules.prefixes_per_import)
    turn = choose(loads, pace, bounds, now)
    if draft.rules.ahead is not Ahead.SUBMIT and turn is not None and not _asked_for(draft, turn):
        turn = choose([load for load in loads if _has_asked(draft, load.key)], pace, bounds, now)
    return turn


def _asked_for(draft: Draft, turn: Turn) -> bool:
    return any(_has_asked(draft, key) for key in turn.loads)


def _has_asked(draft: Draft, key: Hashable) -> bool:
    """Say whether somebody waits for a load already, job or admin, and is not only foreseen."""
    if isinstance(key, StageKey):
        return True
    held, _ = cast("tuple[LeaseKey, str]", key)
    return bool(draft.riders.get(held)) or draft.leases[held].pinned


def _leases(draft: Draft, turn: Turn) -> list[Lease]:
    """List the leases that a turn of imports serves."""
    return [draft.leases[key] for key, _ in cast("Sequence[tuple[LeaseKey, str]]", turn.loads)]


def _lease_of(key: Hashable) -> LeaseKey:
    return cast("tuple[LeaseKey, str]", key)[0]


class _Weights:
    """How much each waiting job's wait weighs."""

    def __init__(self, draft: Draft) -> None:
        self._jobs = draft.seen.jobs or {}
        self._draft = draft
        known = [view.priority for view in self._jobs.values() if view.priority > 0]
        self._usual = median(known) if known else 1

    def of(self, stage: Stage) -> float:
        """Weigh a stage by its job's priority."""
        view = self._jobs.get(stage.key.job_id)
        if view is None:
            return 1.0
        return self.set_beside(view.priority)

    def of_dependents(self, stage: Stage) -> float:
        """Weigh those who wait for the end of a stage's job."""
        return sum(job.tasks * self.set_beside(job.priority) for job in ranking.dependents(self._draft, stage))

    def set_beside(self, priority: int) -> float:
        """Set a priority beside the usual one."""
        return min(max(priority / self._usual, _LEAST_WEIGHT), _MOST_WEIGHT)


def _imports(draft: Draft, fs: str, weights: _Weights) -> Iterator[Load]:
    tempo = draft.tempo(fs)
    rate = tempo.blobs_per_second
    waiting = [(held, list(riding.waiting(draft, held))) for held in _may_go(draft, fs)]
    for held, stages in waiting:
        weight = sum(weights.of(stage) for stage in stages)
        foreseen = draft.foreseen.get(held.key)
        if foreseen is not None:
            weight += _FORESEEN_WEIGHT * foreseen.tasks * weights.set_beside(foreseen.priority)
        elif not stages:
            weight = _FORESEEN_WEIGHT
        alone = tempo.overhead_seconds + held.files_total / rate
        by_suspect: dict[str, list[Part]] = {}
        for part in held.wants:
            by_suspect.setdefault(part.suspect, []).append(part)
        for suspect, parts in by_suspect.items():
            yield Load(
                (held.key, suspect),
                _Kind(held.key.conflict, held.key.max_errors, suspect),
                weight,
                held.since.timestamp(),
                alone,
                # What was not listed counts for the order, and is in no turn before it was.
                tuple(Piece(part.prefix, part.blobs / rate) for part in parts if not part.estimated),
                left_seconds=sum(part.blobs / rate for part in parts),
                backlog_seconds=held.backlog_seconds,
            )


def _may_go(draft: Draft, fs: str) -> Iterator[Lease]:
    """Yield the leases that somebody wants, that wait for a turn, and for nothing else."""
    for held in list(draft.leases.values()):
        if held.key.fs != fs or held.counted is None or held.landed or not draft.ready(held):
            continue
        if not keeping.wanted(draft, held) and not any(riding.waiting(draft, held)):
            continue
        if why := overwriting.hinders(draft, held):
            riding.say(draft, replace(held, checked=None), why)
            continue
        if held.message.startswith(overwriting.WAITING):
            riding.say(draft, held, "")
        yield held


def _archives(draft: Draft, fs: str, weights: _Weights) -> Iterator[Load]:
    overhead = draft.tempo(fs).overhead_seconds
    short = _short_of_space(draft, fs, weights)
    for stage in draft.stages.values():
        if stage.fs != fs or not waits_for_slot(stage) or not draft.ready(stage):
            continue
        pieces = tuple(Piece(part.prefix, archiving.seconds(part)) for part in stage.todo)
        alone = sum(overhead + piece.seconds for piece in pieces)
        # A stage waits anew after each of its archives, but for the slot since the job ended.
        since = (stage.asked or stage.since).timestamp()
        weight = weights.of(stage) + weights.of_dependents(stage)
        if stage.ask.release is not False:
            weight += short
        yield Load(stage.key, _ARCHIVE, weight, since, alone, pieces, single=True)


def _short_of_space(draft: Draft, fs: str, weights: _Weights) -> float:
    """Weigh those for whose bytes there is no room: an export gives its space back."""
    short = [it for it in draft.leases.values() if it.key.fs == fs and it.message.startswith(capacity.WAITING)]
    return sum(weights.of(stage) for held in short for stage in riding.waiting(draft, held))


def begin(draft: Draft, fs: str, turn: Turn, seen: FsSeen) -> Transfer | None:
    """Record what takes the slot next; None while the record of an earlier import of the same name is being deleted."""
    if turn.kind == _ARCHIVE:
        return _begin_archive(draft, fs, turn, seen)
    return _begin_import(draft, fs, turn)


def _begin_archive(draft: Draft, fs: str, turn: Turn, seen: FsSeen) -> Transfer:
    """Begin the archive of one path, for all exports that wait for just this path."""
    stages = [draft.stages[key] for key in cast("Sequence[StageKey]", turn.loads)]
    path = turn.pieces[0].prefix
    archives = seen.view.archives if seen.view is not None else ()
    baseline = next((it.started for it in archives if it.path == path), None)
    whose = [f"{it.key} {it.generation} {it.turns}" for it in stages]
    ident = f"archive-{_digest(fs, path, *whose, draft.now.isoformat())}"
    keys = tuple(it.key for it in stages)
    made = Transfer(ident, fs, TransferKind.ARCHIVE, (path,), draft.now, stages=keys, baseline=baseline)
    for stage in stages:
        draft.move(replace(stage, transfer_id=ident), Phase.EXPORTING)
    draft.transfers[ident] = made
    return made


def _begin_import(draft: Draft, fs: str, turn: Turn) -> Transfer | None:
    held = _leases(draft, turn)
    kept = set(reduce(draft.namespace(fs), [piece.prefix for piece in turn.pieces]))
    prefixes = tuple(piece.prefix for piece in turn.pieces if piece.prefix in kept)
    ident = _import_name(draft, prefixes, held)
    known = draft.transfers.get(ident)
    if known is not None and known.outcome is not Outcome.VANISHED:
        return None
    clear = Clear(fs, ident)
    if clear in draft.errands or key_of(clear) in draft.seen.running:
        return None
    blobs = sum(part.blobs for it in held for part in it.wants if part.prefix in kept)
    first = held[0].key
    made = Transfer(
        ident,
        fs,
        TransferKind.IMPORT,
        prefixes,
        draft.now,
        leases=tuple(it.key for it in held),
        conflict=first.conflict,
        max_errors=first.max_errors,
        blobs=blobs,
    )
    draft.transfers[ident] = made
    for it in held:
        overwriting.disturb(draft, it, made.leases)
    for it in held:
        for stage in riding.waiting(draft, draft.put_lease(replace(draft.leases[it.key], message="", probed=None))):
            if stage.phase is Phase.WAITING and freshness.is_listed(draft, it, stage):
                draft.move(stage, Phase.IMPORTING)
    return made


def _import_name(draft: Draft, prefixes: Sequence[str], held: Iterable[Lease]) -> str:
    """Make a name that is the same for the same turn of the same leases, and legal in ARM (2..80 of [-0-9a-zA-Z_])."""
    carried = [f"{it.key} {it.turns} {[(part.suspect, part.turns) for part in it.wants]}" for it in held]
    # An import that began before the listing must not be met again: it may not show what changed in between.
    carried += [str(it.looked) for it in held if freshness.lists_anew(it.key)]
    jobs = [stage.key.job_id for it in held for stage in riding.waiting(draft, it)]
    return f"{NAME_PREFIX}{min(jobs, default=0)}-{_digest(*prefixes, *sorted(carried))}"


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(str(part) for part in parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
