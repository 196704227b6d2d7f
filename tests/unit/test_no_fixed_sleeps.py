"""No test waits for a fixed time where there is something to be watched."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WATCHERS = ("tests", "sandbox")


def fixed_sleeps(source: str) -> Iterator[int]:
    """Yield the lines of `time.sleep` and `sleep` calls that are not the step of a loop with an end of its own.

    A loop that watches has a condition, or looks at each step; a call outside of `while` and `for` only hopes.
    """
    if "sleep" not in source:
        return
    tree = ast.parse(source)
    imported = _imports(tree)
    in_loops = {
        id(inner)
        for loop in ast.walk(tree)
        if isinstance(loop, ast.While)
        for part in loop.body
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _sleeps(node.func, imported) and id(node) not in in_loops:
            yield node.lineno


def _imports(tree: ast.AST) -> set[str]:
    """List the names that a file has from others: a test's own clock is not `time`, whatever it is called."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }


def _sleeps(called: ast.expr, imported: set[str]) -> bool:
    match called:
        case ast.Attribute(ast.Name("time" | "asyncio" as name), "sleep") | ast.Name("sleep" as name):
            return name in imported
    return False


@pytest.mark.parametrize("folder", WATCHERS)
def test_every_wait_watches(folder: str) -> None:
    """Only the steps of loops sleep, in tests and in what tests stand on."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(Path(ROOT, folder).rglob("*.py"))
        for line in fixed_sleeps(path.read_text(encoding="utf-8"))
    ]
    assert not found, "wait for what comes, by site.wait or sandbox.watch, and not for a time"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import time\ntime.sleep(1)\n", [2]),
        ("from time import sleep\nsleep(1)\n", [2]),
        ("import time\nfor it in range(3):\n    time.sleep(1)\n", [3]),
        ("import time\nwhile not done():\n    time.sleep(0.01)\n", []),
        ("time = Clock()\ntime.sleep(1)\n", []),
    ],
)
def test_a_sleep_outside_of_a_watch_is_found(source: str, lines: list[int]) -> None:
    """A `for` of sleeps is a sleep as well; a test's own clock may be put forward."""
    assert list(fixed_sleeps(source)) == lines
