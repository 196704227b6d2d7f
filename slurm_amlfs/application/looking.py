"""When to look at Slurm and at each file system again, and what was seen last. Looks run in the pool, like errands."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.application.ports import Slurm
from slurm_amlfs.application.tally import Tally
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.batching import waits_for_slot
from slurm_amlfs.domain.foreseeing import awaited, foresee
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Life, Records, Transfer, TransferKind, TransferPhase
from slurm_amlfs.domain.slot import wants_look
from slurm_amlfs.domain.view import FileSystemView, JobName, JobRecord, JobView, LivingJob, QueuedJob, SpaceView
from slurm_amlfs.domain.world import Ahead, Foreseen, FsSeen, Rules, Seen, backoff
from slurm_amlfs.errors import AmlfsError, TemporaryError

log = logging.getLogger(__name__)

_AUTO_JOBS_EVERY = timedelta(minutes=1)
"""Auto-import and auto-export are set up by admins and stay for days; two ARM reads a minute find them soon enough."""


_VIEW_EVERY = timedelta(minutes=1)

_SOON = timedelta(seconds=5)
"""How long a job is looked at as about to start: one that Slurm puts off longer must not be a storm of looks."""

_REST_PER_QUEUE = 100
"""The whole queue is read for a hundredth of the time at most."""

_LONGEST_PAUSE = timedelta(minutes=1)
"""After looks that failed, the next is made after 1 s, 2 s, 4 s ... at the usual pace at least; or as Azure asks."""

_REST_ALONE = timedelta(seconds=15)
"""Pause between looks at the queue while nobody stages, and something is still foreseen."""

_OVERDUE_LOOKS = 5
"""An import that is over a minute late is looked at every twelve seconds, if that is more than the usual pace."""

_REST_PER_LOOK = 75
_REST_PER_SOON_LOOK = 5
_REST_PER_ROLL = 20
"""A look that takes a second is made every 75, or every five while a job is about to start: slurmctld's jobs are
locked meanwhile, and reading thousands of records costs us too."""


_LIVING_AGAIN = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look.

    At Slurm's records, at those of jobs not yet seen or about to start, at ARM, at ARM for an import that should be
    over, and at Slurm's whole queue.
    """

    slurm: timedelta = timedelta(seconds=2)
    slurm_new: timedelta = timedelta(seconds=1)
    slurm_soon: timedelta = timedelta(milliseconds=250)
    arm: timedelta = timedelta(seconds=5)
    arm_soon: timedelta = timedelta(seconds=1)
    queue: timedelta = timedelta(seconds=5)


