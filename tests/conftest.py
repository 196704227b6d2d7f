"""Settings of all tests."""

from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import settings

# On a busy machine a case may take long for no fault of its own; how long the whole takes is the gate's business.
settings.register_profile("project", deadline=None)
# Of `make check`, whose properties are all tried, on a quarter of the cases; see tests/examples.py.
settings.register_profile("quick", settings.get_profile("project"), max_examples=25)
settings.load_profile("project")

ELSEWHERE = "elsewhere"
"""The user property of a test that is for other Slurm releases than this one: --no-skips lets it be left out here."""
FIGURE = "figure"
"""The user property of what a test has measured (record_property); each is told at the end of the run."""

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped fails (make test: it has it all)")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return report if ELSEWHERE in dict(item.user_properties) else _not_skipped(item.config, report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _not_skipped(collector.config, report)


def _not_skipped(config: pytest.Config, report: Report) -> Report:
    """Make a skip a failure under --no-skips, so that no run is green for what it left out; xfail is no skip."""
    if report.skipped and config.getoption("no_skips") and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{why}; --no-skips lets no test be left out"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what the tests have measured, also when they passed."""
    reports = [it for outcome in ("passed", "failed") for it in terminalreporter.getreports(outcome)]
    figures = [
        str(it) for report in reports if report.when == "call" for name, it in report.user_properties if name == FIGURE
    ]
    if figures:
        terminalreporter.section("figures")
        for it in figures:
            terminalreporter.line(it)
