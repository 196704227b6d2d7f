"""Give the bytes of a lease back, a slice at a time, and tell of each slice what it gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from slurm_amlfs.application.exporting import Freeing
from slurm_amlfs.domain.report import Freed

_FRESH_SECONDS = 30.0
"""How long the listing of its blobs is believed when it does not go on: what is released has to be in Blob still."""


class Eviction:
    """The release of what nobody needs of one lease. Between slices somebody may come to need it."""

    def __init__(self, freeing: Freeing, clock: Callable[[], float]) -> None:
        """Begin. `clock` counts seconds, from anywhere."""
        self._freeing = freeing
        self._clock = clock
        self._went_on = clock()
        self._before = Freed(0, 0)

    @property
    def fresh(self) -> bool:
        """Say whether it may go on."""
        return self._clock() - self._went_on < _FRESH_SECONDS

    def slice(self, spare: Sequence[str]) -> Freed:
        """Go on for about a second, leaving whole what `spare` takes in.

        Raises:
            TemporaryError, PermanentError: from the ports; it has to be begun again then.
        """
        freed = self._freeing.slice(spare)
        self._went_on = self._clock()
        before, self._before = self._before, freed
        return replace(freed, files=freed.files - before.files, freed_bytes=freed.freed_bytes - before.freed_bytes)

    def close(self) -> None:
        """End it. Twice is success."""
        self._freeing.close()
