"""What benchmarks report (bench/report.py)."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

import pytest

from bench.report import Bar, Report, percentile, publish, to_json, to_table

GOOD = Bar("ratio", 1.01, 1.05)
BAD = Bar("ratio", 1.06, 1.05)


@pytest.mark.parametrize(
    ("bar", "holds"),
    [
        (GOOD, True),
        (BAD, False),
        (Bar("at the limit", 1.05, 1.05), True),
        (Bar("blobs", 9, 10, at_least=True), False),
        (Bar("blobs", 10, 10, at_least=True), True),
        (Bar("unknown", math.nan, 1.05), False),
        (Bar("unknown", math.nan, 1.05, at_least=True), False),
    ],
)
def test_a_bar_holds_on_its_side_of_the_limit(bar: Bar, holds: bool) -> None:  # noqa: FBT001 - a parametrised expectation
    """Reaching the limit holds; not a number does not."""
    assert bar.holds is holds


def test_the_result_file_is_as_interface_md_says() -> None:
    """Name, figures, bars, and in each bar name, value, limit, holds."""
    text = to_json(Report("submit", {"plain_ms": 4.2, "calls": 200, "lost": math.inf}, (GOOD, BAD)))
    assert json.loads(text) == {
        "name": "submit",
        "figures": {"plain_ms": 4.2, "calls": 200, "lost": None},
        "bars": [
            {"name": "ratio", "value": 1.01, "limit": 1.05, "holds": True},
            {"name": "ratio", "value": 1.06, "limit": 1.05, "holds": False},
        ],
    }


def test_the_table_shows_every_figure_and_every_verdict() -> None:
    """A reader sees at once which bar does not hold."""
    table = to_table(Report("submit", {"plain_ms": 4.2, "calls": 1200}, (BAD, Bar("n", 3, 2, at_least=True))))
    assert table.splitlines() == [
        "bench submit",
        "plain_ms         4.200",
        "calls            1,200",
        "ratio            1.060  at most 1.050: DOES NOT HOLD",
        "n                    3  at least 2: holds",
    ]


@pytest.mark.parametrize(("bars", "code"), [((GOOD,), 0), ((), 0), ((GOOD, BAD), 1)])
def test_publish_fails_when_a_bar_does_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bars: tuple[Bar, ...], code: int
) -> None:
    """The file and the table are there either way."""
    report = Report("submit", {"calls": 1}, bars)
    assert publish(report, tmp_path / "results") == code
    assert (tmp_path / "results/submit.json").read_text() == to_json(report)
    assert capsys.readouterr().out == to_table(report)


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 5), (51, 6), (90, 9), (99, 10), (100, 10)])
def test_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    """Nearest rank, so a p99 is never a time that nothing took."""
    assert percentile([10, 1, 9, 2, 8, 3, 7, 4, 6, 5], percent) == value


def test_no_percentile_of_nothing() -> None:
    """A benchmark that measured nothing does not report."""
    with pytest.raises(statistics.StatisticsError):
        percentile([], 50)
