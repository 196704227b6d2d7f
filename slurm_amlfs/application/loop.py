"""The loop: take what came, look at the world, decide, remember, act; and again when something changes.

Level-triggered: an event only brings a pass forward. Records are stored before any errand of the pass begins and
before a request is forgotten, so a crash between any two lines costs a repetition, which every errand and every
request can bear. The loop's own thread never talks to Azure, Slurm or Lustre: errands and looks run in threads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from slurm_amlfs.application.failures import Failures
from slurm_amlfs.application.looking import (
    Looks,
    Pace,
    look_at_living,
    look_at_queue,
    look_at_slot,
    look_at_slurm,
)
from slurm_amlfs.application.noticing import Notices
from slurm_amlfs.application.performing import FileSystem, Performer
from slurm_amlfs.application.ports import BoardPort, Inbox, PoolsPort, Slurm, TenurePort
from slurm_amlfs.application.running import Running
from slurm_amlfs.application.salvaging import Salvage
from slurm_amlfs.application.spaces import Spaces
from slurm_amlfs.application.tally import Tally
from slurm_amlfs.application.urging import Urge
from slurm_amlfs.domain.errand import EVICTS, Comment, Errand, Mend, TurnGate, key_of
from slurm_amlfs.domain.reconcile import Decision, decide
from slurm_amlfs.domain.records import Event, Records
from slurm_amlfs.domain.report import Report, Trouble
from slurm_amlfs.domain.staging_out import goes_on
from slurm_amlfs.domain.world import Rules, Seen, backoff
from slurm_amlfs.errors import AmlfsError, FencedError, TemporaryError
from slurm_amlfs.wire import Request

log = logging.getLogger(__name__)

_INBOX_EVERY_SECONDS = 0.1
"""How often the inbox is looked at; an empty directory costs some ten microseconds."""

_AGAIN = timedelta(seconds=1)

_LONGEST_REST = timedelta(seconds=30)
_MOST_RESTING = 10_000

_END_SECONDS = 4.0
"""How long an errand under way is waited for at the end: a slice of a walk takes a second and a call of a service."""
_LET_GO_SECONDS = 2.0


class Store(Protocol):
    """The daemon's memory."""

    def load(self) -> tuple[Records, tuple[Event, ...]]:
        """Read everything that is not closed, with its events."""

    def save(self, before: Records, after: Records, events: tuple[Event, ...]) -> None:
        """Write what differs, in one transaction that is on disk when this returns."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything that the loop reaches. `let_go` has calls to file systems end that are under way.

    Without a `tenure`, nobody else can have the state directory.
    """

    file_systems: Mapping[str, FileSystem]
    slurm: Slurm
    inbox: Inbox
    board: BoardPort
    store: Store
    pools: PoolsPort | None = None
    let_go: Callable[[], None] = lambda: None
    tenure: TenurePort | None = None


