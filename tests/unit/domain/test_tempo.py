from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.tempo import Tempo

YEAR = 365 * 86_400.0


def test_the_assumed_rates_are_given_until_some_are_measured() -> None:
    """A line through two points is those points' line."""
    tempo = Tempo.assume(5.0, 2000.0)
    assert tempo.overhead_seconds == pytest.approx(5.0)
    assert tempo.blobs_per_second == pytest.approx(2000.0)


@given(st.floats(1.0, 60.0), st.floats(10.0, 100_000.0))
def test_what_is_measured_replaces_what_was_assumed(overhead: float, rate: float) -> None:
    """After some hundred turns of different sizes the assumption is forgotten."""
    tempo = Tempo.assume(5.0, 2000.0)
    for number in range(400):
        blobs = round((number % 7) * 10 * rate)
        tempo = tempo.turn_took(blobs, overhead + blobs / rate)
    assert tempo.overhead_seconds == pytest.approx(overhead, rel=0.05)
    assert tempo.blobs_per_second == pytest.approx(rate, rel=0.05)


@pytest.mark.parametrize(("blobs", "seconds"), [(10, 0.0), (10, -YEAR), (-1, 5.0), (10, math.nan), (10, math.inf)])
def test_a_turn_that_cannot_have_been_teaches_nothing(blobs: int, seconds: float) -> None:
    """A clock that went back, or a count that is none."""
    tempo = Tempo.assume(5.0, 2000.0)
    assert tempo.turn_took(blobs, seconds) == tempo


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(1e-6, YEAR)), max_size=30))
def test_rates_can_always_be_divided_by(turns: list[tuple[int, float]]) -> None:
    """Whatever was measured: all turns alike, none at all, a turn of a year."""
    tempo = Tempo.assume(5.0, 2000.0)
    for blobs, seconds in turns:
        tempo = tempo.turn_took(blobs, seconds)
    assert 0 < tempo.overhead_seconds < math.inf
    assert 1 <= tempo.blobs_per_second < math.inf


def test_the_weight_that_comes_a_second_is_found() -> None:
    """Of three a minute, for two hours."""
    tempo = Tempo.assume(5.0, 2000.0)
    for moment in range(0, 7200, 20):
        tempo = tempo.weight_came(2.0, float(moment))
    assert tempo.weight_per_second(7200.0) == pytest.approx(0.1, rel=0.05)


def test_weight_that_came_long_ago_is_forgotten() -> None:
    """What came in the first minute hardly counts after a day."""
    tempo = Tempo.assume(5.0, 2000.0).weight_came(1000.0, 0.0)
    assert tempo.weight_per_second(60.0) > 1.0
    assert tempo.weight_per_second(86_400.0) < 1e-3


@given(st.lists(st.tuples(st.floats(1e-9, 1e9), st.floats(-YEAR, YEAR)), max_size=20), st.floats(-YEAR, YEAR))
def test_a_clock_may_jump(came: list[tuple[float, float]], now: float) -> None:
    """By a year, forwards or backwards; what comes a second stays a number above zero."""
    tempo = Tempo.assume(5.0, 2000.0)
    for weight, moment in came:
        tempo = tempo.weight_came(weight, moment)
    assert 0 < tempo.weight_per_second(now) < math.inf


def test_a_burst_is_no_rate_once_nothing_more_comes() -> None:
    """A thousand jobs in ten seconds, then silence: a minute later next to nothing is thought to come."""
    tempo = Tempo.assume(5.0, 2000.0)
    for number in range(1000):
        tempo = tempo.weight_came(1.0, number / 100)
    at_once, later = tempo.weight_per_second(10.0), tempo.weight_per_second(70.0)

    assert at_once > 3.0
    assert later <= 3.0 / 60
