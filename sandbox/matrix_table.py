"""What ran where: the matrix as a table, and what makes it fail. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.matrix_report import Ran


@dataclass(frozen=True, slots=True)
class Cell:
    """One test file on one release. `trouble` says why it did not run to its end, "" if it did."""

    tests: Sequence[Ran]
    seconds: float
    trouble: str = ""

    @property
    def text(self) -> str:
        """Write the cell: "14 passed, 1 failed, 1 elsewhere in 62 s"."""
        counts = ((word, sum(it.outcome == word for it in self.tests)) for word in ("passed", "failed", "elsewhere"))
        words = [f"{count} {word}" for word, count in counts if count]
        return f"{', '.join([*words, *([self.trouble] if self.trouble else [])]) or 'none'} in {self.seconds:.0f} s"


@dataclass(slots=True)
class Matrix:
    """The cells, by release and test file, both in the order in which they came."""

    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def put(self, release: str, file: str, cell: Cell) -> None:
        """Add a cell."""
        self.cells.setdefault(release, {})[file] = cell

    def failures(self) -> list[str]:
        """List what is wrong: tests that failed, files that did not run to their end, and tests that ran nowhere."""
        return [*self._failed(), *self._ran_nowhere()]

    def table(self) -> str:
        """Write the table, and below it what was measured, what is for other releases only, and what is wrong."""
        releases = list(self.cells)
        files = list(dict.fromkeys(file for row in self.cells.values() for file in row))
        rows = [["test file", *releases]]
        rows += [[file, *(self._text(release, file) for release in releases)] for file in files]
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        rows.insert(1, ["-" * width for width in widths])
        lines = [
            f"| {' | '.join(text.ljust(width) for text, width in zip(row, widths, strict=True))} |" for row in rows
        ]
        told = [*_listed("Measured:", self._figures()), *_listed("For other releases:", self._elsewhere())]
        return "\n".join([*lines, *told, *self._verdict(), ""])

    def _text(self, release: str, file: str) -> str:
        cell = self.cells[release].get(file)
        return cell.text if cell else "not run"

    def _verdict(self) -> list[str]:
        failures = self.failures()
        return _listed("Wrong:", failures) if failures else ["", "All that ran passed."]

    def _each(self) -> Iterator[tuple[str, str, Cell]]:
        for release, row in self.cells.items():
            for file, cell in row.items():
                yield release, file, cell

    def _failed(self) -> Iterator[str]:
        for release, file, cell in self._each():
            if cell.trouble:
                yield f"{release}: {file}: {cell.trouble}"
            for it in cell.tests:
                if it.outcome == "failed":
                    yield f"{release}: {it.test} failed {it.why}"

    def _elsewhere(self) -> Iterator[str]:
        for release, _, cell in self._each():
            yield from (f"{release}: {it.test}: {it.why}" for it in cell.tests if it.outcome == "elsewhere")

    def _figures(self) -> Iterator[str]:
        for release, _, cell in self._each():
            yield from (f"{release}: {figure}" for it in cell.tests for figure in it.figures)

    def _ran_nowhere(self) -> list[str]:
        if len(self.cells) < 2:  # noqa: PLR2004 - one release alone has no elsewhere
            return []
        outcomes: dict[str, set[str]] = {}
        for _, _, cell in self._each():
            for it in cell.tests:
                outcomes.setdefault(it.test, set()).add(it.outcome)
        return [f"{test} ran on none of these releases" for test, seen in outcomes.items() if seen == {"elsewhere"}]


def _listed(head: str, lines: Iterator[str] | Sequence[str]) -> list[str]:
    items = [f"- {line}" for line in lines]
    return ["", head, "", *items] if items else []


def by_file(tests: Sequence[str]) -> Mapping[str, list[str]]:
    """Group tests named as pytest names them by their file; a file alone is all of its tests."""
    found: dict[str, list[str]] = {}
    for test in tests:
        found.setdefault(test.partition("::")[0], []).append(test)
    return found
