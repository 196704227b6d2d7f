"""How often something failed in a row, and whether to say so again: the first time, and each time that has doubled."""

from __future__ import annotations

_MOST_KEYS = 10_000


class Tally:
    """Failures in a row, by what failed. Not safe for threads."""

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}

    def failed(self, key: str) -> int:
        """Take a failure; give how many there were in a row if that is to be said now, else 0."""
        times = self._failed.pop(key, 0) + 1
        self._failed[key] = times
        if len(self._failed) > _MOST_KEYS:
            # What failed longest ago is hardly tried any more.
            del self._failed[next(iter(self._failed))]
        return times if times & (times - 1) == 0 else 0

    def worked(self, key: str) -> int:
        """Take a success; give how many failures came before it."""
        return self._failed.pop(key, 0)

    def times(self, key: str) -> int:
        """Give how many failures there were in a row."""
        return self._failed.get(key, 0)
