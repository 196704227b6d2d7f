from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.turn import Bounds, Load, Pace, Piece, Turn, choose
from tests.examples import examples

YEAR = 365 * 86_400.0
PACE = Pace(overhead_seconds=5.0, weight_per_second=0.1)
SECONDS = st.one_of(st.sampled_from([0.0, 1.0, 30.0]), st.floats(1e-9, 1e9), st.floats(0.1, 60.0))
WEIGHTS = st.one_of(st.sampled_from([1.0, 2.0]), st.floats(1e-9, 1e9))
MOMENTS = st.one_of(st.floats(0.0, 10_000.0), st.sampled_from([0.0, -YEAR, YEAR]))
PACES = st.builds(Pace, st.floats(0.1, 600.0), st.floats(1e-6, 1e9))
SIZES = ((30.0, 30.0), (30.0, 25.0), (500.0, 1.0))
BOUNDS = st.builds(Bounds, st.floats(1.0, 600.0), st.integers(1, 5))


def load(name: str, *seconds: float, weight: float = 1.0, since: float = 0.0, kind: str = "import") -> Load:
    """Make a load of pieces of so many seconds."""
    pieces = tuple(Piece(f"/{name}/{number}", it) for number, it in enumerate(seconds))
    return Load(name, kind, weight, since, PACE.overhead_seconds + sum(seconds), pieces, single=kind == "archive")


@st.composite
def queues(draw: st.DrawFn) -> list[Load]:
    """Loads of two kinds; some want a piece that another wants too; some have many pieces."""
    found = []
    for number in range(draw(st.integers(0, 8))):
        made = load(
            f"l{number}",
            *draw(st.lists(SECONDS, max_size=6)),
            weight=draw(WEIGHTS),
            since=draw(MOMENTS),
            kind=draw(st.sampled_from(["import", "archive"])),
        )
        shared = draw(st.lists(st.sampled_from(["/s/0", "/s/1"]), unique=True))
        pieces = (*made.pieces, *(Piece(it, 7.0) for it in shared))
        found.append(replace(made, pieces=pieces, backlog_seconds=draw(st.sampled_from([0.0, 5000.0]))))
    return found


def after(loads: list[Load], turn: Turn) -> list[Load]:
    """Say what is left to do when a turn is over."""
    carried = {it.prefix for it in turn.pieces}
    left = [replace(it, pieces=tuple(one for one in it.pieces if one.prefix not in carried)) for it in loads]
    return [it for it in left if it.pieces]


def test_when_nothing_waits_there_is_no_turn() -> None:
    """Nor when what waits needs nothing of the slot."""
    assert choose([], PACE, Bounds(), 0.0) is None
    assert choose([load("a")], PACE, Bounds(), 0.0) is None


def test_what_serves_more_weight_for_its_seconds_is_carried_first() -> None:
    """Small before large, heavy before light, and the older of equals."""
    loads = [load("large", 9.0), load("heavy", 6.0, weight=6.0), load("young", 2.0, since=1.0), load("old", 2.0)]
    turn = choose(loads, replace(PACE, weight_per_second=1e-3), Bounds(), 2.0)
    assert turn is not None
    assert turn.loads == ("heavy", "old", "young", "large")
    assert [it.prefix for it in turn.pieces] == ["/heavy/0", "/old/0", "/young/0", "/large/0"]


def test_a_small_load_does_not_wait_for_the_whole_of_a_large_one() -> None:
    """It goes first, and the turn ends long before the large one would."""
    turn = choose([load("large", *[10.0] * 100), load("small", 0.1, since=1.0)], PACE, Bounds(), 2.0)
    assert turn is not None
    assert turn.pieces[0].prefix == "/small/0"
    assert sum(it.seconds for it in turn.pieces) <= 60.0


def test_the_more_weight_comes_the_shorter_is_a_turn() -> None:
    """Down to the overhead, so that at most half of the slot is wasted."""
    loads = [load("large", *[1.0] * 500)]

    def length(weight_per_second: float) -> float:
        turn = choose(loads, replace(PACE, weight_per_second=weight_per_second), Bounds(prefixes=500), 0.0)
        assert turn is not None
        return sum(it.seconds for it in turn.pieces)

    assert [length(it) for it in (1e-9, 0.1, 1e9)] == [55.0, pytest.approx(math.sqrt(200), abs=1.0), 5.0]


def test_who_asked_for_much_is_not_late_by_waiting_for_his_own() -> None:
    """A load that has waited long is overdue, unless its owner's other loads explain that."""
    small, late = load("small", 1.0, since=5000.0), load("late", *[10.0] * 20)
    explained = replace(late, backlog_seconds=5000.0)
    first = {it: choose([small, it], PACE, Bounds(), 5000.0) for it in (late, explained)}
    assert [turn and turn.loads[0] for turn in first.values()] == ["late", "small"]


def test_who_comes_meanwhile_rides_along_with_an_overdue_load() -> None:
    """An overdue load takes a part of the turn only."""
    turn = choose([load("late", *[1.0] * 500), load("small", 1.0, since=9e5)], PACE, Bounds(), 9e5)
    assert turn is not None
    assert turn.loads == ("late", "small")


def test_equal_loads_go_in_the_same_order_however_they_are_given() -> None:
    """By their names, when nothing else tells them apart."""
    loads = [load(name, 1.0) for name in "abc"]
    turns = [choose(it, PACE, Bounds(), 0.0) for it in (loads, loads[::-1])]
    assert [it and it.loads for it in turns] == [("a", "b", "c")] * 2


