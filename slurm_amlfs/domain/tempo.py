"""How fast a slot is and how much is asked of it, measured from what went by. Frozen values; seconds of any clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

_FORGETS = 0.95
"""What a measurement still counts for after the next one: the last twenty turns or so tell."""

_PRIOR = 2.0
"""What the configured rates count for at first, in measurements."""

_MEMORY_SECONDS = 900.0
"""Weight that came longer ago than this hardly counts."""

_BURST_SECONDS = 300.0
"""What came at first in less time than this may be a burst, and is no rate that goes on."""

_SILENCE = 3.0
"""Nothing came for so many times the usual pause: what came before was a burst. Of pauses at random, 5 in 100 are so
long (bench/simulate.py, seeds 100 to 109: from 2 to 10 the mean waits are alike, and a burst is through sooner)."""

_LEAST_OVERHEAD_SECONDS = 0.1
_SLOWEST_BLOBS_PER_SECOND = 1.0


@dataclass(frozen=True, slots=True)
class Tempo:
    """The line `seconds = overhead + blobs / rate` through the turns of the past, by least squares with forgetting.

    The five sums are those of a weighted linear regression of seconds over blobs. `coming_weight` is the weight that
    came, in `comings` times, both forgotten with time; `seen` is when some last came (None: never).
    """

    count: float
    blobs: float
    seconds: float
    blobs_blobs: float
    blobs_seconds: float
    coming_weight: float = 0.0
    comings: float = 0.0
    seen: float | None = None
    began: float | None = None

    @classmethod
    def assume(cls, overhead_seconds: float, blobs_per_second: float) -> Tempo:
        """Begin with rates that are assumed until some are measured."""
        blobs = 60 * blobs_per_second
        seconds = overhead_seconds + 60
        return cls(
            2 * _PRIOR,
            _PRIOR * blobs,
            _PRIOR * (overhead_seconds + seconds),
            _PRIOR * blobs * blobs,
            _PRIOR * blobs * seconds,
        )

    def _line(self) -> tuple[float, float]:
        spread = self.count * self.blobs_blobs - self.blobs * self.blobs
        slope = (self.count * self.blobs_seconds - self.blobs * self.seconds) / spread if spread > 0 else 0.0
        slope = min(max(slope, 1e-9), 1 / _SLOWEST_BLOBS_PER_SECOND)
        return max((self.seconds - slope * self.blobs) / self.count, _LEAST_OVERHEAD_SECONDS), slope

    @property
    def overhead_seconds(self) -> float:
        """Give what a turn of nothing takes."""
        return self._line()[0]

    @property
    def blobs_per_second(self) -> float:
        """Give how many blobs a turn brings in a second, once it runs."""
        return 1 / self._line()[1]

    def turn_took(self, blobs: int, seconds: float) -> Tempo:
        """Learn from a turn that went well. One that took no time, or ran backwards with the clock, teaches nothing."""
        if seconds <= 0 or blobs < 0 or not math.isfinite(seconds):
            return self
        return replace(
            self,
            count=self.count * _FORGETS + 1,
            blobs=self.blobs * _FORGETS + blobs,
            seconds=self.seconds * _FORGETS + seconds,
            blobs_blobs=self.blobs_blobs * _FORGETS + blobs * blobs,
            blobs_seconds=self.blobs_seconds * _FORGETS + blobs * seconds,
        )

    def weight_came(self, weight: float, now: float) -> Tempo:
        """Count weight that began to wait now. A clock that went back counts as standing still."""
        seen = now if self.seen is None else max(self.seen, now)
        gone = 0.0 if self.seen is None else seen - self.seen
        kept = math.exp(-gone / _MEMORY_SECONDS)
        began = now if self.began is None else self.began
        weights, comings = self.coming_weight * kept + weight, self.comings * kept + 1
        return replace(self, coming_weight=weights, comings=comings, seen=seen, began=began)

    def weight_per_second(self, now: float) -> float:
        """Give how much weight comes a second; never zero, so that it can be divided by."""
        if self.seen is None or self.began is None:
            return 1 / _MEMORY_SECONDS
        kept = self.coming_weight * math.exp(-max(now - self.seen, 0.0) / _MEMORY_SECONDS)
        # Until a memory's length has gone by, only so much can have been remembered.
        full = 1 - math.exp(-max(now - self.began, _BURST_SECONDS) / _MEMORY_SECONDS)
        rate = max(kept, 1e-3) / (_MEMORY_SECONDS * full)
        silence = now - self.seen
        usual = self.coming_weight / max(self.comings, 1.0)
        return min(rate, max(_SILENCE * usual, 1e-3) / silence) if silence > 0 else rate
