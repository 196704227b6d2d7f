"""What docs/reliability.md promises is held by tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
INVARIANTS = 10
"""Of the design; each has a row of the first table."""


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_what_holds_a_promise_is_there(path: str, name: str) -> None:
    """A test that is renamed or dropped is renamed or replaced in the document as well."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_invariant_is_held_by_more_than_one_test() -> None:
    """One row each, in order."""
    rows = re.findall(r"^\| (\d+) \|.*$", TEXT, re.MULTILINE)
    assert [int(row) for row in rows] == list(range(1, INVARIANTS + 1))
    for line in TEXT.splitlines():
        if re.match(r"\| \d+ \|", line):
            assert line.count("::") > 1, line
