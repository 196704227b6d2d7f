"""Which of many requests in flight to look at: a look at all of them each time would cost more than they do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

_SPOTS = 25
"""Files that are looked at first, spread from the oldest to the youngest; up to the last of them that has ended the
others are looked at, and those behind it left alone: the coordinator keeps about the order."""

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

    def batches(self, asked: Collection[str]) -> Iterator[list[str]]:
        """Yield what to look at, the oldest first, as long as that is worth its calls.

        `asked` has what is in flight in the order it was asked for; who looks at a batch takes out what has ended.
        """
        now = self._clock()
        paths = list(asked)
        through = now - self._looked_through >= _LOOK_THROUGH_SECONDS
        if through:
            self._looked_through = now
        elif paths:
            spots = paths[:: -max(1, len(paths) // _SPOTS)]
            looked = set(spots)
            yield spots[::-1]
            ended = next((number for number, path in enumerate(spots) if path not in asked), len(spots))
            behind = paths.index(spots[ended]) if ended < len(spots) else 0
            paths = [path for path in paths[:behind] if path in asked and path not in looked]
        for at in range(0, len(paths), BATCH):
            batch = paths[at : at + BATCH]
            yield batch
            left = sum(path in asked for path in batch)
            if not through and (len(batch) - left) * _YIELD < len(batch):
                return
