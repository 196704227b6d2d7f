"""The slot on a virtual clock, under four policies. Ours is the daemon's own code: `domain.turn` and `domain.tempo`."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.trace import Arrival, Site
from slurm_amlfs.domain.tempo import Tempo
from slurm_amlfs.domain.turn import Bounds, Load, Pace, Piece, choose

CUT_SECONDS = 10.0
"""How much of a turn a part of a cut prefix takes at most."""

CUT_ARCHIVE_SECONDS = 30.0
"""The same for an archive, which has a turn of its own for each part."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a job waited for its data, and for how many blobs."""

    seconds: float
    blobs: int
    weight: float
    alone_seconds: float
    flood: bool = False


def mean_weighted(waits: Sequence[Wait]) -> float:
    """Give the mean of the waits, each counted by its weight."""
    return sum(it.seconds * it.weight for it in waits) / sum(it.weight for it in waits)


def one_by_one(site: Site, jobs: Sequence[Arrival]) -> list[Wait]:
    """One import for each job, in the order of their arrival."""
    now, waits = 0.0, []
    for job in jobs:
        now = max(now, job.at) + _alone(site, job)
        waits.append(_wait(site, job, now))
    return waits


def merge_everything(site: Site, jobs: Sequence[Arrival]) -> list[Wait]:
    """Whatever waits when the slot is free goes into one import; an export takes one path, so each has its own turn."""
    now, waits, there = 0.0, [], set()
    coming = iter(jobs)
    ahead = next(coming, None)
    queue: list[Arrival] = []
    while ahead is not None or queue:
        if not queue and ahead is not None:
            now = max(now, ahead.at)
        while ahead is not None and ahead.at <= now:
            queue.append(ahead)
            ahead = next(coming, None)
        for exports in (False, True):
            turns: list[list[Arrival]] = [[it] for it in queue if it.exports] if exports else []
            batch = [it for it in queue if not it.exports and it.prefix not in there]
            if not exports:
                waits += [_wait(site, it, it.at) for it in queue if not it.exports and it.prefix in there]
                turns = [batch] if batch else []
            for turn in turns:
                blobs = sum({it.prefix: it.blobs for it in turn}.values())
                now += site.overhead_seconds + blobs / site.blobs_per_second
                there |= {it.prefix for it in turn}
                waits += [_wait(site, it, now) for it in turn]
        queue = []
    return waits


@dataclass(slots=True)
class _Need:
    """A prefix that somebody waits for."""

    first: Arrival
    pieces: list[Piece]
    waiting: list[Arrival] = field(default_factory=list)
    weight: float = 0.0
    left: float = 0.0
    done_at: float = 0.0


def ours(site: Site, jobs: Sequence[Arrival], seed: int) -> list[Wait]:
    """The turns that `domain.turn.choose` would take, with rates measured as the daemon measures them."""
    rng = random.Random(seed)  # noqa: S311 - where a prefix can be cut
    tempo = Tempo.assume(site.overhead_seconds, site.blobs_per_second)
    needs: dict[str, _Need] = {}
    there: set[str] = set()
    waits: list[Wait] = []
    now = 0.0
    coming = iter(jobs)
    ahead = next(coming, None)
    while ahead is not None or needs:
        if not needs and ahead is not None:
            now = max(now, ahead.at)
        while ahead is not None and ahead.at <= now:
            if ahead.prefix in there:
                waits.append(_wait(site, ahead, ahead.at))
            else:
                need = needs.get(ahead.prefix)
                if need is None:
                    pieces = list(_cut(site, ahead, rng))
                    need = needs[ahead.prefix] = _Need(ahead, pieces, left=sum(it.seconds for it in pieces))
                need.waiting.append(ahead)
                need.weight += ahead.weight
                tempo = tempo.weight_came(ahead.weight, ahead.at)
            ahead = next(coming, None)
        if not needs:
            continue
        pace = Pace(tempo.overhead_seconds, tempo.weight_per_second(now))
        flood = sum(it.left for it in needs.values() if it.first.flood)
        turn = choose((_load(site, it, flood if it.first.flood else 0) for it in needs.values()), pace, Bounds(), now)
        if turn is None:
            raise AssertionError("somebody waits, and nobody is chosen")
        at = now + site.overhead_seconds
        carried = {piece.prefix: piece for piece in turn.pieces}
        ends: dict[str, float] = {}
        for piece in turn.pieces:
            at += piece.seconds
            ends[piece.prefix] = at
        blobs = round(sum(it.seconds for it in turn.pieces) * site.blobs_per_second)
        tempo = tempo.turn_took(blobs, at - now)
        now = at
        for key in turn.loads:
            need = needs[str(key)]
            mine = [it for it in need.pieces if it.prefix in carried]
            need.pieces = [it for it in need.pieces if it.prefix not in carried]
            need.left -= sum(it.seconds for it in mine)
            need.done_at = max(ends[it.prefix] for it in mine)
        # Who comes for a prefix while its last part is under way waits for that as well.
        while ahead is not None and ahead.at <= now and ahead.prefix in needs and not needs[ahead.prefix].pieces:
            needs[ahead.prefix].waiting.append(ahead)
            ahead = next(coming, None)
        for key in turn.loads:
            need = needs[str(key)]
            if not need.pieces:
                waits += [_wait(site, it, max(need.done_at, it.at)) for it in need.waiting]
                there.add(str(key))
                del needs[str(key)]
    return waits


