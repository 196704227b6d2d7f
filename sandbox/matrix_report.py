"""A pytest plugin that writes what became of each test, for the matrix: `pytest -p sandbox.matrix_report`.

One line of JSON for each test, as soon as it is known, into the file that the environment names. So a run that is
killed still tells what it came to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

FILE_VARIABLE = "AMLFS_MATRIX_REPORT"


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one test. `outcome` is "passed", "failed" or "elsewhere": it is for other releases.

    `figures` are what it has measured, told by record_property("figure", ...).
    """

    test: str
    outcome: str
    seconds: float
    why: str = ""
    figures: Sequence[str] = ()


def read(path: Path) -> list[Ran]:
    """Read a report; none if there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Ran(**json.loads(line)) for line in lines]


class _Writer:
    """Adds a line when a test's last part is over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        self._bad: dict[str, tuple[str, str]] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(Ran(report.nodeid, "failed", 0.0, "cannot be collected"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = report.nodeid
        self._seconds[test] = self._seconds.get(test, 0.0) + report.duration
        if report.failed:
            self._bad[test] = ("failed", f"in its {report.when}")
        elif report.skipped:
            why = dict(report.user_properties).get("elsewhere")
            self._bad[test] = ("elsewhere", str(why)) if why else ("failed", "by being skipped")
        if report.when == "teardown":
            outcome, why = self._bad.pop(test, ("passed", ""))
            figures = [str(it) for name, it in report.user_properties if name == "figure"]
            self._write(Ran(test, outcome, round(self._seconds.pop(test), 2), why, figures))

    def _write(self, ran: Ran) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(ran)) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Begin a report, if one is wanted."""
    path = os.environ.get(FILE_VARIABLE)
    if path:
        config.pluginmanager.register(_Writer(Path(path)), "matrix-report-writer")
