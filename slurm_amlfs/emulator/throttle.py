"""ARM's own throttling: a token bucket per kind of request, and the headers that tell what is left.

Sizes are those of the recorded headers (reads 1099 left of 1100, writes and deletes 799 of 800; global 15 times that);
the refill is the documented one (25 reads, 10 writes, 10 deletes a second; request-limits-and-throttling).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket's size and how many tokens it gets back a second."""

    size: int
    per_second: float


LIMITS = {"reads": Limit(1100, 25.0), "writes": Limit(800, 10.0), "deletes": Limit(800, 10.0)}

GLOBAL_FACTOR = 15

OPERATION_POLLS = 240
"""x-ms-ratelimit-remaining-resource: Microsoft.Compute/GetOperationStatus1Min counts down from here in a minute
(recorded values between 218 and 237).
"""


def kind_of(method: str) -> str:
    """Say which bucket a request draws from."""
    return {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")


class Throttle:
    """The buckets of one client. Not safe for threads: the HTTP side has one."""

    def __init__(self, limits: dict[str, Limit] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or LIMITS
        self._clock = clock
        now = clock()
        self._levels = {kind: (float(limit.size), now) for kind, limit in self._limits.items()}
        self._minute = 0
        self._polls = OPERATION_POLLS

    def draw(self, method: str) -> int:
        """Draw one token; return 0, or the whole seconds to wait when there is none."""
        kind = kind_of(method)
        limit = self._limits[kind]
        level, since = self._levels[kind]
        now = self._clock()
        level = min(float(limit.size), level + (now - since) * limit.per_second)
        if level < 1:
            self._levels[kind] = (level, now)
            return max(1, math.ceil((1 - level) / limit.per_second))
        self._levels[kind] = (level - 1, now)
        return 0

    def headers(self, method: str) -> dict[str, str]:
        """Tell what is left."""
        kind = kind_of(method)
        used = self._limits[kind].size - int(self._levels[kind][0])
        everywhere = self._limits[kind].size * GLOBAL_FACTOR - used
        return {
            f"x-ms-ratelimit-remaining-subscription-{kind}": str(self._limits[kind].size - used),
            f"x-ms-ratelimit-remaining-subscription-global-{kind}": str(everywhere),
        }

    def poll_header(self) -> dict[str, str]:
        """Tell what is left of the operation polls of this minute."""
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._polls = minute, OPERATION_POLLS
        self._polls = max(0, self._polls - 1)
        return {"x-ms-ratelimit-remaining-resource": f"Microsoft.Compute/GetOperationStatus1Min;{self._polls}"}
