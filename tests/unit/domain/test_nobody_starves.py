"""Nobody waits for ever behind others, and what is only foreseen delays nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count, islice

import pytest

from tests.unit.domain.desk import RULES
from tests.unit.domain.model import Model
from tests.unit.domain.model_world import SLOT_SECONDS

RARE = replace(RULES, turn=timedelta(seconds=20), blobs_per_second=10.0, prefixes_per_import=4)


@pytest.mark.parametrize("rivals", [1, 3, 5])
def test_a_large_and_light_stage_is_staged_in_however_many_small_and_urgent_ones_come(rivals: int) -> None:
    """Also where more come than the slot can carry: it waits at most ten times what it and a turn take."""
    model = Model({f"/large/{number}": 1 for number in range(40)}, RARE)
    model.restores, model.running_seconds = 1000, 0.0
    numbers = count(2)

    def come(many: int) -> None:
        for number in islice(numbers, many):
            path = f"/small/{number}/a"
            model.blobs[path] = model.sizes[path] = 1
            model.come(number, f"stage_in prefix=/small/{number}/", priority=9000)

    come(20)
    for _ in range(9):
        model.step()
    model.come(1, "stage_in prefix=/large/", priority=1)
    began = due = model.passed
    fair_seconds = SLOT_SECONDS + 40 / RARE.blobs_per_second + RARE.turn.total_seconds()
    while model.place[1] == "staging":
        if model.passed >= due:
            due = model.passed + SLOT_SECONDS
            come(rivals)
        model.step()
        assert model.passed - began < 10 * fair_seconds, "it starves"
        model.place = {job_id: where for job_id, where in model.place.items() if where != "over"}


def test_a_foreseen_prefix_that_fails_takes_no_other_turn() -> None:
    """It failed once, and may be mended by the time that somebody asks: until then it rides along with nobody."""
    model = Model({f"/t/{it}/a": 1 for it in ("bad", *range(12))})
    model.bad = ("/t/bad/",)
    model.foresee(99, "/t/bad/")
    for number in range(12):
        model.come(number, f"stage_in prefix=/t/{number}/")
        for _ in range(80):
            model.step()
    model.queue = []
    model.run_all(300)

    assert sum("/t/bad/" in it.prefixes for it in model.turns) <= 2
    assert set(model.phases().values()) == {"over"}


def test_a_prefix_that_failed_while_foreseen_has_all_its_tries_when_a_job_asks() -> None:
    """What went wrong before is not counted against the job, which is told in the end."""
    model = Model({"/t/bad/a": 1, "/t/1/a": 1})
    model.bad = ("/t/bad/",)
    model.foresee(99, "/t/bad/")
    model.come(1, "stage_in prefix=/t/1/")
    model.run_all(300)
    before = len(model.turns)
    model.come(99, "stage_in prefix=/t/bad/")
    model.run_all(300)

    assert len(model.turns) - before == RULES.attempts
    assert model.stage(99).message == "the import of /t/bad/ failed: cannot read /t/bad/a (3 tries)"
