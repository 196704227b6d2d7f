"""Leave out of a look what breaks the decision: one job's record must not stop all others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from slurm_amlfs.domain.world import Seen

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
        """Find the records that break a decision, each tried without all others; none if they are not what does."""
        job_ids = frozenset(seen.declared) | {it.job_id for it in seen.living}
        if _goes(attempt, seen) or not _goes(attempt, _without(seen, job_ids)):
            return
        for job_id in sorted(job_ids):
            try:
                attempt(_without(seen, job_ids - {job_id}))
            except Exception:
                log.exception("record-stuck", extra={"amlfs_pairs": {"job": job_id}})
                self._stuck |= {job_id}


def _goes(attempt: Callable[[Seen], object], seen: Seen) -> bool:
    """Say whether a look alone, without requests and reports, can be decided on."""
    with suppress(Exception):
        attempt(seen)
        return True
    return False


def _without(seen: Seen, job_ids: frozenset[int]) -> Seen:
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
