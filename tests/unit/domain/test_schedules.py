"""Whole schedules, drawn: whatever comes when, every duty settles, and the order changes nothing but order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.errand import Count, Errand, Evict, Free, Probe, ProveIn, ProveOut, Start
from slurm_amlfs.domain.tempo import Tempo
from tests.examples import examples
from tests.unit.domain.desk import RULES
from tests.unit.domain.model import Model

BLOBS = {f"/t/{one}/{two}/{number}": 100 for one in "abc" for two in "xy" for number in range(2)}
PREFIXES = ("/t/", "/t/a", "/t/a/", "/t/a/x/", "/t/a/y/", "/t/b/", "/t/b/y/", "/t/c/x/", "/t/c/y/0")
MANNERS = ("", "", "", " max_errors=0", " hydrate=none", " conflict=fail", " conflict=overwrite-always", " release=yes")
TROUBLED = (Count, Probe, ProveIn, ProveOut, Free, Evict, Start)


class Arrival(NamedTuple):
    """A job that comes after so many passes."""

    after: int
    lines: tuple[str, ...]
    priority: int


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, ...]:
    """Draw what a job asks for: something in, out, or both."""
    asked = draw(st.lists(st.sampled_from(PREFIXES), min_size=0, max_size=2, unique=True))
    found = [f"stage_in prefix={it}{draw(st.sampled_from(MANNERS))}" for it in asked]
    if "overwrite" in " ".join(found):
        # Beside another line that it overlaps with, such a one is refused.
        found = found[:1]
    if not found or draw(st.booleans()):
        found.append(f"stage_out prefix=/jobs/{draw(st.sampled_from('mno'))}/")
    return tuple(found)


ARRIVALS = st.lists(st.builds(Arrival, st.integers(0, 40), lines(), st.sampled_from([1, 100, 9000])), max_size=6)
BAD = st.lists(st.sampled_from(["/t/a/x/0", "/t/a/y/", "/t/b/", "/t/c/x/1"]), max_size=2).map(tuple)
TROUBLES = st.dictionaries(st.sampled_from(TROUBLED), st.integers(1, 2), max_size=3)


def play(model: Model, arrivals: Sequence[Arrival], most: int = 2500) -> None:
    """Let jobs come, and all come to its end."""
    for passed in range(41):
        for number, it in enumerate(arrivals, start=1):
            if it.after == passed:
                model.come(number, *it.lines, priority=it.priority)
        model.step()
    model.run_all(most)


def is_bad(model: Model, line: str) -> bool:
    """Say whether a line asks for something that cannot be brought in."""
    prefix = line.split("prefix=")[1].split(maxsplit=1)[0]
    return line.startswith("stage_in") and any(it.startswith(model.bad or "\0") for it in model.under(prefix))


@examples(60)
@given(ARRIVALS, BAD, BAD, TROUBLES)
def test_every_schedule_settles_every_duty(
    arrivals: list[Arrival], bad: tuple[str, ...], lacking: tuple[str, ...], troubles: dict[type[Errand], int]
) -> None:
    """Within so many passes; held are at most those who asked for what is bad, or allow fewer errors than there are."""
    model = Model(BLOBS, replace(RULES, attempts=3 + sum(troubles.values())))
    model.bad, model.lacking = bad, lacking
    model.troubles.update(troubles)
    play(model, arrivals)

    for number, it in enumerate(arrivals, start=1):
        fails = any(is_bad(model, line) for line in it.lines)
        assert model.place[number] in ({"held"} if fails else {"over"} if not lacking else {"over", "held"})


@examples(25)
@given(ARRIVALS, BAD, st.randoms(use_true_random=False))
def test_the_order_of_what_comes_at_once_changes_nothing_but_order(
    arrivals: list[Arrival], bad: tuple[str, ...], rng: Random
) -> None:
    """Requests of one instant, and jobs in Slurm's list, in another order: the same is imported, all end the same."""
    models = Model(BLOBS), Model(BLOBS)
    for model, shuffles in zip(models, (False, True), strict=True):
        model.bad = bad
        for number, it in enumerate(arrivals, start=1):
            model.come(number, *it.lines, priority=it.priority)
        if shuffles:
            pairs = [model.inbox[at : at + 2] for at in range(0, len(model.inbox), 2)]
            model.inbox = [it for pair in rng.sample(pairs, len(pairs)) for it in pair]
            model.jobs = dict(rng.sample(list((model.jobs or {}).items()), len(model.jobs or {})))
        model.run_all(2500)

    one, other = models
    assert one.phases() == other.phases()
    assert one.carried() == other.carried()
    # Whoever gives its inputs back spares what others still need then, and who ends first is the order.
    freed = tuple(line.split("prefix=")[1].split()[0] for it in arrivals for line in it.lines if "release=yes" in line)
    kept = {path for path in one.files.keys() | other.files.keys() if not path.startswith(freed or "\0")}
    assert {path for path in kept if one.files[path]} == {path for path in kept if other.files[path]}


HOUR = 3600.0
JUMPS = st.lists(st.tuples(st.integers(0, 60), st.sampled_from([-5 * HOUR, -2 * HOUR, 2 * HOUR, 5 * HOUR])), max_size=4)
TEMPOS = st.sampled_from(
    [
        Tempo.assume(5.0, 2000.0),
        Tempo.assume(5.0, 0.0),
        Tempo.assume(0.0, 1e12),
        Tempo.assume(5.0, 1e-9).turn_took(1, 1e6),
        Tempo.assume(5.0, 2000.0).turn_took(0, 1e9).turn_took(10**12, 1e-6),
    ]
)


@examples(40)
@given(ARRIVALS, JUMPS, TEMPOS, TROUBLES, st.booleans())
def test_no_clock_and_no_measurement_leaves_a_stage_behind(
    arrivals: list[Arrival],
    jumps: list[tuple[int, float]],
    tempo: Tempo,
    troubles: dict[type[Errand], int],
    empty: bool,  # noqa: FBT001 - drawn
) -> None:
    """Clocks that go forward and back by hours, blobs of no bytes, rates that cannot be: all settles, and soon."""
    model = Model(dict.fromkeys(BLOBS, 0) if empty else BLOBS, replace(RULES, attempts=3 + sum(troubles.values())))
    model.records.tempos["amlfs"] = tempo
    model.troubles.update(troubles)
    for passed in range(61):
        for number, it in enumerate(arrivals, start=1):
            if it.after == passed:
                model.come(number, *it.lines, priority=it.priority)
        model.step(jump=sum(jump for after, jump in jumps if after == passed))
    model.run_all(2500)

    assert set(model.phases().values()) <= {"over"}
    assert model.passed < HOUR