@dataclass(slots=True)
class Looks:
    """The latest look at each part of the world, and when the next is due."""

    pace: Pace
    names: tuple[str, ...]
    wanted_jobs: frozenset[int] = frozenset()
    wanted_slots: frozenset[str] = frozenset()
    starting: frozenset[int] = frozenset()
    starting_since: dict[int, datetime] = field(default_factory=dict)
    jobs: Mapping[int, JobView] | None = None
    asked_jobs: frozenset[int] = frozenset()
    slurm_looked: datetime | None = None
    slurm_took: timedelta = timedelta(0)
    slurm_trouble: str = ""
    holds: bool = False
    declared: Mapping[int, JobRecord] = field(default_factory=dict)
    file_systems: dict[str, FsSeen] = field(default_factory=dict)
    fs_looked: dict[str, datetime] = field(default_factory=dict)
    fs_failed: Tally = field(default_factory=Tally)
    fs_pause: dict[str, timedelta] = field(default_factory=dict)
    auto_looked: dict[str, datetime] = field(default_factory=dict)
    doubted: set[int] = field(default_factory=set)
    ends: dict[str, datetime] = field(default_factory=dict)
    transfers: bool = False
    view_looked: dict[str, datetime] = field(default_factory=dict)
    foreseen: Mapping[LeaseKey, Foreseen] = field(default_factory=dict)
    exports_wait: bool = False
    awaited: Mapping[JobName, tuple[QueuedJob, ...]] = field(default_factory=dict)
    queue_looked: datetime | None = None
    queue_took: timedelta = timedelta(0)
    living: tuple[LivingJob, ...] | None = None
    living_looked: datetime | None = None
    living_trouble: str = ""
    swept: bool = False

    def seen(
        self,
        now: datetime,
        running: Iterable[str],
        spaces: Mapping[str, SpaceView],
        spaceless: Mapping[str, str] = MappingProxyType({}),
    ) -> Seen:
        """Put the latest looks together for a pass; the last two are `Seen.spaces` and `Seen.spaceless`."""
        return Seen(
            now,
            frozenset(running),
            self.jobs,
            self.asked_jobs,
            dict(self.file_systems),
            foreseen=self.foreseen,
            awaited=self.awaited,
            spaces=dict(spaces),
            spaceless=dict(spaceless),
            declared=self.declared,
            living=self.living or (),
            unadopted=self.living is None,
        )

    def living_due(self, now: datetime) -> bool:
        """Say whether to ask Slurm which jobs use their files: once, as soon as it answers. Hold mode sees all jobs."""
        return self.living is None and not self.holds and is_over(self.living_looked, _LIVING_AGAIN, now)

    def adopted(self) -> bool:
        """Forget the jobs that a pass has made known: they may soon be over. Say whether it was the first such pass."""
        first, self.swept = self.living is not None and not self.swept, self.living is not None
        self.living = self.living and ()
        return first

    def doubt(self, job_ids: frozenset[int]) -> None:
        """Forget what was seen of jobs that a hook has spoken of since: the look may be older than what it told."""
        self.asked_jobs -= job_ids
        self.doubted |= job_ids

    def plan(self, records: Records, more: frozenset[int]) -> None:
        """Work out after a pass what the next looks have to cover; `more` are jobs of requests not yet taken.

        A slot that nobody cares for now will have changed when somebody does: what was seen of it is forgotten.
        """
        alive = frozenset(it.job_id for it in records.jobs.values() if it.closed is None or it.behind is not None)
        self.wanted_jobs = alive | more
        self.starting = frozenset(it for it in alive if _about_to_start(records, it))
        self.starting_since = {it: since for it, since in self.starting_since.items() if it in self.starting}
        self.wanted_slots = frozenset(name for name in self.names if wants_look(records, name))
        self.transfers = bool(records.transfers)
        self.exports_wait = any(map(waits_for_slot, records.stages.values()))
        self.ends = {it.fs: end for it in records.transfers.values() if (end := _expected_end(records, it)) is not None}
        for name in set(self.file_systems) - self.wanted_slots:
            del self.file_systems[name]
            self.fs_looked.pop(name, None)

    def slurm_due(self, now: datetime) -> bool:
        """Say whether to ask Slurm now."""
        if self.slurm_looked is None or not (self.wanted_jobs or self.holds):
            return bool(self.wanted_jobs) or self.holds
        pace, rest = self.pace.slurm, _REST_PER_LOOK
        if self.holds:
            # A job that has just been submitted can be released by its owner until it is seen.
            pace, rest = self.pace.slurm_new, _REST_PER_ROLL
        if not self.wanted_jobs <= self.asked_jobs:
            pace, rest = self.pace.slurm_new, _REST_PER_SOON_LOOK
        if any(now < self.starting_since.get(it, now) + _SOON for it in self.starting):
            pace, rest = self.pace.slurm_soon, _REST_PER_SOON_LOOK
        return is_over(self.slurm_looked, max(pace, self.slurm_took * rest), now)

    def begin_slurm(self, now: datetime) -> frozenset[int]:
        """Begin a look at Slurm; return the jobs to ask for. What is doubted from here on is not in its answer."""
        self.slurm_looked = now
        self.doubted.clear()
        for job_id in self.starting:
            self.starting_since.setdefault(job_id, now)
        return self.wanted_jobs

    def slots_due(self, now: datetime) -> list[str]:
        """Name the file systems whose slot to look at now: something is on it, or waits for it."""
        return [
            name
            for name in self.wanted_slots
            if (looked := self.fs_looked.get(name)) is None
            or is_over(looked, self._look_again(name, looked) - looked, now)
        ]

    def _look_again(self, name: str, looked: datetime) -> datetime:
        """Look when an import should be over, and then more often than usual until it is; else at the usual pace."""
        again = looked + max(self.pace.arm, self.fs_pause.get(name, timedelta(0)))
        if name in self.fs_pause:
            return again
        end = self.ends.get(name)
        if end is None:
            return again
        overdue = max((looked - end) / _OVERDUE_LOOKS, timedelta(0))
        return min(again, max(end, looked + max(self.pace.arm_soon, overdue)))

    def queue_due(self, now: datetime, ahead: Ahead) -> bool:
        """Say whether to read the whole queue now: while somebody stages, or always, where imports begin early.

        What was foreseen is looked at after that too, less often: it counts as needed as long as its job is there.
        Where nothing is done ahead, it still tells who waits for the exports that wait for the slot.
        """
        ahead = Ahead.OFF if self.holds else ahead  # then every job is known as soon as it is submitted
        some = bool(self.wanted_jobs or self.foreseen)
        wanted = {Ahead.OFF: self.exports_wait, Ahead.BATCH: some, Ahead.SUBMIT: True}
        if not wanted[ahead]:
            return False
        rest = max(self.pace.queue, self.queue_took * _REST_PER_QUEUE)
        if ahead is Ahead.BATCH and not self.wanted_jobs:
            rest = max(rest, _REST_ALONE)
        return is_over(self.queue_looked, rest, now)


