"""How many restores one proof keeps in flight: more while they end quickly, fewer when nothing ends.

Requests in flight only have to last until the next look, so that the copytool never runs dry; any more lengthen the
coordinator's list, which everybody's requests then wait behind. Archives are asked for by the same measure. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FEWEST = 100
"""Two requests of lfs; where the window begins, and what it never falls below unless `most` is less."""

STILL_SECONDS = 5.0
"""How long nothing may end before the window is halved."""


@dataclass(frozen=True, slots=True)
class RestoreWindow:
    """A window of `size` restores, at most `most`. `still_since` is when something last ended, None while none runs."""

    size: int
    most: int
    still_since: float | None = None

    @classmethod
    def begin(cls, most: int) -> RestoreWindow:
        """Begin small."""
        return cls(min(FEWEST, most), most)

    def after(self, outstanding: int, ended: int, now: float) -> RestoreWindow:
        """Adapt to a look that found `ended` of the `outstanding` restores ended. `now` counts seconds.

        A window that was half full and of which half ended would have run dry soon: it doubles.
        """
        if not outstanding:
            return replace(self, still_since=None)
        if ended:
            grown = self.size
            if 2 * ended >= outstanding and 2 * outstanding >= self.size:
                grown = min(2 * self.size, self.most)
            return replace(self, size=grown, still_since=now)
        if self.still_since is None:
            return replace(self, still_since=now)
        if now - self.still_since < STILL_SECONDS:
            return self
        return replace(self, size=max(self.size // 2, min(FEWEST, self.most)), still_since=now)
