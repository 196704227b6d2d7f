from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from slurm_amlfs.application.noticing import Notices
from slurm_amlfs.domain.ask import Ask, Direction
from slurm_amlfs.domain.errand import key_of
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import Event, Job, Life, Records, Stage, StageKey
from slurm_amlfs.domain.world import FsRules, Rules
from slurm_amlfs.errors import TemporaryError
from slurm_amlfs.wire import Board
from tests.fakes.board import FakeBoard

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = Rules({"amlfs": FsRules("amlfs", "/lustre", Namespace.FLAT)}, (Grant("*", None, ("/",)),), epoch="e1")
KEY = StageKey(7, Direction.IN, 0)
JOB = Job(7, 61001, 61001, ("stage_in prefix=/a/",), NOW)
STAGE = Stage(KEY, Ask(Direction.IN, ("/a/",)), "amlfs", Phase.WAITING, NOW, message="waiting for the slot")
RECORDS = Records({7: JOB}, {KEY: STAGE})
EMPTY = Records()


class FullDisk(FakeBoard):
    """A board folder on a disk that is full, until it is not."""

    full = True

    def post(self, board: Board) -> None:
        """Refuse."""
        if self.full:
            raise TemporaryError("no room")
        super().post(board)


def with_stage(**changes: object) -> Records:
    """Make the records with another stage."""
    return Records({7: JOB}, {KEY: replace(STAGE, **changes)})  # type: ignore[arg-type]


def with_job(**changes: object) -> Records:
    """Make the records with another job."""
    return Records({7: replace(JOB, **changes)}, {KEY: STAGE})  # type: ignore[arg-type]


def update(
    notices: Notices, before: Records, after: Records, events: tuple[Event, ...], now: datetime
) -> datetime | None:
    """Have the boards follow a pass."""
    notices.take(before, after, events)
    return notices.update(after, now)


def texts(notices: Notices, records: Records, after: float = 0) -> list[str]:
    """List the comments that are wished for."""
    return [it.text for it in notices.comments(records, NOW + timedelta(seconds=after))]


def test_boards_follow_the_records() -> None:
    """Posted when a job comes, again when it changes, removed when it is forgotten."""
    board = FakeBoard()
    notices = Notices(board, RULES)
    events = (Event(7, NOW, "submitted", "stage_in prefix=/a/"),)
    update(notices, EMPTY, RECORDS, events, NOW)
    first = board.boards[7]
    update(notices, RECORDS, RECORDS, (), NOW + timedelta(seconds=9))
    posts = board.posts
    later = with_stage(message="importing")
    update(notices, RECORDS, later, (), NOW)
    second = board.boards[7]
    update(notices, later, EMPTY, (), NOW)

    assert first.timeline == (f"{int(NOW.timestamp())} submitted: stage_in prefix=/a/",)
    assert posts == 1
    assert (first.message, second.message) == ("waiting for the slot", "importing")
    assert board.boards == {}


def test_a_stage_that_is_gone_changes_the_board() -> None:
    """A job whose lines are refused at its second ask has no stages any more."""
    board = FakeBoard()
    notices = Notices(board, RULES)
    update(notices, EMPTY, RECORDS, (), NOW)
    update(notices, RECORDS, Records({7: JOB}), (), NOW)

    assert board.boards[7].phase_in == ""


def test_after_a_start_every_board_is_posted_anew() -> None:
    """With the timeline from the store; boards of jobs that nobody remembers go when it is known who lives."""
    board = FakeBoard()
    board.post(Board(8, 1, "old"))
    board.post(Board(7, 1, "old"))
    notices = Notices(board, RULES)
    notices.begin(RECORDS, (Event(7, NOW, "submitted", ""),))
    kept = board.posted()
    notices.sweep()
    update(notices, RECORDS, RECORDS, (), NOW)
    gone = board.posted()

    assert (kept, gone) == ((7, 8), (7,))
    assert board.boards[7].epoch == "e1"
    assert board.boards[7].timeline == (f"{int(NOW.timestamp())} submitted",)


def test_a_board_that_cannot_be_posted_is_posted_later() -> None:
    """A full disk stops nothing; the loop is told when to come again, until it worked."""
    board = FullDisk()
    notices = Notices(board, RULES)
    again = update(notices, EMPTY, RECORDS, (), NOW)
    board.full = False
    done = update(notices, RECORDS, RECORDS, (), NOW)

    assert again == NOW + timedelta(seconds=1)
    assert done is None
    assert board.boards[7].message == "waiting for the slot"


def test_what_a_pass_could_not_tell_the_next_one_tells() -> None:
    """Its records were stored, and it failed before it told: neither the change nor its event is lost or doubled."""
    board = FakeBoard()
    notices = Notices(board, RULES)
    update(notices, EMPTY, RECORDS, (), NOW)
    later = with_stage(message="importing")
    notices.take(RECORDS, later, (Event(7, NOW, "import started", ""),))
    update(notices, later, later, (), NOW)
    posts = board.posts
    update(notices, later, later, (), NOW)

    assert board.boards[7].message == "importing"
    assert board.boards[7].timeline == (f"{int(NOW.timestamp())} import started",)
    assert (posts, board.posts) == (2, 2)


