"""Waiting for what can be looked at."""

from __future__ import annotations

import time
from collections.abc import Callable

LONG = 60.0
"""Seconds until something that has to come is called missing."""


class NotInTimeError(AssertionError):
    """What has to come did not."""


def until(done: Callable[[], object], what: str, seconds: float = LONG) -> None:
    """Look until something is so."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise NotInTimeError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)