def is_over(looked: datetime | None, pause: timedelta, now: datetime) -> bool:
    """Say whether it is time to look again; a clock that was put back must not stop all looks till it has caught up."""
    return looked is None or now >= looked + pause or now < looked


def _about_to_start(records: Records, job_id: int) -> bool:
    """Say whether a job waits only for Slurm: it is staged in, or it has been let pass with nothing to stage in."""
    job = records.jobs[job_id]
    if job.life is not Life.PENDING or job.announced or job.closed is not None:
        return False
    stages = list(records.of_job(job_id, Direction.IN))
    if not stages:
        return bool(job.token_in) and not job.refusal
    return job.receipt and all(stage.phase is Phase.STAGED_IN for stage in stages)


def _expected_end(records: Records, transfer: Transfer) -> datetime | None:
    """Guess when an import that Azure has taken is over; None for what cannot be guessed."""
    tempo = records.tempos.get(transfer.fs)
    if transfer.kind is not TransferKind.IMPORT or transfer.phase is not TransferPhase.ASKED:
        return None
    if transfer.asked is None or tempo is None:
        return None
    return transfer.asked + timedelta(seconds=tempo.overhead_seconds + transfer.blobs / tempo.blobs_per_second)


def look_at_queue(looks: Looks, slurm: Slurm, rules: Rules) -> Callable[[], bool]:
    """Read the whole queue now; return what puts in place what its jobs will need. Silence means nothing new."""
    began = time.monotonic()
    try:
        queue = slurm.queue()
        found = {} if rules.ahead is Ahead.OFF else foresee(queue, rules)
        waiting = awaited(queue)
    except AmlfsError:
        found, waiting = looks.foreseen, looks.awaited
    took = timedelta(seconds=time.monotonic() - began)

    def put() -> bool:
        # Who waits for an export changes the order of what waits, which the next pass for another reason sees.
        news = looks.foreseen != found
        looks.queue_took = took
        looks.foreseen, looks.awaited = found, waiting
        return news

    return put


def look_at_living(looks: Looks, slurm: Slurm, asked: Callable[[int], str]) -> Callable[[], bool]:
    """Read which jobs use their files; return what puts the answer in place. Until there is one, nothing is given back.

    No answer is no news: it is asked for again soon. `asked` tells the last ask for a job's stage-in.
    """
    try:
        found = slurm.living()
        living: tuple[LivingJob, ...] | None = tuple(replace(it, token_in=asked(it.job_id)) for it in found)
        trouble = ""
    except AmlfsError as error:
        living, trouble = None, error.message

    def put() -> bool:
        if trouble not in {"", looks.living_trouble}:
            log.warning("living-jobs-unknown", extra={"amlfs_pairs": {"error": trouble}})
        looks.living, looks.living_trouble = living, trouble
        return living is not None

    return put


