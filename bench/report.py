"""What a benchmark found: figures, bars that they have to hold, a table, and the result file of interface.md.

Every benchmark ends with `sys.exit(publish(Report(...)))`. Figures are medians of several runs; ratios are taken
within one run.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that has to stay on one side of a limit: at most it, or with `at_least`, at least it."""

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Say whether it does. A value that is not a number never does."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Report:
    """One benchmark's findings. A figure's name ends with its unit (`sbatch_median_ms`)."""

    name: str
    figures: Mapping[str, float]
    bars: Sequence[Bar] = ()

    @property
    def holds(self) -> bool:
        """Say whether every bar does."""
        return all(bar.holds for bar in self.bars)


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest value that at least `percent` of the values do not exceed (the nearest-rank method).

    Raises:
        statistics.StatisticsError: no values.
    """
    if not values:
        raise statistics.StatisticsError("no percentile of no values")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def to_json(report: Report) -> str:
    """Write the result file's text. A figure that is not a number becomes null, which JSON has."""
    bars = [
        {"name": bar.name, "value": _number(bar.value), "limit": bar.limit, "holds": bar.holds} for bar in report.bars
    ]
    figures = {name: _number(value) for name, value in report.figures.items()}
    return json.dumps({"name": report.name, "figures": figures, "bars": bars}, indent=2, allow_nan=False) + "\n"


def to_table(report: Report) -> str:
    """Write the table that people read: a line for each figure, then one for each bar."""
    rows = [(name, _short(value), "") for name, value in report.figures.items()]
    for bar in report.bars:
        verdict = "holds" if bar.holds else "DOES NOT HOLD"
        side = "at least" if bar.at_least else "at most"
        rows.append((bar.name, _short(bar.value), f"{side} {_short(bar.limit)}: {verdict}"))
    wide = max((len(name) for name, _, _ in rows), default=0)
    lines = [f"{name:<{wide}}  {value:>12}  {note}".rstrip() for name, value, note in rows]
    return "\n".join([f"bench {report.name}", *lines]) + "\n"


def publish(report: Report, folder: Path = RESULTS) -> int:
    """Print the table, write `folder/NAME.json`, return the exit code: 1 when a bar does not hold."""
    print(to_table(report), end="")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{report.name}.json").write_text(to_json(report), encoding="utf-8")
    return 0 if report.holds else 1


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _short(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