def _load(site: Site, need: _Need, backlog: float) -> Load:
    first = need.first
    kind = "archive" if first.exports else "import"
    alone = _alone(site, first)
    return Load(first.prefix, kind, need.weight, first.at, alone, tuple(need.pieces), need.left, first.exports, backlog)


def _cut(site: Site, job: Arrival, rng: random.Random) -> Iterator[Piece]:
    """Cut as a listing does: into parts of uneven size, none larger than the bound. An archive cannot be cut."""
    left = job.blobs / site.blobs_per_second
    number = 0
    longest = CUT_ARCHIVE_SECONDS if job.exports else CUT_SECONDS
    while left > longest:
        part = longest * rng.uniform(0.2, 1.0)
        yield Piece(f"{job.prefix}{number:06}", part)
        left -= part
        number += 1
    yield Piece(f"{job.prefix}{number:06}", left)


def lower_bound(site: Site, jobs: Sequence[Arrival]) -> float:
    """Weighted shortest remaining work first, preemptive, without overhead; one overhead for each job that needs one.

    Returns:
        The mean weighted wait in seconds. Jobs that share a prefix share its work, and weigh together.
    """
    now, total, index = 0.0, 0.0, 0
    left: dict[str, float] = {}
    waiting: dict[str, list[Arrival]] = {}
    there: set[str] = set()
    heap: list[tuple[float, str]] = []

    def key(prefix: str) -> float:
        return left[prefix] / sum(it.weight for it in waiting[prefix])

    while index < len(jobs) or left:
        if not left:
            now = max(now, jobs[index].at)
        while index < len(jobs) and jobs[index].at <= now:
            job = jobs[index]
            index += 1
            if job.prefix in there:
                continue
            total += 0 if job.exports else job.weight * site.overhead_seconds
            left.setdefault(job.prefix, _least_work(site, job))
            waiting.setdefault(job.prefix, []).append(job)
            heapq.heappush(heap, (key(job.prefix), job.prefix))
        while heap and (heap[0][1] not in left or heap[0][0] > key(heap[0][1]) + 1e-12):
            heapq.heappop(heap)
        if not heap:
            continue
        prefix = heap[0][1]
        until = jobs[index].at if index < len(jobs) else float("inf")
        step = min(left[prefix], until - now)
        now += step
        left[prefix] -= step
        if left[prefix] <= 1e-9:
            total += sum(it.weight * (now - it.at) for it in waiting.pop(prefix))
            del left[prefix]
            there.add(prefix)
        else:
            heapq.heappush(heap, (key(prefix), prefix))
    return total / sum(it.weight for it in jobs)


def _least_work(site: Site, job: Arrival) -> float:
    """An archive takes one path, so its overhead is work of its own that nobody can share."""
    return _alone(site, job) if job.exports else job.blobs / site.blobs_per_second


def _alone(site: Site, job: Arrival) -> float:
    return site.overhead_seconds + job.blobs / site.blobs_per_second


def _wait(site: Site, job: Arrival, end: float) -> Wait:
    return Wait(end - job.at, job.blobs, job.weight, _alone(site, job), job.flood)
