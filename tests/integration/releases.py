"""Tests that are for some releases of Slurm only: `@pytest.mark.slurm(since=(23, 11), reason="...")`."""

from __future__ import annotations

ELSEWHERE = "elsewhere"
"""The user property that says why a test is for others; tests/conftest.py and sandbox/matrix_report.py read it."""
FIRST, LAST = (0, 0), (99, 0)


def not_for(
    here: tuple[int, int], *, reason: str, since: tuple[int, int] = FIRST, before: tuple[int, int] = LAST
) -> str:
    """Say why a test is not for a release, "" if it is."""
    if since <= here < before:
        return ""
    bounds = [("from", since)] * (since != FIRST) + [("before", before)] * (before != LAST)
    words = " and ".join(f"{word} {year}.{month:02}" for word, (year, month) in bounds)
    return f"for Slurm {words}: {reason}"