class Loop:
    """One per state directory."""

    def __init__(  # noqa: PLR0913 - what a site decides
        self,
        outside: Outside,
        rules: Rules,
        pace: Pace,
        *,
        workers: int,
        restore_window: int,
        archive_window: int = 2000,
    ) -> None:
        """Read the store; nothing outside is touched before `run`."""
        self._outside = outside
        self._rules = rules
        self._performer = Performer(
            outside.file_systems, outside.slurm, restore_window, archive_window, check=self._check
        )
        self._looks = Looks(pace, tuple(outside.file_systems), holds=rules.holds)
        self._spaces = Spaces(rules, outside.pools)
        self._notices = Notices(outside.board, rules)
        self._records, events = outside.store.load()
        self._events = events
        self._bell = threading.Event()
        self._running = Running(workers, self._bell)
        self._heard: list[tuple[str, Request]] = []
        self._new: set[int] = set()
        self._stuck: set[str] = set()
        self._salvage = Salvage()
        self._reports: list[Report] = []
        self._resting: dict[str, datetime] = {}
        self._failed = Tally()
        self._urge = Urge()
        self._comment_again = False

    def run(self, stop: threading.Event) -> bool:
        """Go round until told to stop; errands under way are finished, not begun. Say whether all have ended.

        Raises:
            FencedError: another daemon has taken over; errands under way are broken off.
        """
        self.start()
        failures = Failures()
        while not stop.is_set():
            try:
                self.turn(datetime.now(UTC))
                if failures.worked():
                    log.info("passes-again", extra={"amlfs_pairs": {}})
            except FencedError:
                self._outside.let_go()
                self._running.close(_LET_GO_SECONDS)
                raise
            except AmlfsError as error:
                if failures.failed(error.message):
                    log.error("pass-failed", extra={"amlfs_pairs": {"error": error.message}})  # noqa: TRY400 - a sentence is enough
                stop.wait(failures.pause_seconds)
            except Exception:
                # A fault of ours: what is not decided, or decided and not told, only waits.
                log.exception("pass-broke")
                stop.wait(1)
            rests = self._urge.rests(datetime.now(UTC)).total_seconds()
            self._bell.wait(min(rests, _INBOX_EVERY_SECONDS) if rests > 0 else _INBOX_EVERY_SECONDS)
            self._bell.clear()
        return self.close()

    def start(self) -> None:
        """Take the timelines up again."""
        self._notices.begin(self._records, self._events)

    def close(self) -> bool:
        """Finish the errands under way, and begin no more; say whether all have ended.

        What hangs is not waited for: as after a crash, it is done again from the start.
        """
        if self._running.close(_END_SECONDS):
            return True
        self._outside.let_go()
        return self._running.close(_LET_GO_SECONDS)

    def turn(self, now: datetime) -> None:
        """Take what came; make a pass if there is a reason; look where it is time.

        Raises:
            FencedError: another daemon has taken over.
            AmlfsError: the pass failed. Nothing of it was kept, or all of it and what it told: the next turn goes on.
        """
        if self._outside.tenure is not None:
            self._outside.tenure.went_on()
        self._check()
        self._collect()
        # The inbox gives again what is not done, so what still waits to be heard is in there as well.
        known = {handle for handle, _ in self._heard} | self._stuck
        new = [(handle, request) for handle, request in self._outside.inbox.take() if handle not in known]
        self._heard += new
        self._new |= {request.job_id for _, request in new if request.job_id}
        if self._rules.holds:
            # The end of a run, of which a look that is older than its note would tell nothing.
            self._looks.doubt(frozenset(self._new))
        if new:
            self._urge.decides()
        if self._urge.due(now):
            with self._urge.passing(now):
                self._pass(now)
        elif self._comment_again or ((again := self._notices.comments_again) is not None and now >= again):
            self._comment(now)
        self._look(now)

    def _check(self) -> None:
        """See that this daemon may act, right before it does."""
        if self._outside.tenure is not None:
            self._outside.tenure.check()

    def _collect(self) -> None:
        for key, future in self._running.collect():
            try:
                # What brought no news asks for no pass: thousands of waiting jobs cost nothing while nothing changes.
                if future.result()():
                    self._urge.decides()
            except Exception:
                self._urge.decides()
                # A fault of ours in a look; whatever it was to tell is looked for again.
                log.exception("look-broke", extra={"amlfs_pairs": {"look": key}})

    def _pass(self, now: datetime) -> None:
        before = self._records
        spaces = self._spaces
        decision = self._decide(self._looks.seen(now, self._running.futures, spaces.known, spaces.troubles))
        self._outside.store.save(before, decision.records, decision.events)
        self._records = decision.records
        self._notices.take(before, decision.records, decision.events)
        for event in (*decision.events, *decision.remarks):
            pairs = {"job": event.job_id, "detail": event.detail} if event.job_id else {"detail": event.detail}
            log.info(event.word.replace(" ", "-").replace("_", "-"), extra={"amlfs_pairs": pairs})
        self._rest(self._reports, now)
        self._reports, heard = [], self._heard
        if decision.wake is not None:
            self._urge.wake_at(decision.wake)
        unheard = {id(request) for request in decision.unheard}
        self._heard = [(handle, request) for handle, request in heard if id(request) in unheard]
        for handle, request in heard:
            if id(request) not in unheard:
                self._outside.inbox.done(handle)
        self._looks.doubt(frozenset(self._new))
        self._new.clear()
        if self._looks.adopted():
            self._notices.sweep()
        self._spaces.plan(self._records)
        self._looks.plan(self._records, frozenset(request.job_id for _, request in self._heard))
        self._performer.keep(
            {key for key, it in self._records.leases.items() if it.counted is None or it.unlisted},
            {key for key, it in self._records.leases.items() if it.landed and it.proved is None},
            {key for key, it in self._records.stages.items() if goes_on(it)},
        )
        # An eviction is not wished again before it has told something.
        wished = {key_of(it) for it in decision.errands} | {it for it in self._running.futures if it.startswith(EVICTS)}
        if self._running.keep_walks(wished):
            # Somebody may have waited for the end of what will not begin any more.
            self._urge.wake_at(now + _AGAIN)
        for errand in decision.errands:
            self._begin(errand, now)
        with suppress(TemporaryError):  # this pass is on disk, and may be told
            self._check()
        if again := self._notices.update(decision.records, now):
            self._urge.wake_at(again)
        self._comment(now)

    def _decide(self, seen: Seen) -> Decision:
        """Decide; should what came break that, leave out what does: one job must not stop all others."""
        seen = self._salvage.sound(seen)
        try:
            return decide(self._records, self._rules, seen, [it for _, it in self._heard], self._reports)
        except Exception:
            log.exception("decision-broke", extra={"amlfs_pairs": {"reports": len(self._reports)}})
            # The errands of lost reports are wanted again.
            self._reports = []
        self._salvage.search(seen, partial(decide, self._records, self._rules))
        seen = self._salvage.sound(seen)
        for handle, request in list(self._heard):
            try:
                decide(self._records, self._rules, seen, [request])
            except Exception:
                pairs = {"job": request.job_id, "kind": request.kind.value, "file": handle}
                log.exception("request-stuck", extra={"amlfs_pairs": pairs})
                self._heard.remove((handle, request))
                # It stays in the inbox, for the next start or release of the daemon.
                self._stuck.add(handle)
        return decide(self._records, self._rules, seen, [it for _, it in self._heard])

    def _begin(self, errand: Errand, now: datetime) -> None:
        until = self._resting.get(key_of(errand), now)
        if now < until:
            self._urge.wake_at(until)
            return

        def work() -> Callable[[], bool]:
            report = self._performer.perform(errand)
            return lambda: self._report(report)

        self._running.begin(errand, work)

    def _comment(self, now: datetime) -> None:
        """Begin the comments that are due; they need no pass."""
        self._comment_again = False
        resting = {key for key, until in self._resting.items() if now < until}
        for comment in self._notices.comments(self._records, now, self._running.futures.keys(), resting):
            self._begin(comment, now)

    def _report(self, report: Report) -> bool:
        self._say(report)
        if isinstance(report.errand, Comment) and not report.errand.is_duty:
            now = datetime.now(UTC)
            self._notices.said(report.errand, now, well=not isinstance(report.result, Trouble))
            self._rest([report], now)
            self._comment_again = True
            return False
        if isinstance(report.errand, (TurnGate, Mend)):
            # A look that is under way may be older than what was done.
            self._new.add(report.errand.job_id)
        self._spaces.hear(report)
        self._reports.append(report)
        if not getattr(report.result, "settled", True):
            self._urge.comes_forward()
            return False
        return True

    def _say(self, report: Report) -> None:
        """Log a failure, and again each time that their number in a row has doubled."""
        key = key_of(report.errand)
        if not isinstance(report.result, Trouble):
            self._failed.worked(key)
        elif times := self._failed.failed(key):
            trouble = report.result
            pairs = {
                "errand": key,
                "fault": trouble.fault.value,
                "error": trouble.message,
                "correlation_id": trouble.correlation_id,
                "times": times,
            }
            log.warning("errand-failed", extra={"amlfs_pairs": pairs})

    def _rest(self, reports: list[Report], now: datetime) -> None:
        """Let what failed rest a little longer each time, so that no wish of every pass becomes a storm."""
        for report in reports:
            key = key_of(report.errand)
            self._resting.pop(key, None)
            if isinstance(report.result, Trouble):
                times = max(self._failed.times(key) - 1, 0)
                self._resting[key] = now + backoff(times, report.result.retry_after, _LONGEST_REST)
        if len(self._resting) > _MOST_RESTING:
            self._resting = {key: until for key, until in self._resting.items() if now < until}

    def _look(self, now: datetime) -> None:
        looks, slurm = self._looks, self._outside.slurm
        if looks.living_due(now) and "look living" not in self._running:
            looks.living_looked = now
            self._running.look("look living", lambda: look_at_living(looks, slurm, self._outside.board.asked))
        if looks.slurm_due(now) and "look slurm" not in self._running:
            job_ids = looks.begin_slurm(now)
            self._running.look("look slurm", lambda: look_at_slurm(looks, slurm, job_ids))
        self._spaces.tell(self._records, looks.foreseen)
        for name in self._spaces.due(now):
            if f"look space {name}" not in self._running:
                fs = self._outside.file_systems[name]
                self._running.look(f"look space {name}", self._spaces.begin(name, fs, now), name)
        if looks.queue_due(now, self._rules.ahead) and "look queue" not in self._running:
            looks.queue_looked = now
            self._running.look("look queue", lambda: look_at_queue(looks, slurm, self._rules))
        for name in looks.slots_due(now):
            if f"look {name}" not in self._running:
                looks.fs_looked[name] = now
                fs = self._outside.file_systems[name]
                self._running.look(f"look {name}", partial(look_at_slot, looks, name, fs, now))
