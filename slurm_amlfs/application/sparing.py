"""Which of many requests in flight to look at: a look at all of them each time would cost more than they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

_SAMPLE = 50
"""Files that are looked at first, the oldest; while none of them has ended the others are left alone."""

BATCH = 500
"""Files looked at, or asked for, in one go after that."""

_YIELD = 4
"""A batch of which fewer than one in so many has ended is the last: what comes after it was asked for later."""

_LOOK_THROUGH_SECONDS = 5.0
"""How often all of them are looked at: the coordinator need not keep the order, and some files hang."""


class SparingLook:
    """When all were looked at last, by a clock that counts seconds from anywhere."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._looked_through = clock()

    def batches(self, asked: Iterable[str], ended: Callable[[], int]) -> Iterator[list[str]]:
        """Yield what to look at, the oldest first, as long as that is worth its calls; `ended` counts what it found."""
        now = self._clock()
        through = now - self._looked_through >= _LOOK_THROUGH_SECONDS
        if through:
            self._looked_through = now
        left = iter(list(asked))
        size = BATCH if through else _SAMPLE
        while batch := list(islice(left, size)):
            before = ended()
            yield batch
            if not through and (ended() - before) * _YIELD < len(batch):
                return
            size = BATCH
