"""Which calls are repeated ones, and whether one more may be made (docs/decisions/0017-retries.md).

A call is a repeated one if the last of its kind failed, whoever asks now and why: a quick retry, the loop's next look,
an errand done again, a listing begun again (each page that it had got), a daemon started again. Kinds are keys; who
makes calls says when one begins and how it ended.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple, NoReturn

from slurm_amlfs.adapters.retry_budget import RetryBudget
from slurm_amlfs.adapters.retry_ledger import Entry, RetryLedger
from slurm_amlfs.errors import TemporaryError, ThrottledError

_UNFINISHED = timedelta(minutes=10)
"""What was called so shortly before a start is taken to be called again because of it."""

_MOST_KEYS = 100_000


class _Calls(NamedTuple):
    """Calls of one key: `owed` failed, or are to be repeated with one that did; `run` pages since it began."""

    owed: int = 0
    run: int = 0
    flying: int = 0


class Repeats:
    """Counts calls for the whole daemon, in all its threads.

    Args:
        ledger: Where the count outlives the process; None keeps it in memory.
        now: Reads a clock that is never set.
        wall: Reads the clock that people read.
    """

    def __init__(
        self,
        per_hour: int,
        ledger: RetryLedger | None,
        now: Callable[[], datetime],
        wall: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._wall = wall
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._calls: dict[str, _Calls] = {}
        began = now()
        self._budget = RetryBudget(per_hour, ledger.spent() if ledger is not None else ())
        for it in ledger.entries() if ledger is not None else ():
            owed = self._with_pages(it.owed, it.run) if it.at > began - _UNFINISHED else it.owed
            if owed:
                self._put(it.key, _Calls(owed), began)

    def is_ample(self) -> bool:
        """Say whether enough is left for a call to be repeated at once."""
        return self._budget.is_ample(self._now())

    def begin(self, what: str, *, continues: bool = False) -> str:
        """Begin a call; return its key. `continues` says that it asks for a further page of a listing.

        Raises:
            ThrottledError: it is a repeated one, and no more of these may be made in this hour.
        """
        key = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        with self._lock:
            now = self._now()
            known = self._calls.get(key, _Calls())
            owed = self._with_pages(known.owed, known.run) if known.owed and not continues else known.owed
            left = self._spend(key, owed, now) if owed else 0
            calls = _Calls(left, known.run if continues else 0, known.flying + 1)
            try:
                self._put(key, calls, now, spent=owed > 0)
            except TemporaryError as error:
                if owed:
                    self._calls[key] = known
                    raise ThrottledError(f"no call is made again while {error.message}") from error
        self._mine.key = key
        return key

    def ended(self, key: str, *, well: bool) -> None:
        """Take how a call ended."""
        with self._lock, suppress(TemporaryError):
            known = self._calls.get(key, _Calls())
            flying = max(known.flying - 1, 0)
            calls = _Calls(known.owed, known.run + 1, flying) if well else _Calls(known.owed + 1, known.run, flying)
            self._put(key, calls, self._now())

    def spoiled(self) -> None:
        """Call this thread's last call a failed one after all: its answer made no sense."""
        key = getattr(self._mine, "key", "")
        with self._lock, suppress(TemporaryError):
            known = self._calls.get(key, _Calls())
            if key and not known.owed:
                self._put(key, _Calls(1, max(known.run - 1, 0), known.flying), self._now())

    def _spend(self, key: str, owed: int, now: datetime) -> int:
        """Spend one of what is owed, and see to it that the rest is there too; return the rest."""
        budget = self._budget
        wanted = min(owed, budget.most_at_once)
        if wanted > 1 and budget.reserved(now, key) < wanted and not budget.reserve(now, key, wanted):
            self._refuse(now, wanted)
        if not budget.spend(now, key):
            self._refuse(now, 1)
        return owed - 1

    def _with_pages(self, owed: int, pages: int) -> int:
        """Add the pages to be had once more. Those beyond what may be reserved are free, or none would ever be had."""
        return owed + min(pages, max(self._budget.most_at_once - owed, 0))

    def _refuse(self, now: datetime, number: int) -> NoReturn:
        wait = self._budget.free_in(now, number)
        until = (self._wall() + wait).strftime("%H:%M")
        raise ThrottledError(
            f"Azure failed so often that the {self._budget.per_hour} repeated calls of an hour are used up; it goes on"
            f" by itself at about {until} (see the daemon's log; raise retries_per_hour only if Azure is well)",
            retry_after=wait,
        )

    def _put(self, key: str, calls: _Calls, now: datetime, *, spent: bool = False) -> None:
        self._calls.pop(key, None)
        self._calls[key] = calls
        if len(self._calls) > _MOST_KEYS:
            del self._calls[next((it for it, known in self._calls.items() if not known.owed), next(iter(self._calls)))]
        if self._ledger is not None:
            # A call under way counts as failed for who starts after this process has died.
            self._ledger.add(Entry(now, key, calls.owed + calls.flying, calls.run, spent))
