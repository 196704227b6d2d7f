"""One pass under way: the records as they change, the events to remember, the errands wanted, the next wake-up.

A pass works on copies and hands out new records at its end, so from outside `reconcile.decide` stays a pure function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.errand import EVICTS, Errand, Evict, Free
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.outgoing import Outgoing
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Namespace, covers, overlaps
from slurm_amlfs.domain.records import Event, Job, Records, Stage, StageKey, Transfer, of_job
from slurm_amlfs.domain.report import Fault, Trouble
from slurm_amlfs.domain.resting import Resting
from slurm_amlfs.domain.tempo import Tempo
from slurm_amlfs.domain.world import Foreseen, Rules, Seen, backoff

_LONGEST_WAIT = timedelta(minutes=65)
"""No wait is longer (an hour, where the budget of retries is used up); what seems to be was begun by another clock."""


@dataclass(slots=True)
class Draft:
    """The working copy of one pass.

    `spoken_for` are jobs that began or ended anew in this pass: what was seen of them before is out of date. `riders`
    are the living stage-ins of each lease, as they were when `riding.take_stock` listed them, `overwrites` the leases
    whose imports may overwrite, `foreseen` those that jobs will need which have not asked yet. `backlog` are the blobs
    that each user has waiting, by file system, once somebody asks, `by_prefix` the leases that do not rest, likewise,
    `shown` what those say who ride on the same leases. `evicting` are leases whose bytes are being given back while the
    pass is made, `evicts` likewise, one for each file system, or whose this pass wishes to be, `outgoing` the exports
    on each file system that somebody has asked for.
    """

    rules: Rules
    seen: Seen
    jobs: dict[int, Job]
    stages: dict[StageKey, Stage]
    transfers: dict[str, Transfer]
    leases: dict[LeaseKey, Lease]
    tempos: dict[str, Tempo]
    resting: Resting
    evicting: tuple[LeaseKey, ...] = ()
    evicts: dict[str, LeaseKey] = field(default_factory=dict)
    riders: dict[LeaseKey, list[StageKey]] = field(default_factory=dict)
    overwrites: list[LeaseKey] = field(default_factory=list)
    foreseen: dict[LeaseKey, Foreseen] = field(default_factory=dict)
    backlog: Counter[tuple[str, int]] | None = None
    by_prefix: dict[tuple[str, str], list[LeaseKey]] | None = None
    shown: dict[tuple[LeaseKey, ...], tuple[list[Lease], dict[str, Any]]] = field(default_factory=dict)
    outgoing: dict[str, Outgoing] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)
    spoken_for: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    remarks: list[Event] = field(default_factory=list)
    errands: list[Errand] = field(default_factory=list)
    wake: datetime | None = None

    @classmethod
    def of(cls, records: Records, rules: Rules, seen: Seen) -> Draft:
        """Begin a pass."""
        evicting = tuple(LeaseKey.read(it.removeprefix(EVICTS)) for it in seen.running if it.startswith(EVICTS))
        return cls(
            rules,
            seen,
            dict(records.jobs),
            dict(records.stages),
            dict(records.transfers),
            dict(records.leases),
            dict(records.tempos),
            records.resting,
            evicting,
            {it.fs: it for it in evicting},
        )

    @property
    def now(self) -> datetime:
        """The pass's one instant."""
        return self.seen.now

    def records(self) -> Records:
        """End the pass."""
        return Records(self.jobs, self.stages, self.transfers, self.leases, self.tempos, self.resting)

    def of_job(self, job_id: int, direction: Direction | None = None) -> Iterator[Stage]:
        """Yield a job's stages in the order of its lines."""
        return of_job(self.stages, job_id, direction)

    def put(self, stage: Stage) -> Stage:
        """Keep a stage as it now is."""
        self.stages[stage.key] = stage
        return stage

    def note(self, job_id: int, word: str, detail: str = "") -> None:
        """Remember an event of a job."""
        self.events.append(Event(job_id, self.now, word, detail))

    def remark(self, word: str, detail: str) -> None:
        """Say something in the log that is of no job."""
        self.remarks.append(Event(0, self.now, word, detail))

    def want(self, *errands: Errand) -> None:
        """Have something done; but nothing is given back before it is known which jobs run."""
        self.errands += [it for it in errands if not (self.seen.unadopted and isinstance(it, (Evict, Free)))]

    def speak_for(self, job_id: int) -> None:
        """Believe a hook rather than what was seen before of its job; look at that again in the next pass."""
        self.spoken_for.add(job_id)
        self.wake_at(self.now)

    def wake_at(self, moment: datetime) -> None:
        """Look again at the latest then."""
        if self.wake is None or moment < self.wake:
            self.wake = moment

    def move(self, stage: Stage, phase: Phase, word: str = "", message: str = "") -> Stage:
        """Move a stage, and remember it as an event where it has a word.

        What follows from the move may have had its turn in this pass already, so another pass comes at once.
        """
        self.wake_at(self.now)
        moved = self.put(stage.move(phase, self.now, message))
        if word:
            self.note(stage.key.job_id, word, message or ", ".join(stage.ask.prefixes))
        return moved

    def wait(self, stage: Stage, trouble: Trouble) -> Stage:
        """Let a stage sit out a temporary error where it is."""
        pause = backoff(stage.waits_in_a_row, trouble.retry_after, self.rules.longest_wait)
        return self.put(
            replace(
                stage,
                not_before=self.now + pause,
                waits_in_a_row=stage.waits_in_a_row + 1,
                message=trouble.message,
                correlation_id=trouble.correlation_id or stage.correlation_id,
            )
        )

    def fail(self, stage: Stage, message: str, correlation_id: str = "") -> Stage:
        """Give a stage up, in words for its owner."""
        kept = replace(stage, correlation_id=correlation_id or stage.correlation_id)
        return self.move(kept, Phase.FAILED, f"{stage.key.direction.value} failed", message)

    def troubled(self, stage: Stage, trouble: Trouble) -> Stage:
        """Wait or give up, as the error asks."""
        if trouble.fault is Fault.TEMPORARY:
            return self.wait(stage, trouble)
        return self.fail(stage, trouble.message, trouble.correlation_id)

    def namespace(self, fs: str) -> Namespace:
        """Say how the container behind a configured file system reads prefixes."""
        return self.rules.file_systems[fs].namespace

    def tempo(self, fs: str) -> Tempo:
        """Give the rates of a file system's slot, as measured or assumed."""
        known = self.tempos.get(fs)
        return known or Tempo.assume(self.rules.overhead.total_seconds(), self.rules.blobs_per_second)

    def lease_waits(self, lease: Lease, trouble: Trouble) -> Lease:
        """Let a lease sit out a temporary error."""
        pause = backoff(lease.waits_in_a_row, trouble.retry_after, self.rules.longest_wait)
        waiting = replace(
            lease,
            not_before=self.now + pause,
            waits_in_a_row=lease.waits_in_a_row + 1,
            message=trouble.message,
            correlation_id=trouble.correlation_id or lease.correlation_id,
        )
        return self.put_lease(waiting)

    def put_lease(self, lease: Lease) -> Lease:
        """Keep a lease as it now is."""
        if lease.key not in self.leases:
            self.by_prefix = None
        self.leases[lease.key] = lease
        return lease

    def find_lease(self, key: LeaseKey) -> Lease | None:
        """Find a lease, at rest or not."""
        return self.leases.get(key) or self.resting.get(key)

    def wake_lease(self, key: LeaseKey) -> Lease | None:
        """Find a lease that is needed: it rests no longer."""
        if key in self.leases or (held := self.resting.get(key)) is None:
            return self.leases.get(key)
        self.resting = self.resting.changed(drops=(key,))
        return self.put_lease(held)

    def lay_down(self, leases: list[Lease]) -> None:
        """Let leases rest that are landed and that nobody needs."""
        # As they are now: what came later in the pass may have changed them.
        self.resting = self.resting.changed([self.leases.pop(held.key, held) for held in leases])

    def of_prefix(self, fs: str, prefix: str) -> list[Lease]:
        """List all leases, at rest or not, of exactly a prefix."""
        return self._known(fs, prefix) + self.resting.of_prefix(fs, prefix)

    def around(self, fs: str, prefix: str) -> list[Lease]:
        """List all leases, at rest or not, that take in a prefix, and more."""
        namespace = self.namespace(fs)
        found: list[Lease] = []
        for end in range(1, len(prefix)):
            known = self._known(fs, prefix[:end])
            found += known if known and covers(namespace, prefix[:end], prefix) else []
        return found + self.resting.around(namespace, fs, prefix)

    def _known(self, fs: str, prefix: str) -> list[Lease]:
        if self.by_prefix is None:
            self.by_prefix = {}
            for key in self.leases:
                self.by_prefix.setdefault((key.fs, key.prefix), []).append(key)
        keys = self.by_prefix.get((fs, prefix), ())
        return [self.leases[key] for key in keys if key in self.leases]

    def overlapping(self, fs: str, prefix: str) -> list[Lease]:
        """List all leases, at rest or not, that have paths in common with a prefix."""
        namespace = self.namespace(fs)
        found = [it for it in self.leases.values() if it.key.fs == fs and overlaps(namespace, it.key.prefix, prefix)]
        return found + self.resting.overlapping(namespace, fs, prefix)

    def change(self, leases: Iterable[Lease]) -> None:
        """Keep leases as they now are, each where it lies."""
        laid = []
        for held in leases:
            if held.key in self.leases:
                self.leases[held.key] = held
            else:
                laid.append(held)
        self.resting = self.resting.changed(laid)

    def ready(self, stage: Stage | Lease) -> bool:
        """Say whether it may act now; if it still waits, see to it that the pass after the wait comes."""
        return not self.sits_out(stage.not_before)

    def job_waits(self, job: Job, trouble: Trouble) -> Job:
        """Let what is done for the job as a whole sit out an error, of whatever kind: an admin can mend all of them."""
        waiting = replace(
            job,
            not_before=self.now + backoff(job.waits_in_a_row, trouble.retry_after, self.rules.longest_wait),
            waits_in_a_row=job.waits_in_a_row + 1,
            trouble=trouble.message,
        )
        self.jobs[job.job_id] = waiting
        return waiting

    def job_goes_on(self, job: Job) -> Job:
        """Forget a job's wait, because what it waited for worked."""
        going = replace(job, not_before=None, waits_in_a_row=0, trouble="")
        self.jobs[job.job_id] = going
        return going

    def job_ready(self, job: Job) -> bool:
        """Say whether something may be done for the job now; if not yet, see to it that a pass comes after the wait."""
        return not self.sits_out(job.not_before)

    def sits_out(self, until: datetime | None) -> bool:
        """Say whether a wait is not over yet, and see to it that a pass comes then. A clock put back ends it."""
        if until is None or not self.now < until <= self.now + _LONGEST_WAIT:
            return False
        self.wake_at(until)
        return True

    def pause(self, stage: Stage, duration: timedelta) -> Stage:
        """Look at a stage again after a while, without calling that an error."""
        return self.put(replace(stage, not_before=self.now + duration))


def names_some(names: Iterable[str], most: int = 3) -> str:
    """Name a few blobs or files in a sentence, each quoted with what cannot be printed escaped."""
    listed = list(names)
    shown = ", ".join(_quoted(name) for name in listed[:most])
    return f"{shown}, ..." if len(listed) > most else shown


def _quoted(name: str, longest: int = 200) -> str:
    """Quote a name; bytes that are no UTF-8 are shown in hex."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return ascii(text if len(text) <= longest else text[:longest] + "...").replace("\\\\x", "\\x")
