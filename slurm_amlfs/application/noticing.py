"""Keep each job's board and AdminComment as its records are. Only jobs that changed are looked at."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from slurm_amlfs.application.ports import BoardPort
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.bulletin import compose, missing_note, progress
from slurm_amlfs.domain.errand import Comment, key_of
from slurm_amlfs.domain.records import Event, Life, Records
from slurm_amlfs.domain.world import Rules
from slurm_amlfs.errors import AmlfsError
from slurm_amlfs.wire import Board

log = logging.getLogger(__name__)

_POST_AGAIN = timedelta(seconds=1)

COMMENTS = 2
"""Progress comments of all jobs that begin in any `_BUDGET_TIME`, and that are under way: for each, slurmctld locks
its jobs and schedules. What is left says its news later, and only the latest."""
_BUDGET_TIME = timedelta(seconds=1)

_SORT_EVERY = timedelta(seconds=5)
"""How often those are put in order of whom there is news: there can be thousands."""

_NEVER = datetime.min.replace(tzinfo=UTC)

_MOST_EVENTS = 100
"""Lines of a timeline that a board carries."""


class Notices:
    """The boards as they were last posted, and each job's timeline."""

    def __init__(self, board: BoardPort, rules: Rules) -> None:
        """Take the port."""
        self._board = board
        self._rules = rules
        self._posted: dict[int, Board] = {}
        self._timelines: dict[int, list[str]] = {}
        self._changed: set[int] = set()
        self._unposted: set[int] = set()
        self._gone: set[int] = set()
        self._unswept = False
        self._trouble = ""
        self._begun: deque[datetime] = deque()
        self._wished: set[str] = set()
        self._news: set[int] = set()
        self._queue: deque[int] = deque()
        self._queued = _NEVER
        self._said: dict[int, tuple[datetime, str]] = {}
        self.comments_again: datetime | None = None
        """When to come again for comments that are not due yet or that the budget left out, None if there are none."""

    def begin(self, records: Records, events: Iterable[Event]) -> None:
        """Take the timelines from the store."""
        self._tell(events)
        self._unposted.update(records.jobs)

    def sweep(self) -> None:
        """Have boards of forgotten jobs taken away, now that it is known who lives: one may start by its old board."""
        self._unswept = True

    def take(self, before: Records, after: Records, events: Iterable[Event]) -> None:
        """Take what a pass has stored. It is told by the next update, though the pass may fail before that."""
        self._tell(events)
        self._changed |= _changed(before, after) | {event.job_id for event in events}
        gone = set(before.jobs) - set(after.jobs)
        for job_id in gone:
            self._timelines.pop(job_id, None)
            self._posted.pop(job_id, None)
            self._unposted.discard(job_id)
            self._said.pop(job_id, None)
        self._gone |= gone

    def update(self, records: Records, now: datetime) -> datetime | None:
        """Post what changed; return when to come again for what could not be posted or removed, None if all was.

        A board is only a message: a full disk must not stop the loop.
        """
        for job_id in self._changed | self._unposted:
            if job_id in records.jobs:
                self._post(records, job_id, now)
            self._changed.discard(job_id)
        trouble = self._remove(records)
        if trouble not in {"", self._trouble}:
            log.error("board-not-removed", extra={"amlfs_pairs": {"error": trouble}})
        self._trouble = trouble
        return now + _POST_AGAIN if self._unposted or trouble else None

    def _remove(self, records: Records) -> str:
        """Take away boards of forgotten jobs; say what kept one of them, "" if nothing did."""
        trouble = ""
        try:
            if self._unswept:
                self._gone |= set(self._board.posted())
                self._unswept = False
        except AmlfsError as error:
            trouble = error.message
        for job_id in list(self._gone):
            try:
                if job_id not in records.jobs:
                    self._board.remove(job_id)
                self._gone.discard(job_id)
            except AmlfsError as error:
                trouble = error.message
        return trouble

    def comments(
        self,
        records: Records,
        now: datetime,
        running: Collection[str] = frozenset(),
        resting: Collection[str] = frozenset(),
    ) -> list[Comment]:
        """Wish for AdminComments that are out of date and due, within the budget, what was said longest ago first.

        Args:
            records: What is so now.
            now: The time of the pass.
            running: Keys of errands under way.
            resting: Keys of errands that failed and wait, for which nothing of the budget is spent.
        """
        while self._begun and self._begun[0] <= now - _BUDGET_TIME:
            self._begun.popleft()
        self._wished &= set(running)
        self.comments_again = None
        wishes: list[Comment] = []
        if not self._queue or now - self._queued >= _SORT_EVERY:
            due = sorted(self._due(records, now), key=lambda it: self._last(records, it)[0])
            self._queue, self._queued = deque(due), now
        while self._queue:
            if len(self._begun) >= COMMENTS:
                self._come_again(self._begun[0] + _BUDGET_TIME)
                break
            if len(self._wished) >= COMMENTS:
                # The end of one that is under way makes a look at the rest by itself.
                break
            wish = self._wish(records, self._queue.popleft())
            if wish is None or key_of(wish) in running or key_of(wish) in resting:
                continue
            self._begun.append(now)
            self._wished.add(key_of(wish))
            wishes.append(wish)
        if not self._queue and self._news:
            self._come_again(now + _SORT_EVERY)
        return wishes

    def _wish(self, records: Records, job_id: int) -> Comment | None:
        """Make the wish to say how far a job is, if that is news and it still waits."""
        if not self._waits(records, job_id):
            return None
        text = progress(self._posted[job_id]) + missing_note(records.of_job(job_id, Direction.IN))
        if text == self._last(records, job_id)[1]:
            self._news.discard(job_id)
            return None
        return Comment(job_id, text)

    def _waits(self, records: Records, job_id: int) -> bool:
        job = records.jobs.get(job_id)
        board = self._posted.get(job_id)
        waits = job is not None and job.life is Life.PENDING and job.closed is None and not job.announced
        if not waits or board is None or not (board.phase_in or board.phase_out or board.message):
            self._news.discard(job_id)
            return False
        return True

    def said(self, comment: Comment, now: datetime, *, well: bool) -> None:
        """Remember what was said, or that it could not be: neither is worth a pass over all jobs."""
        before = self._said.get(comment.job_id, (_NEVER, ""))[1]
        self._said[comment.job_id] = (now, comment.text if well else before)

    def _last(self, records: Records, job_id: int) -> tuple[datetime, str]:
        """Give when a job was last spoken of, and in what words."""
        job = records.jobs[job_id]
        return max(self._said.get(job_id, (_NEVER, "")), (job.commented or _NEVER, job.comment))

    def _due(self, records: Records, now: datetime) -> Iterable[int]:
        """Name jobs that wait for their start; slurmctld refuses comments on one in STAGE_OUT ("already finished")."""
        for job_id in list(self._news):
            if not self._waits(records, job_id):
                continue
            due = self._last(records, job_id)[0] + self._rules.comment_every if self._spoken(records, job_id) else now
            if now >= due:
                yield job_id

    def _spoken(self, records: Records, job_id: int) -> bool:
        return job_id in self._said or records.jobs[job_id].commented is not None

    def _come_again(self, moment: datetime) -> None:
        self.comments_again = moment if self.comments_again is None else min(self.comments_again, moment)

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            line = f"{int(event.at.timestamp())} {event.word}: {event.detail}".removesuffix(": ")
            self._timelines.setdefault(event.job_id, []).append(line)

    def _post(self, records: Records, job_id: int, now: datetime) -> None:
        timeline = self._timelines.get(job_id, [])[-_MOST_EVENTS:]
        board = compose(records, self._rules, records.jobs[job_id], now, timeline)
        last = self._posted.get(job_id)
        if last is not None and job_id not in self._unposted and replace(last, updated=board.updated) == board:
            return
        self._posted[job_id] = board
        self._news.add(job_id)
        known = job_id in self._unposted
        self._unposted.add(job_id)
        try:
            self._board.post(board)
        except AmlfsError as error:
            if not known:
                log.error("board-not-posted", extra={"amlfs_pairs": {"job": job_id, "error": error.message}})  # noqa: TRY400 - a sentence is enough
        else:
            self._unposted.discard(job_id)


def _changed(before: Records, after: Records) -> set[int]:
    jobs = {job_id for job_id, job in after.jobs.items() if before.jobs.get(job_id) is not job}
    jobs |= {key.job_id for key in before.stages if key not in after.stages}
    return jobs | {key.job_id for key, stage in after.stages.items() if before.stages.get(key) is not stage}
