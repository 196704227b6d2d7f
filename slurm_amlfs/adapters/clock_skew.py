"""Whether Azure's clock and this host's agree, by the Date of its answers. Said, and never decided upon.

Nothing compares the two clocks to decide something; but Slurm, certificates and people who read logs do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from slurm_amlfs.adapters import log

_TOLERATED = timedelta(minutes=5)
"""As much as Kerberos and munge let pass."""

_logger = logging.getLogger(__name__)


class ClockSkew:
    """Says once that the clocks differ, and once that they agree again."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._off = False

    def heard(self, date: str) -> None:
        """Take the Date of an answer; none, or one that is no date, says nothing."""
        try:
            ahead = self._now() - parsedate_to_datetime(date)
        except (TypeError, ValueError):
            return
        off = abs(ahead) > _TOLERATED
        with self._lock:
            changed, self._off = off is not self._off, off
        if not changed:
            return
        pairs = {"seconds_ahead_of_azure": round(ahead.total_seconds())}
        if off:
            log.event(_logger, logging.WARNING, "clock-off", **pairs, mend="see that this host's NTP works")
        else:
            log.event(_logger, logging.INFO, "clock-agrees-again", **pairs)
