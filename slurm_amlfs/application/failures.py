"""How long to wait after what failed as a whole, like a pass that could not be stored, and whether to say it again."""

from __future__ import annotations

import time
from collections.abc import Callable

_LONGEST_SECONDS = 8.0
"""The longest pause: as soon as a disk has room again, jobs should go on."""

_SAY_AGAIN_SECONDS = 600.0


class Failures:
    """Failures in a row. Each pause is twice the one before, and the same words are said every ten minutes at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; `clock` counts seconds from anywhere."""
        self._clock = clock
        self._said: tuple[str, float] | None = None
        self.pause_seconds = 0.0

    def failed(self, message: str) -> bool:
        """Take a failure; say whether it is news."""
        self.pause_seconds = min(self.pause_seconds * 2 or 1.0, _LONGEST_SECONDS)
        now = self._clock()
        if self._said is not None and self._said[0] == message and now < self._said[1] + _SAY_AGAIN_SECONDS:
            return False
        self._said = (message, now)
        return True

    def worked(self) -> bool:
        """Take a success; say whether it is the first one after a failure."""
        failed, self._said, self.pause_seconds = self._said is not None, None, 0.0
        return failed