def test_only_a_piece_by_itself_is_longer_than_a_turn() -> None:
    """A second one that would pass the bound waits, however little comes."""
    turns = [choose([load("a", *it)], replace(PACE, weight_per_second=1e-9), Bounds(), 0.0) for it in SIZES]
    assert [it and [one.seconds for one in it.pieces] for it in turns] == [[30.0], [30.0, 25.0], [500.0]]


def test_a_piece_that_several_want_costs_its_time_once() -> None:
    """So they all ride along with the first."""
    wanted = (Piece("/s/", 40.0),)
    turn = choose([replace(load(name), pieces=wanted) for name in "abc"], PACE, Bounds(), 0.0)
    assert turn == Turn("import", wanted, ("a", "b", "c"))


def test_weights_that_rounding_loses_do_no_harm() -> None:
    """Beside a weight of 1e9, one of 1e-9 does not change the sum."""
    loads = [load("heavy", 0.1, weight=1e9), *(load(name, 0.1, weight=1e-9) for name in "abc")]
    turn = choose(loads, PACE, Bounds(), 0.0)
    assert turn is not None
    assert turn.loads == ("heavy", "a", "b", "c")


@given(queues(), PACES, BOUNDS, MOMENTS)
def test_a_turn_holds_its_bounds(loads: list[Load], pace: Pace, bounds: Bounds, now: float) -> None:
    """One kind, pieces that were asked for, each once, no more and no longer than allowed but for a single piece."""
    turn = choose(loads, pace, bounds, now)
    asking = [it for it in loads if it.pieces]
    assert (turn is None) == (not asking)
    if turn is None:
        return
    kind = [it for it in asking if it.kind == turn.kind]
    names = [it.prefix for it in turn.pieces]
    assert 1 <= len(names) == len(set(names)) <= (1 if turn.kind == "archive" else bounds.prefixes)
    assert set(turn.pieces) <= {piece for it in kind for piece in it.pieces}
    assert set(turn.loads) <= {it.key for it in kind}
    assert len(set(turn.loads)) == len(turn.loads) >= 1
    work = sum(it.seconds for it in turn.pieces)
    longest = max(bounds.turn_seconds - pace.overhead_seconds, pace.overhead_seconds)
    assert len(names) == 1 or work <= longest * (1 + 1e-9)


@given(queues(), PACES, BOUNDS, MOMENTS, st.randoms(use_true_random=False))
def test_the_order_in_which_loads_are_given_changes_nothing(
    loads: list[Load], pace: Pace, bounds: Bounds, now: float, rng: Random
) -> None:
    """It is the loads that count."""
    shuffled = rng.sample(loads, len(loads))
    assert choose(shuffled, pace, bounds, now) == choose(loads, pace, bounds, now)


@given(queues(), PACES, BOUNDS, st.lists(MOMENTS, min_size=1, max_size=4))
def test_every_duty_is_settled(loads: list[Load], pace: Pace, bounds: Bounds, clock: list[float]) -> None:
    """Each turn does something, whatever the clock says, so the turns come to an end and leave nothing."""
    for number in range(sum(len(it.pieces) for it in loads)):
        turn = choose(loads, pace, bounds, clock[number % len(clock)])
        if turn is None:
            break
        loads = after(loads, turn)
    assert choose(loads, pace, bounds, clock[0]) is None
    assert not [it for it in loads if it.pieces]


@examples(15)
@given(
    st.lists(st.floats(0.5, 60.0), min_size=1, max_size=10),
    st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(1.0, 1e6)), min_size=1, max_size=6),
    st.sampled_from(["import", "archive"]),
)
def test_nobody_starves(victim: list[float], rivals: list[tuple[float, float]], kind: str) -> None:
    """However much more, smaller and heavier comes while each turn runs, a load is through after so many turns."""
    loads = [load("victim", *victim, weight=1e-6, kind=kind)]
    now = 0.0
    most = math.ceil(2 * 8 * (loads[0].alone_seconds + 60) / PACE.overhead_seconds) + len(victim)
    for number in range(most):
        turn = choose(loads, PACE, Bounds(), now)
        assert turn is not None
        now += PACE.overhead_seconds + sum(it.seconds for it in turn.pieces)
        loads = after(loads, turn)
        if all(it.key != "victim" for it in loads):
            return
        loads += [load(f"z{number}-{i}", it[0], weight=it[1], since=now) for i, it in enumerate(rivals)]
    pytest.fail(f"still waits after {most} turns")


def test_an_old_load_is_not_passed_over_for_ever_by_overdue_ones() -> None:
    """On a slot that can never keep up, small loads are overdue sooner than a large one; age settles it."""
    loads = [load("victim", *[10.0] * 60, weight=1e-6)]
    now, turns = 0.0, 0
    while any(it.key == "victim" for it in loads):
        turn = choose(loads, PACE, Bounds(), now)
        assert turn is not None
        now += PACE.overhead_seconds + sum(it.seconds for it in turn.pieces)
        loads = [*after(loads, turn), *(load(f"z{turns}-{i}", 20.0, weight=1e6, since=now) for i in range(6))]
        turns += 1
        assert now < 2 * 8 * (605 + 60) + 60 * 65, f"still waits after {turns} turns"
