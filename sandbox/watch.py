"""Waiting for something that can be watched."""

from __future__ import annotations

import time
from collections.abc import Callable

STEP_SECONDS = 0.05
"""How often to look: often enough that nobody waits for the waiting."""


class NotYetError(Exception):
    """What was waited for has not come."""


def until(done: Callable[[], object], seconds: float, what: str) -> None:
    """Return as soon as `done()` is true.

    Raises:
        NotYetError: it is not, after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise NotYetError(f"not within {seconds:g} s: {what}")
        time.sleep(STEP_SECONDS)
