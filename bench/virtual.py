"""The slot on a virtual clock. What it chooses is the daemon's own code: `domain.turn` and `domain.tempo`."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.trace import Arrival, Site
from bench.waits import TURN_SECONDS, Wait, alone_seconds, wait, work_seconds
from slurm_amlfs.domain.tempo import Tempo
from slurm_amlfs.domain.turn import Bounds, Load, Pace, Piece, Turn, choose

CUT_SECONDS = 10.0
"""How much of a turn a part of a cut prefix takes at most."""

BOUNDS = Bounds(TURN_SECONDS)


@dataclass(slots=True)
class _Need:
    """A prefix that somebody waits for. `first` is whose patience counts; `backlog` what he had waiting before."""

    first: Arrival
    pieces: list[Piece]
    left: float
    backlog: float = 0.0
    waiting: list[Arrival] = field(default_factory=list)
    weight: float = 0.0


@dataclass(slots=True)
class _Slot:
    """Who waits, what is there since when, and the rates measured as the daemon measures them."""

    site: Site
    tempo: Tempo
    rng: random.Random
    now: float = 0.0
    needs: dict[str, _Need] = field(default_factory=dict)
    there: dict[str, float] = field(default_factory=dict)
    waits: list[Wait] = field(default_factory=list)

    def admit(self, job: Arrival) -> None:
        """Let a job that came wait, unless its prefix is there; it may have been under way when the job came."""
        if job.prefix in self.there:
            self.waits.append(wait(self.site, job, max(job.at, self.there[job.prefix])))
            return
        need = self.needs.get(job.prefix)
        if need is None:
            pieces = list(_cut(self.site, job, self.rng))
            need = _Need(job, pieces, sum(it.seconds for it in pieces), self._flood_seconds() if job.flood else 0.0)
            self.needs[job.prefix] = need
        elif need.first.flood and not job.flood:
            need.first, need.backlog = job, 0.0
        need.waiting.append(job)
        need.weight += job.weight
        self.tempo = self.tempo.weight_came(job.weight, job.at)

    def _flood_seconds(self) -> float:
        return sum(alone_seconds(self.site, it.first) for it in self.needs.values() if it.first.flood)

    def take_turn(self) -> None:
        """Choose a turn, let its time go by, and settle whom it brought the last piece."""
        pace = Pace(self.tempo.overhead_seconds, self.tempo.weight_per_second(self.now))
        turn = choose((_load(self.site, it) for it in self.needs.values()), pace, BOUNDS, self.now)
        if turn is None:
            return
        ends = self._run(turn)
        for key in turn.loads:
            need = self.needs[str(key)]
            mine = [it for it in need.pieces if it.prefix in ends]
            need.pieces = [it for it in need.pieces if it.prefix not in ends]
            need.left -= sum(it.seconds for it in mine)
            if not need.pieces:
                end = max(ends[it.prefix] for it in mine)
                self.waits += [wait(self.site, it, end) for it in need.waiting]
                self.there[str(key)] = end
                del self.needs[str(key)]

    def _run(self, turn: Turn) -> dict[str, float]:
        """Give when each piece is there: one after the other, in the order of the turn."""
        began = self.now
        ends: dict[str, float] = {}
        self.now += self.site.overhead_seconds
        for piece in turn.pieces:
            self.now += piece.seconds
            ends[piece.prefix] = self.now
        blobs = round(sum(it.seconds for it in turn.pieces) * self.site.blobs_per_second)
        self.tempo = self.tempo.turn_took(blobs, self.now - began)
        return ends


def ours(site: Site, jobs: Sequence[Arrival], seed: int) -> list[Wait]:
    """The turns that `domain.turn.choose` takes; `seed` says where a prefix can be cut."""
    rng = random.Random(seed)  # noqa: S311 - a synthetic listing, no secret
    slot = _Slot(site, Tempo.assume(site.overhead_seconds, site.blobs_per_second), rng)
    ahead = deque(jobs)
    while ahead or slot.needs:
        if not slot.needs:
            slot.now = max(slot.now, ahead[0].at)
        while ahead and ahead[0].at <= slot.now:
            slot.admit(ahead.popleft())
        slot.take_turn()
    return slot.waits


def _load(site: Site, need: _Need) -> Load:
    first = need.first
    return Load(
        key=first.prefix,
        kind="archive" if first.exports else "import",
        weight=need.weight,
        since=first.at,
        alone_seconds=alone_seconds(site, first),
        pieces=tuple(need.pieces),
        left_seconds=need.left,
        single=first.exports,
        backlog_seconds=need.backlog,
    )


def _cut(site: Site, job: Arrival, rng: random.Random) -> Iterator[Piece]:
    """Cut as a listing does: into parts of uneven size, none larger than the bound.

    An archive takes a turn of its own for each part, so its parts are as large as a turn may be.
    """
    left = work_seconds(site, job)
    number = 0
    longest = TURN_SECONDS - site.overhead_seconds if job.exports else CUT_SECONDS
    while left > longest:
        part = longest * rng.uniform(0.2, 1.0)
        yield Piece(f"{job.prefix}{number:06}", part)
        left -= part
        number += 1
    yield Piece(f"{job.prefix}{number:06}", left)
