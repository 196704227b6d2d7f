"""Whole schedules, drawn: whatever comes when, every duty settles, and the order changes nothing but order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from slurm_amlfs.domain.errand import Count, Errand, Evict, Free, Probe, ProveIn, ProveOut, Start
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


@settings(max_examples=60)
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