def test_a_board_that_breaks_once_is_posted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised: all boards that were to be posted are."""
    board = FakeBoard()
    notices = Notices(board, RULES)
    monkeypatch.setattr(board, "post", fails(OSError("no such device")))
    with pytest.raises(OSError, match="no such device"):
        update(notices, EMPTY, many(3), (), NOW)
    monkeypatch.undo()
    notices.update(many(3), NOW)

    assert sorted(board.boards) == [1, 2, 3]


@pytest.mark.parametrize("error", [TemporaryError("read-only"), OSError("read-only")])
@pytest.mark.parametrize("method", ["remove", "posted"])
def test_a_board_that_cannot_be_removed_is_removed_later(
    monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    """Of a job that is forgotten now, or was before the start; what lives is told meanwhile, and what is back stays."""
    board = FakeBoard()
    board.post(Board(8, 1, "old"))
    board.post(Board(9, 1, "old"))
    notices = Notices(board, RULES)
    update(notices, EMPTY, many(3), (), NOW)
    monkeypatch.setattr(board, method, fails(error))
    notices.sweep()
    fewer = Records({1: many(3).jobs[1]}, {})
    with nullcontext() if isinstance(error, TemporaryError) else pytest.raises(OSError, match="read-only"):
        assert update(notices, many(3), fewer, (), NOW) == NOW + timedelta(seconds=1)
    told = board.boards[1].phase_in
    monkeypatch.undo()
    again = Records({1: fewer.jobs[1], 9: replace(JOB, job_id=9)}, {})
    done = update(notices, fewer, again, (), NOW)

    assert told == ""
    assert done is None
    assert sorted(board.boards) == [1, 9]
    assert board.boards[9].epoch == "e1"


def fails(error: Exception) -> Callable[..., None]:
    """Make a method that fails."""

    def method(*_: object) -> None:
        raise error

    return method


def test_comments_are_wished_for_at_most_every_ten_seconds() -> None:
    """And only with news."""
    notices = Notices(FakeBoard(), RULES)
    update(notices, EMPTY, RECORDS, (), NOW)
    fresh = texts(notices, RECORDS)
    [text] = fresh
    said = with_job(commented=NOW, comment="amlfs: declared")

    assert text == "amlfs: waiting; waiting for the slot"
    assert (texts(notices, said, 9), texts(notices, said, 10)) == ([], [text])
    assert texts(notices, with_job(commented=NOW, comment=text), 60) == []


def many(count: int) -> Records:
    """Make waiting jobs: the lower its id the longer ago was a job's comment, and the last one never had any."""
    jobs = [replace(JOB, job_id=it, commented=NOW - timedelta(seconds=99 - it)) for it in range(1, count)]
    jobs.append(replace(JOB, job_id=count))
    stages = [replace(STAGE, key=KEY._replace(job_id=job.job_id)) for job in jobs]
    return Records({job.job_id: job for job in jobs}, {stage.key: stage for stage in stages})


def test_the_whole_cluster_has_two_comments_a_second() -> None:
    """However many jobs there are, slurmctld locks its jobs twice a second at most; who waited longest is first."""
    records = many(5)
    notices = Notices(FakeBoard(), RULES)
    update(notices, EMPTY, records, (), NOW)
    first = [it.job_id for it in notices.comments(records, NOW)]
    again = notices.comments_again
    none = list(notices.comments(records, NOW + timedelta(seconds=0.9)))
    said = {**records.jobs, **{it: replace(records.jobs[it], commented=NOW) for it in first}}
    second = [it.job_id for it in notices.comments(replace(records, jobs=said), NOW + timedelta(seconds=1))]

    assert (first, none, second) == ([5, 1], [], [2, 3])
    assert again == NOW + timedelta(seconds=1)


def test_comments_that_hang_or_fail_do_not_use_up_the_budget() -> None:
    """Two at once; one that rests lets the next one through."""
    records = many(5)
    notices = Notices(FakeBoard(), RULES)
    update(notices, EMPTY, records, (), NOW)
    begun = {key_of(it) for it in notices.comments(records, NOW, (), {"comment 5"})}
    later = NOW + timedelta(seconds=30)

    assert begun == {"comment 1", "comment 2"}
    assert list(notices.comments(records, later, begun)) == []
    assert [key_of(it) for it in notices.comments(records, later, {"comment 1"})] == ["comment 5"]


def test_there_is_nothing_to_say_of_a_job_that_runs_or_is_gone() -> None:
    """Announced, running, gone, closed: the comment stays what it was."""
    notices = Notices(FakeBoard(), RULES)
    update(notices, EMPTY, RECORDS, (), NOW)
    quiet: list[dict[str, object]] = [
        {"announced": True},
        {"life": Life.RUNNING},
        {"life": Life.GONE},
        {"closed": NOW},
        {"life": Life.ENDED},
    ]

    assert [texts(notices, with_job(**changes)) for changes in quiet] == [[]] * 5


def test_a_job_that_exports_keeps_the_comment_of_its_start() -> None:
    """Slurmctld refuses comments on a job in STAGE_OUT, so none is wished for; the board tells."""
    key = StageKey(7, Direction.OUT, 0)
    out = replace(STAGE, key=key, ask=Ask(Direction.OUT, ("/jobs/7/",)), phase=Phase.EXPORTING, message="")
    brought = replace(STAGE, phase=Phase.RUNNING, missing_count=2)
    ended = replace(JOB, life=Life.ENDED, token_out="2-1")  # noqa: S106 - an ask's name, no secret
    records = Records({7: ended}, {KEY: brought, key: out})
    notices = Notices(FakeBoard(), RULES)
    update(notices, EMPTY, records, (), NOW)

    assert texts(notices, records) == []


def test_a_long_timeline_is_cut() -> None:
    """A board stays small; the store has all of it."""
    board = FakeBoard()
    notices = Notices(board, RULES)
    events = tuple(Event(7, NOW, f"word{number}", "") for number in range(150))
    update(notices, EMPTY, RECORDS, events, NOW)

    assert len(board.boards[7].timeline) == 100
    assert board.boards[7].timeline[-1].endswith("word149")
