"""Leave out of a look what breaks the decision: a record, or some together, must not stop all other jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from slurm_amlfs.domain.world import Seen

_MOST = 20
"""Each costs as many decisions as the number of records has binary digits."""

log = logging.getLogger(__name__)


class Salvage:
    """Jobs whose records broke a decision. Nothing is taken of them until the daemon's next start."""

    def __init__(self) -> None:
        """Begin without any."""
        self._stuck: frozenset[int] = frozenset()

    def sound(self, seen: Seen) -> Seen:
        """Give a look without them: neither there nor gone."""
        return _without(seen, self._stuck) if self._stuck else seen

    def search(self, seen: Seen, attempt: Callable[[Seen], object]) -> None:
        """Find the records that break a decision, alone or with others; none if they are not what does.

        Of some that break it together the one with the highest id is left out. What is found after `_MOST` is left to
        the next pass, which will break as well.
        """
        job_ids = sorted(frozenset(seen.jobs or {}) | frozenset(seen.declared) | {it.job_id for it in seen.living})
        if _error(attempt, _without(seen, frozenset(job_ids))):
            return
        found: set[int] = set()
        for _ in range(_MOST):
            if not (error := _error(attempt, _without(seen, found))):
                break
            # The first so many go, the first `high` do not, and what is between is halved until it is one.
            low, high = 0, len(job_ids)
            while high - low > 1:
                middle = (low + high) // 2
                later = _error(attempt, _without(seen, found.union(job_ids[middle:])))
                low, high, error = (low, middle, later) if later else (middle, high, error)
            found.add(job_ids[low])
            log.error("record-stuck", exc_info=error, extra={"amlfs_pairs": {"job": job_ids[low]}})
        self._stuck |= found


def _error(attempt: Callable[[Seen], object], seen: Seen) -> Exception | None:
    """Say what a look alone, without requests and reports, breaks; None if it can be decided on."""
    try:
        attempt(seen)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told where it was looked for
        return error
    return None


def _without(seen: Seen, job_ids: AbstractSet[int]) -> Seen:
    """Drop jobs from a look; while one that may use its files is left out, nothing is given back."""
    jobs = seen.jobs if seen.jobs is None else {key: it for key, it in seen.jobs.items() if key not in job_ids}
    return replace(
        seen,
        jobs=jobs,
        asked_jobs=seen.asked_jobs - job_ids,
        declared={key: it for key, it in seen.declared.items() if key not in job_ids},
        living=tuple(it for it in seen.living if it.job_id not in job_ids),
        unadopted=seen.unadopted or any(it.job_id in job_ids for it in seen.living),
    )
