"""What a wait has to be measured against: a slot that can be taken away at any moment, and whose turns cost nothing."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.trace import Arrival, Site
from bench.waits import Wait, alone_seconds, wait, work_seconds

_NOTHING_SECONDS = 1e-9
"""Work that is left by rounding only."""


@dataclass(slots=True)
class _Need:
    left: float
    waiting: list[Arrival] = field(default_factory=list)
    weight: float = 0.0

    @property
    def order(self) -> float:
        return self.left / self.weight


def lower_bound(site: Site, jobs: Sequence[Arrival]) -> list[Wait]:
    """Weighted shortest remaining work first, preemptive, without overhead; then one overhead for each job.

    Jobs that share a prefix share its work and weigh together; who comes when it is there does not wait. An archive
    takes one path, so its overhead is work of its own that nobody can share.

    For jobs of equal weight that share nothing, no policy can have a lower mean: move what each turn brings to the
    turn's beginning, and it is a schedule of the same work, which Schrage's rule (1968) beats. With weights the best
    order is NP-hard to find (1|r_j,pmtn|sum w_j C_j), and this one is what stands for it.
    """
    now, index = 0.0, 0
    waits: list[Wait] = []
    needs: dict[str, _Need] = {}
    there: set[str] = set()
    heap: list[tuple[float, str]] = []
    while index < len(jobs) or needs:
        if not needs:
            now = max(now, jobs[index].at)
        while index < len(jobs) and jobs[index].at <= now:
            job = jobs[index]
            index += 1
            if job.prefix in there:
                waits.append(wait(site, job, job.at))
                continue
            need = needs.setdefault(
                job.prefix, _Need(alone_seconds(site, job) if job.exports else work_seconds(site, job))
            )
            need.waiting.append(job)
            need.weight += job.weight
            heapq.heappush(heap, (need.order, job.prefix))
        prefix = _first(heap, needs)
        if prefix is None:
            continue
        need = needs[prefix]
        step = min(need.left, jobs[index].at - now) if index < len(jobs) else need.left
        now += step
        need.left -= step
        if need.left > _NOTHING_SECONDS:
            heapq.heappush(heap, (need.order, prefix))
            continue
        waits += [wait(site, it, now + (0.0 if it.exports else site.overhead_seconds)) for it in need.waiting]
        there.add(prefix)
        del needs[prefix]
    return waits


def _first(heap: list[tuple[float, str]], needs: dict[str, _Need]) -> str | None:
    """Take from the heap until its first entry is not outdated. A need's newest entry is its lowest one."""
    while heap:
        order, prefix = heapq.heappop(heap)
        if prefix in needs and order <= needs[prefix].order:
            return prefix
    return None
