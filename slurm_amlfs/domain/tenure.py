"""Who may act on a state directory: one daemon at a time, over any number of hosts whose clocks do not agree.

Each holder has a term, a number that only one can take. It says again and again that it lives; another may take the
next term when what the holder says has not changed for long by the *other's own* clock, and the holder does not act
when it last said so longer ago by *its own* clock. Clocks of two hosts are never compared; only their rates have to be
about the same. Times here are seconds of a clock that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Status(Enum):
    """What stands in the record of a term."""

    HELD = "held"
    GIVEN_BACK = "back"
    TAKEN = "took"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a term, since when by its own wall clock, for people.

    `boot` names the host's kernel since its start, `pids` the process namespace that the `pid` is of, and `began` when
    that process was started, so that another with its pid is not taken for it.
    """

    host: str
    pid: int
    boot: str
    pids: str
    began: str
    since: str

    def __str__(self) -> str:
        return f"slurm-amlfsd on {self.host}, pid {self.pid}, since {self.since}"


@dataclass(frozen=True, slots=True)
class Claim:
    """The record of a term as it is read. `beat` is another each time the holder says that it lives."""

    term: int
    status: Status
    beat: int
    holder: Holder


@dataclass(frozen=True, slots=True)
class Timing:
    """How long is long: `stale` for who waits, `fence` for who holds. The difference is for what is under way."""

    renew_seconds: float
    stale_seconds: float

    @property
    def fence_seconds(self) -> float:
        """Give how long a holder may act on what it last said."""
        return self.stale_seconds / 2


class Standing(Enum):
    """What a holder may do: act; wait until it has said again that it lives; or nothing more."""

    HOLDS = auto()
    LAPSED = auto()
    LOST = auto()


def standing(mine: Claim, own: Claim | None, newest_term: int, renewed: float, now: float, timing: Timing) -> Standing:  # noqa: PLR0913, PLR0917 - what is known
    """Say what a holder may do.

    Args:
        mine: Its own claim, as it wrote it.
        own: The record of its term as it stands now; None if it is gone.
        newest_term: The newest term that anybody took.
        renewed: When it began to say last that it lives.
        now: The present.
        timing: How long is long.
    """
    if own is None or (own.status, own.holder) != (Status.HELD, mine.holder) or newest_term != mine.term:
        return Standing.LOST
    return Standing.HOLDS if now - renewed < timing.fence_seconds else Standing.LAPSED


@dataclass(frozen=True, slots=True)
class Watch:
    """What one who waits has seen of the newest term, and when that was new to him."""

    claim: Claim | None
    since: float

    def look(self, newest: Claim | None, now: float) -> Watch:
        """Take what stands there now."""
        return self if newest == self.claim else Watch(newest, now)

    def renewed(self, newest: Claim | None) -> bool:
        """Say whether a holder was seen to live: between two looks the same one has said so."""
        before = self.claim
        return (
            before is not None
            and newest is not None
            and before.term == newest.term
            and before.beat != newest.beat
            and newest.status is Status.HELD
        )

    def may_take(self, now: float, timing: Timing, *, dead: bool = False) -> bool:
        """Say whether the next term may be taken; `dead` says that the holder is known to be no more."""
        if self.claim is None or self.claim.status is Status.GIVEN_BACK:
            return True
        return dead or now - self.since >= timing.stale_seconds


def is_dead(holder: Holder, here: Holder, began: str | None) -> bool:
    """Say whether a holder is certainly no more: it was of this kernel and process namespace, and its process is gone.

    Args:
        holder: Who held.
        here: Who asks; its host, boot and pids are this place's.
        began: When the process was started that has the holder's pid here now; None if there is none, "" if that cannot
            be seen.
    """
    if not (here.boot and here.pids) or (holder.host, holder.boot, holder.pids) != (here.host, here.boot, here.pids):
        return False
    return began is None or (bool(began and holder.began) and began != holder.began)
