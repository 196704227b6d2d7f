"""What else could be done with the slot: one import for each job, and one import of all that waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bench.trace import Arrival, Site
from bench.waits import Wait, alone_seconds, wait, work_seconds


def one_by_one(site: Site, jobs: Sequence[Arrival]) -> list[Wait]:
    """One import for each job, in the order of their arrival."""
    now, waits = 0.0, []
    for job in jobs:
        now = max(now, job.at) + alone_seconds(site, job)
        waits.append(wait(site, job, now))
    return waits


def merge_everything(site: Site, jobs: Sequence[Arrival]) -> list[Wait]:
    """Whatever waits when the slot is free goes into one import, and is there when all of it is.

    An archive takes one path, so each export then has a turn of its own, in the order of their arrival.
    """
    now = 0.0
    waits: list[Wait] = []
    there: dict[str, float] = {}
    ahead = deque(jobs)
    while ahead:
        now = max(now, ahead[0].at)
        queue: list[Arrival] = []
        while ahead and ahead[0].at <= now:
            queue.append(ahead.popleft())
        batch = {it.prefix: work_seconds(site, it) for it in queue if not it.exports and it.prefix not in there}
        if batch:
            now += site.overhead_seconds + sum(batch.values())
            there |= dict.fromkeys(batch, now)
        for job in queue:
            if job.exports:
                now += alone_seconds(site, job)
                waits.append(wait(site, job, now))
            else:
                # Who came while the prefix was under way waited for the end of that.
                waits.append(wait(site, job, max(job.at, there[job.prefix])))
    return waits
