from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from runpy import run_path

import pytest

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.phases import TABLES, Phase, check_move
from slurm_amlfs.errors import InvariantError
from tests.unit.domain.desk import Desk

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("direction", Direction)
def test_every_phase_of_a_table_can_be_reached_and_left_for_an_end(direction: Direction) -> None:
    """A stage goes from declared to each phase of its table, and from each to one that is over."""
    table = TABLES[direction]
    reached, ends = {Phase.DECLARED}, {phase for phase in table if phase.over}
    for _ in table:
        reached |= {after for before in reached for after in table[before]}
        ends |= {before for before, afters in table.items() if afters & ends}

    assert reached == set(table)
    assert ends == set(table)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("before", Phase)
@pytest.mark.parametrize("after", Phase)
def test_only_the_tables_moves_are_made(direction: Direction, before: Phase, after: Phase) -> None:
    """Any other move raises, and leaves the stage as it was."""
    desk = Desk()
    desk.submit("stage_in prefix=/a/", "stage_out prefix=/jobs/a/")
    stage = replace(desk.stage(direction=direction), phase=before)
    if after in TABLES[direction].get(before, ()):
        assert stage.move(after, desk.now).phase is after
    else:
        with pytest.raises(InvariantError, match=f"cannot go from {before.value} to {after.value}"):
            stage.move(after, desk.now)
        assert stage.phase is before


def test_what_is_settled_or_cancelled_stays_so() -> None:
    """Only a failed stage may be tried again."""
    for table in TABLES.values():
        assert table[Phase.SETTLED] == table[Phase.CANCELLED] == frozenset()


def test_a_stage_in_starts_nothing_that_is_not_proved() -> None:
    """The only way to running leads through staged_in, the only way there through a proof."""
    table = TABLES[Direction.IN]

    assert {before for before, afters in table.items() if Phase.RUNNING in afters} == {Phase.STAGED_IN}
    assert {before for before, afters in table.items() if Phase.STAGED_IN in afters} == {Phase.RESTORING}
    with pytest.raises(InvariantError):
        check_move(Direction.IN, Phase.IMPORTING, Phase.STAGED_IN)


def test_the_diagram_is_the_tables() -> None:
    """docs/phases.md is what tools/phase-diagram draws from the tables now."""
    draw = run_path(str(ROOT / "tools" / "phase-diagram"))["draw"]

    assert (ROOT / "docs" / "phases.md").read_text() == draw()
