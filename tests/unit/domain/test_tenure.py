"""Two or three daemons, clocks that do not agree, and any order of what they do: never two that act."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_amlfs.domain.tenure import Claim, Holder, Standing, Status, Timing, Watch, is_dead, standing
from tests.examples import examples

TIMING = Timing(renew_seconds=1.0, stale_seconds=10.0)
ME = Holder("a", 7, "boot", "pids", "100", "2026-11-22T12:00:00+00:00")
OTHER = replace(ME, host="b")
MINE = Claim(3, Status.HELD, 5, ME)


@pytest.mark.parametrize(
    ("own", "newest_term", "renewed", "wanted"),
    [
        (MINE, 3, 99.0, Standing.HOLDS),
        (replace(MINE, beat=9), 3, 99.0, Standing.HOLDS),
        (MINE, 3, 95.0, Standing.LAPSED),
        (MINE, 4, 99.0, Standing.LOST),
        (None, 3, 99.0, Standing.LOST),
        (replace(MINE, status=Status.TAKEN), 3, 99.0, Standing.LOST),
        (replace(MINE, status=Status.GIVEN_BACK), 3, 99.0, Standing.LOST),
        (replace(MINE, holder=OTHER), 3, 99.0, Standing.LOST),
    ],
)
def test_standing(own: Claim | None, newest_term: int, renewed: float, wanted: Standing) -> None:
    """A holder acts while its term is the newest, its record its own, and it has said so lately."""
    assert standing(MINE, own, newest_term, renewed, 100.0, TIMING) is wanted


def test_who_waits_counts_by_its_own_clock() -> None:
    """From when it first saw what stands there; anything new begins the count again."""
    watch = Watch(MINE, 1000.0)
    assert not watch.may_take(1009.9, TIMING)
    watch = watch.look(replace(MINE, beat=6), 1009.9)
    assert not watch.may_take(1019.8, TIMING)
    assert watch.look(replace(MINE, beat=6), 1019.9).may_take(1019.9, TIMING)


def test_what_needs_no_waiting() -> None:
    """No term at all, one that was given back, and one whose holder is known to be dead."""
    assert Watch(None, 0.0).may_take(0.0, TIMING)
    assert Watch(replace(MINE, status=Status.GIVEN_BACK), 0.0).may_take(0.0, TIMING)
    assert Watch(MINE, 0.0).may_take(0.0, TIMING, dead=True)
    assert not Watch(MINE, 0.0).may_take(0.0, TIMING)


def test_a_holder_that_lives_is_seen_to() -> None:
    """By its own renewal only, not by one who took over from it."""
    watch = Watch(MINE, 0.0)
    assert watch.renewed(replace(MINE, beat=6))
    assert not watch.renewed(MINE)
    assert not watch.renewed(replace(MINE, term=4, beat=0))
    assert not watch.renewed(replace(MINE, beat=6, status=Status.GIVEN_BACK))
    assert not watch.renewed(None)


@pytest.mark.parametrize(
    ("holder", "began", "dead"),
    [
        (ME, None, True),
        (ME, "101", True),
        (ME, "100", False),
        (ME, "", False),
        (replace(ME, began=""), "100", False),
        (replace(ME, host="b"), None, False),
        (replace(ME, boot="other"), None, False),
        (replace(ME, pids="a container's"), None, False),
    ],
)
def test_only_what_is_certain_counts_as_dead(holder: Holder, began: str | None, dead: bool) -> None:  # noqa: FBT001 - a column of the table above
    """Its own kernel says that its process is no more; of another host or container nothing is known."""
    assert is_dead(holder, ME, began) is dead


def test_nothing_is_certain_where_nothing_is_seen() -> None:
    """As without /proc: two places of which nothing is known are not the same."""
    for blank in (replace(ME, boot=""), replace(ME, pids="")):
        assert not is_dead(blank, blank, None)


@dataclass
class Daemon:
    """One contender: a clock with an offset and a rate, and what it knows."""

    holder: Holder
    offset: float
    rate: float
    mine: Claim | None = None
    renewed: float = 0.0
    watch: Watch | None = None
    ended: bool = False

    def clock(self, time: float) -> float:
        """Read its clock."""
        return self.offset + time * self.rate


@dataclass
class World:
    """The records, a true time that nobody reads, and who has acted in which term."""

    time: float = 0.0
    records: dict[int, Claim] = field(default_factory=dict)
    acted: int = 0

    def newest(self) -> Claim | None:
        """Read the newest record."""
        return self.records.get(max(self.records, default=0))

    def step(self, daemon: Daemon, what: str, *, blind: bool) -> None:
        """Let a daemon do one thing; `blind` has it see nothing that others wrote since it took its term."""
        now = daemon.clock(self.time)
        if daemon.ended:
            return
        if daemon.mine is None:
            self._wait(daemon, now)
        elif what == "renew":
            daemon.mine = replace(daemon.mine, beat=daemon.mine.beat + 1)
            replaced = self.records[daemon.mine.term].status is not Status.HELD
            if not replaced:
                self.records[daemon.mine.term] = daemon.mine
            # A server knows that the file was replaced (ESTALE), however much its client has cached.
            if not (replaced and blind):
                daemon.renewed = now
        elif what == "end":
            daemon.ended = True
            if self.records[daemon.mine.term].status is Status.HELD:
                self.records[daemon.mine.term] = replace(daemon.mine, status=Status.GIVEN_BACK)
        else:
            own = daemon.mine if blind else self.records[daemon.mine.term]
            newest = daemon.mine.term if blind else max(self.records)
            match standing(daemon.mine, own, newest, daemon.renewed, now, TIMING):
                case Standing.HOLDS:
                    assert daemon.mine.term >= self.acted, "one of an older term acts after one of a newer"
                    self.acted = daemon.mine.term
                case Standing.LOST:
                    daemon.ended = True

    def _wait(self, daemon: Daemon, now: float) -> None:
        newest = self.newest()
        daemon.watch = (daemon.watch or Watch(newest, now)).look(newest, now)
        if daemon.watch.may_take(now, TIMING):
            term = 1 if newest is None else newest.term + 1
            assert term not in self.records
            if newest is not None:
                self.records[newest.term] = replace(newest, status=Status.TAKEN)
            daemon.mine = self.records[term] = Claim(term, Status.HELD, 0, daemon.holder)
            daemon.renewed = now


CLOCKS = st.tuples(st.floats(-1e6, 1e6), st.floats(0.8, 1.2))
STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["act", "act", "renew", "end"]), st.floats(0, 12)), max_size=80
)


WOKEN = [(0, "act", 1.0), (1, "act", 0.0), (1, "act", 12.0), (1, "act", 0.0), (0, "renew", 0.0), (0, "act", 0.0)]
"""One takes over from one that hangs, and acts; that one wakes up, and says that it lives, and would act."""


@examples(150)
@given(clocks=st.lists(CLOCKS, min_size=3, max_size=3), steps=STEPS, blind=st.sampled_from([False, True]))
@example(clocks=[(0.0, 1.0)] * 3, steps=WOKEN, blind=True)
@example(clocks=[(0.0, 1.0)] * 3, steps=WOKEN, blind=False)
def test_never_two_that_act(
    clocks: list[tuple[float, float]], steps: list[tuple[int, str, float]], *, blind: bool
) -> None:
    """Whatever is done in whatever order, however the clocks are set, and with rates that differ by a half.

    Also when a holder sees nothing of what the others write, as behind a cache, so that only its clock stops it.
    """
    world = World()
    daemons = [Daemon(replace(ME, pid=number), *clock) for number, clock in enumerate(clocks)]
    for number, what, seconds in steps:
        world.time += seconds
        world.step(daemons[number], what, blind=blind)


def test_a_standby_gets_its_turn() -> None:
    """When the holder says nothing any more, in the time that the site allows; a second standby does not get it too."""
    world = World()
    holder, standby, second = (Daemon(replace(ME, pid=number), 0.0, 1.0) for number in range(3))
    for _ in range(20):
        world.time += 1
        world.step(holder, "renew", blind=False)
        world.step(standby, "act", blind=False)
        world.step(second, "act", blind=False)
    assert standby.mine is second.mine is None
    for _ in range(11):
        world.time += 1
        world.step(standby, "act", blind=False)
        world.step(second, "act", blind=False)
    assert standby.mine is not None
    assert second.mine is None
    world.step(holder, "act", blind=False)
    assert holder.ended
