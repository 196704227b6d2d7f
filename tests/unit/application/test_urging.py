"""When the loop makes a pass: at once for what decides, and now and then for what only comes forward."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from slurm_amlfs.application import loop as loop_module
from slurm_amlfs.application.urging import Urge
from slurm_amlfs.domain.reconcile import Decision, decide
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.world import Rules, Seen
from slurm_amlfs.wire import RequestKind
from tests.unit.application.loop_site import Site

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Passes:
    """An urge, and passes that take as long as the test says."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.urge = Urge(lambda: self.seconds)
        self.make(NOON)

    def make(self, now: datetime, took: float = 0.02, wake: datetime | None = None) -> None:
        """Make a pass."""
        with self.urge.passing(now):
            self.seconds += took
            if wake is not None:
                self.urge.wake_at(wake)


@pytest.fixture
def passes() -> Passes:
    return Passes()


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_the_first_pass_is_made_at_once() -> None:
    """What was remembered has to be gone on with."""
    assert Urge().due(NOON)


def test_nothing_asks_for_no_pass(passes: Passes) -> None:
    """A daemon at rest makes none."""
    assert not passes.urge.due(after(3600))


def test_progress_waits_nine_times_what_a_pass_takes(passes: Passes) -> None:
    """Passes of 20 ms for figures alone take a tenth of the time."""
    passes.urge.comes_forward()
    assert [passes.urge.due(after(seconds)) for seconds in (0.0, 0.17, 0.18)] == [False, False, True]
    assert passes.urge.rests(after(0.1)) == timedelta(seconds=0.08)


def test_quick_passes_keep_nobody_waiting(passes: Passes) -> None:
    """Where a pass takes a millisecond, a slice of a proof goes on within ten."""
    passes.make(NOON, took=0.001)
    passes.urge.comes_forward()
    assert passes.urge.due(after(0.01))


def test_progress_never_waits_for_longer_than_half_a_second(passes: Passes) -> None:
    """However long passes take."""
    passes.make(NOON, took=5.0)
    passes.urge.comes_forward()
    assert passes.urge.due(after(0.5))


def test_what_decides_is_never_held_back(passes: Passes) -> None:
    """A start, a refusal or a request is acted upon at once, also while progress rests."""
    passes.urge.comes_forward()
    passes.urge.decides()
    assert passes.urge.due(NOON)


def test_a_pass_is_made_when_it_was_asked_for(passes: Passes) -> None:
    """At its moment, and not before."""
    passes.make(NOON, wake=after(10))
    assert [passes.urge.due(after(seconds)) for seconds in (9.9, 10.0)] == [False, True]


def test_another_pass_at_once_is_as_urgent_as_the_one_that_asks(passes: Passes) -> None:
    """Leases follow what was decided in the next pass at once, and figures after a rest."""
    passes.urge.decides()
    passes.make(NOON, wake=NOON)
    assert passes.urge.due(NOON)
    passes.make(NOON)
    passes.urge.comes_forward()
    passes.make(after(1), wake=after(1))
    assert not passes.urge.due(after(1))
    assert passes.urge.due(after(1.2))


def test_a_pass_that_fails_is_made_again(passes: Passes) -> None:
    """Nothing of it was kept."""
    passes.urge.comes_forward()
    with pytest.raises(OSError, match="full"), passes.urge.passing(after(1)):
        raise OSError("full")
    assert passes.urge.due(after(1))


def test_a_clock_that_is_put_back_holds_nothing(passes: Passes) -> None:
    """An hour back is no rest of an hour."""
    passes.urge.comes_forward()
    assert passes.urge.due(after(-3600))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Make a site, and stop it."""
    made = Site(tmp_path)
    yield made
    made.end()


def test_the_loop_makes_no_pass_of_its_own_for_progress(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof that goes on tells of it in a pass that rests first; a request is taken in a pass at once."""
    site.submit()
    site.until(lambda: bool(site.arm.jobs))
    site.arm.finish(next(iter(site.arm.jobs)))
    # Restores that never come: from here on every look at the proof only comes forward.
    site.until(lambda: bool(site.lustre.restoring))
    made: list[datetime] = []

    def counted(records: Records, rules: Rules, seen: Seen, *rest: object) -> Decision:
        made.append(seen.now)
        return decide(records, rules, seen, *rest)

    monkeypatch.setattr(loop_module, "decide", counted)
    # Only the proof is under way, no look that could bring other news.
    site.until(lambda: {key.split()[0] for key in site.loop._running.futures} == {"prove"})  # noqa: SLF001 - as in Site.turn
    before = len(made)
    site.turn(0)
    assert len(made) == before
    site.ask(RequestKind.SETUP, job_id=8)
    site.turn(0)
    assert len(made) == before + 1