def look_at_slurm(looks: Looks, slurm: Slurm, job_ids: frozenset[int]) -> Callable[[], bool]:
    """Read the jobs now; return what puts the answer in place, to be called by the loop's own thread.

    In hold mode all jobs with directives are read. It says nothing of jobs doubted since `begin_slurm`.
    """
    began = time.monotonic()
    declared: Mapping[int, JobRecord] = {}
    try:
        if looks.holds:
            declared = slurm.declared()
        jobs: Mapping[int, JobView] | None = _views(declared) if looks.holds else slurm.jobs(sorted(job_ids))
        trouble = ""
    except AmlfsError as error:
        jobs, trouble = None, error.message
    took = timedelta(seconds=time.monotonic() - began)

    def put() -> bool:
        asked = (job_ids | frozenset(declared)) - looks.doubted
        was = (looks.jobs, looks.asked_jobs, looks.slurm_trouble, looks.declared)
        looks.slurm_took = took
        if looks.holds and looks.living is None and jobs is not None:
            looks.living = ()
        looks.jobs, looks.asked_jobs, looks.slurm_trouble, looks.declared = jobs, asked, trouble, declared
        return was != (jobs, asked, trouble, declared)

    return put


def _views(declared: Mapping[int, JobRecord]) -> dict[int, JobView]:
    return {job_id: record.job for job_id, record in declared.items()}


def _known_view(looks: Looks, name: str, now: datetime, before: FsSeen | None) -> FileSystemView | None:
    """While an import of ours runs, its health is read once a minute: only the import itself makes news."""
    looked = looks.view_looked.get(name)
    if before is None or name not in looks.ends or looked is None or now - looked >= _VIEW_EVERY:
        return None
    return before.view


def _told(seen: FsSeen) -> FsSeen:
    """Leave out what is another at every look: its time, and the ids of the answers."""
    imports = tuple(replace(it, correlation_id="") for it in seen.imports)
    view = None if seen.view is None else replace(seen.view, correlation_id="")
    return replace(seen, seen=datetime.min.replace(tzinfo=UTC), imports=imports, view=view)


def look_at_slot(looks: Looks, name: str, fs: FileSystem, now: datetime) -> Callable[[], bool]:
    """Read a file system's slot now; return what puts the answer in place."""
    before = looks.file_systems.get(name)
    auto_jobs = before.auto_jobs if before is not None else ()
    looked = looks.auto_looked.get(name)
    fresh = looked is None or now - looked >= _AUTO_JOBS_EVERY
    try:
        if fresh:
            auto_jobs = fs.arm.auto_jobs()
        imports = fs.arm.imports()
        view = _known_view(looks, name, now, before)
        seen = FsSeen(now, imports, view or fs.arm.file_system(), auto_jobs)
        trouble = None
    except AmlfsError as error:
        seen = FsSeen(now, auto_jobs=auto_jobs, trouble=error.message)
        trouble = error

    def put() -> bool:
        _note(looks, name, trouble)
        if seen.view is not None and (before is None or seen.view is not before.view):
            looks.view_looked[name] = now
        # A look at our own transfer is news by its time alone: it may be what is not shown that tells.
        news = looks.transfers or before is None or _told(before) != _told(seen)
        looks.file_systems[name] = seen
        if fresh and not seen.trouble:
            looks.auto_looked[name] = now
        return news

    return put


def _note(looks: Looks, name: str, trouble: AmlfsError | None) -> None:
    """Take how a look at a slot went, for when the next is made; say it in the log, now and then."""
    if trouble is None:
        looks.fs_pause.pop(name, None)
        if times := looks.fs_failed.worked(name):
            log.info("look-works-again", extra={"amlfs_pairs": {"fs": name, "failed": times}})
        return
    asked = trouble.retry_after if isinstance(trouble, TemporaryError) else timedelta(0)
    looks.fs_pause[name] = backoff(looks.fs_failed.times(name), asked, _LONGEST_PAUSE)
    if times := looks.fs_failed.failed(name):
        pairs = {"fs": name, "error": trouble.message, "correlation_id": trouble.correlation_id, "times": times}
        log.warning("look-failed", extra={"amlfs_pairs": pairs})
