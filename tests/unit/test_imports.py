"""What import-linter cannot say: it sees external packages by their first name only, and azure is a namespace."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "slurm_amlfs"


@cache
def imported(path: Path) -> frozenset[str]:
    """Name every module that a file imports."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(name: str) -> set[str]:
    """Name the files of the package that import a module or something below it."""
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(module == name or module.startswith(f"{name}.") for module in imported(path))
    }


def test_one_adapter_speaks_arm() -> None:
    """Only arm.py knows azure-mgmt-storagecache."""
    assert importers("azure.mgmt") == {"adapters/arm.py"}


def test_one_adapter_speaks_pyslurm() -> None:
    """Only one file knows pyslurm."""
    assert importers("pyslurm") == {"adapters/slurm_pyslurm.py"}
