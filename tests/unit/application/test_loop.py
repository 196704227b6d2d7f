from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from slurm_amlfs.application import loop as loop_module
from slurm_amlfs.application.looking import Looks
from slurm_amlfs.domain.reconcile import Decision, decide
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.report import Report
from slurm_amlfs.domain.view import HsmState, JobRecord, JobView, LivingJob
from slurm_amlfs.domain.world import Rules, Seen
from slurm_amlfs.errors import InvariantError, TemporaryError
from slurm_amlfs.wire import Answer, Request, RequestKind
from tests.unit.application.loop_site import ALICE, LINES, RULES, Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Make a site, and stop it."""
    made = Site(tmp_path)
    yield made
    made.end()


def test_a_job_from_submit_to_its_end(site: Site) -> None:
    """Everything in its order, by the real parts on the fakes."""
    site.submit()
    site.until(lambda: site.answer("1-1") is Answer.BUSY)
    site.bring_in()
    receipt = site.lustre.receipts[7]
    site.slurm.records[7] = JobView(7, ALICE, "PENDING", bb_state="staged-in")
    site.until(lambda: any("staged in" in text for text in site.slurm.comments.get(7, [])))
    site.slurm.records[7] = JobView(7, ALICE, "RUNNING", bb_state="running")
    site.ask(RequestKind.PRE_RUN)
    site.turn()
    site.lustre.write("/jobs/7/out", 99)
    site.slurm.records[7] = JobView(7, ALICE, "STAGE_OUT", bb_state="staging-out")
    site.ask(RequestKind.POST_RUN)
    site.ask(RequestKind.DATA_OUT, "2-1")
    site.until(lambda: bool(site.arm.archives))
    site.arm.finish_archive()
    for _ in range(40):
        site.turn(1)
    site.slurm.records[7] = JobView(7, ALICE, "COMPLETED")
    site.until(lambda: any("left Slurm" in line for line in site.board.boards[7].timeline))
    site.ask(RequestKind.TEARDOWN)
    for _ in range(10):
        site.turn(1)
    words = [line.split(" ", 1)[1].split(":")[0] for line in site.board.boards[7].timeline]

    assert receipt.uid == ALICE
    assert site.answer("2-1") is Answer.DONE
    assert site.blobs.by_name["jobs/7/out"].size_bytes == 99
    assert site.lustre.states["/jobs/7/out"] & HsmState.RELEASED
    assert site.lustre.receipts == {}
    assert site.arm.jobs == {}
    assert site.inbox.waiting == {}
    assert words == [
        "submitted", "import started", "imported", "restored", "staged in", "started", "ended", "export started",
        "exported", "released", "left Slurm", "closed",
    ]  # fmt: skip
    site.turn(3700)
    site.turn()
    assert site.board.boards == {}


def large(folder: Path) -> Site:
    """Make a site where no more than 50 blobs are listed at a time, of a prefix with 200 in several folders."""
    made = Site(folder, replace(RULES, list_blobs=50, blobs_per_second=1.0))
    for number in range(198):
        made.blobs.put(f"a/{number // 20}/{number % 20:02}", 10)
    return made


def bring_all_in(site: Site) -> set[str]:
    """End imports and restores as they come, until the hook is told that all is there; give what the board said."""
    said = set()
    for _ in range(400):
        site.turn(1)
        said |= {board.message for board in site.board.boards.values()}
        for name in [name for name, job in site.arm.jobs.items() if not job.import_state.over]:
            site.arm.finish(name)
        site.lustre.finish_restores()
        if site.answer("1-1") is Answer.DONE:
            return said
    raise AssertionError(f"the stage-in is not done: {site.board.boards[7].message}")


def test_a_prefix_that_is_not_listed_to_its_end_is_brought_in_whole(tmp_path: Path) -> None:
    """In several imports, each of what was listed; the board said that the rest was estimated, till it was not.

    Fifty were listed, and twelve more met beside folders on the way.
    """
    site = large(tmp_path)
    site.submit()
    said = bring_all_in(site)
    board = site.board.boards[7]
    site.end()

    assert any("more than 62 blobs under /a/; the rest is estimated" in it for it in said)
    assert len([line for line in board.timeline if "counted: more than 62 blobs under /a/" in line]) == 1
    assert (board.files_done, board.files_total, board.message) == (200, 200, "")
    assert {f"/{name}" for name in site.blobs.by_name if name.startswith("a/")} <= set(site.lustre.files)


def test_a_daemon_killed_while_parts_are_listed_goes_on(tmp_path: Path) -> None:
    """What was listed stays so, what was not is listed then, and all is there in the end."""
    site = large(tmp_path)
    site.submit()
    site.until(lambda: "the rest is estimated" in (site.board.boards[7].message if 7 in site.board.boards else ""))
    for _ in range(3):
        site.end()
        site.begin()
        site.turn()
        site.turn()
    bring_all_in(site)
    board = site.board.boards[7]
    site.end()

    assert (board.files_done, board.files_total) == (200, 200)
    assert len([line for line in board.timeline if "counted: more than" in line]) == 1


def test_a_lost_memory_gives_nothing_back_that_a_running_job_needs(site: Site) -> None:
    """However long Slurm does not answer; when it does, the job is known again, and keeps its files."""
    site.submit()
    site.bring_in()
    site.slurm.records[7] = JobView(7, ALICE, "RUNNING", bb_state="running")
    site.slurm.lives[7] = LivingJob(7, ALICE, ALICE, LINES, "RUNNING")
    site.ask(RequestKind.PRE_RUN)
    site.turn()
    site.end()
    for file in site.path.parent.glob("amlfs.db*"):
        file.unlink()
    site.slurm.faults += [TemporaryError("slurmctld is down")] * 99
    site.begin()
    evict = Request(RequestKind.EVICT, 0, fs="amlfs", prefix="/a/", sender_uid=0)
    site.inbox.drop(evict)
    for _ in range(9):
        site.turn(3)
    assert site.slurm.faults
    assert not site.lustre.states["/a/x"] & HsmState.RELEASED
    site.slurm.faults.clear()
    site.until(lambda: 7 in site.board.boards)
    for _ in range(9):
        site.turn(3)

    assert not site.lustre.states["/a/x"] & HsmState.RELEASED
    assert any("adopted" in line for line in site.board.boards[7].timeline)
    assert site.lustre.receipts[7]


def test_a_killed_daemon_goes_on_where_it_was(site: Site) -> None:
    """From the store and the world alone: one import, one answer."""
    site.submit()
    site.until(lambda: bool(site.arm.jobs))
    site.end()
    site.begin()
    site.bring_in()

    assert len([line for line in site.board.boards[7].timeline if "import started" in line]) == 1


def test_with_the_daemon_down_requests_wait(site: Site) -> None:
    """What was dropped meanwhile is heard, in order, when it starts."""
    site.end()
    site.submit()
    site.begin()
    site.turn()

    assert site.answer("1-1") is Answer.BUSY
    assert site.inbox.waiting == {}


def test_a_request_that_waits_for_slurm_is_heard_once_and_kept_meanwhile(site: Site) -> None:
    """The inbox gives it at every turn; it must not pile up, and is done only when it is in the store."""
    site.slurm.faults += [TemporaryError("slurmctld is down")] * 9
    site.slurm.records[7] = JobView(7, ALICE, "PENDING")
    handle = site.ask(RequestKind.DATA_IN, "1-1", uid=-1)
    for _ in range(3):
        site.turn(3)
    assert site.slurm.faults, "it was down all the time"
    site.slurm.faults.clear()
    kept, heard = handle in site.inbox.waiting, len(site.loop._heard)  # noqa: SLF001 - what must not grow
    site.until(lambda: site.answer("1-1") is Answer.BUSY)

    assert (kept, heard) == (True, 1)
    assert site.inbox.waiting == {}


def test_a_pass_that_cannot_be_stored_is_made_again(site: Site) -> None:
    """Nothing is begun and no request forgotten before the records are on disk."""
    site.store.full = True
    site.submit()
    for _ in range(3):
        with pytest.raises(TemporaryError):
            site.turn()
    before = (len(site.inbox.waiting), dict(site.arm.jobs), dict(site.board.boards))
    site.store.full = False
    site.turn()

    assert before == (2, {}, {})
    assert site.answer("1-1") is Answer.BUSY
    assert site.inbox.waiting == {}


def test_a_board_on_a_full_disk_stops_no_import(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staging goes on, and the board follows when there is room."""
    post = site.board.post

    def refuse(_: object) -> None:
        raise TemporaryError("no room")

    monkeypatch.setattr(site.board, "post", refuse)
    site.submit()
    site.until(lambda: bool(site.arm.jobs))
    monkeypatch.setattr(site.board, "post", post)
    site.turn(2)

    assert site.board.boards[7].phase_in == "importing"


@pytest.mark.parametrize("error", [TemporaryError("read-only"), OSError("read-only")])
def test_a_pass_that_fails_after_it_was_stored_is_told_by_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The inbox cannot be cleared just then; afterwards the board is as the records are, its timeline has all once."""
    done = site.inbox.done
    boards: list[Answer | None] = []

    def refuse_once(handle: str) -> None:
        if not boards and "staged in" in {event.word for event in site.store.load()[1]}:
            boards.append(site.answer("1-1"))
            raise error
        done(handle)

    monkeypatch.setattr(site.inbox, "done", refuse_once)
    site.submit()
    site.until(lambda: bool(site.arm.jobs))
    site.arm.finish(next(iter(site.arm.jobs)))
    for _ in range(60):
        site.ask(RequestKind.DATA_IN, "1-1")  # so that every pass has something to clear away
        with suppress(TemporaryError, OSError):
            site.turn(1)
        site.lustre.finish_restores()
        if boards:
            break
    for _ in range(3):
        site.turn(1)

    assert boards == [Answer.BUSY]
    assert site.answer("1-1") is Answer.DONE
    told = [line.split(" ", 1)[1].split(":")[0] for line in site.board.boards[7].timeline]
    assert told == ["submitted", "import started", "imported", "restored", "staged in"]
    assert site.inbox.waiting == {}


def broken_by(job_id: int) -> Callable[..., Decision]:
    """Make a decide that one job's requests break."""

    def decide_or_break(
        records: Records, rules: Rules, seen: object, requests: list[Request], reports: object = ()
    ) -> Decision:
        if any(request.job_id == job_id for request in requests):
            raise InvariantError("cannot be")
        return decide(records, rules, seen, requests, reports)  # type: ignore[arg-type]

    return decide_or_break


def test_a_request_that_breaks_the_decision_stops_nobody_else(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and left in the inbox; all other jobs go on."""
    monkeypatch.setattr(loop_module, "decide", broken_by(8))
    bad = site.ask(RequestKind.SETUP, job_id=8)
    site.submit()
    site.turn()
    site.turn()

    assert site.answer("1-1") is Answer.BUSY
    assert list(site.inbox.waiting) == [bad]
    assert [record.message for record in caplog.records].count("request-stuck") == 1


@pytest.mark.parametrize("shown", [
    {"living": (LivingJob(8, ALICE, ALICE, LINES, "RUNNING"),)},
    {"declared": {8: JobRecord(JobView(8, ALICE, "PENDING"), LINES)}},
], ids=["living", "declared"])  # fmt: skip
def test_a_record_that_breaks_the_decision_stops_nobody_else(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shown: dict[str, Any]
) -> None:
    """It is logged once and left out; all other jobs go on."""

    def decide_or_break(
        records: Records, rules: Rules, seen: Seen, requests: Sequence[Request] = (), reports: Sequence[Report] = ()
    ) -> Decision:
        if 8 in seen.declared or any(it.job_id == 8 for it in seen.living):
            raise InvariantError("cannot be")
        return decide(records, rules, seen, requests, reports)

    look = Looks.seen
    monkeypatch.setattr(Looks, "seen", lambda *more: replace(look(*more), **shown))
    monkeypatch.setattr(loop_module, "decide", decide_or_break)
    site.submit()
    for _ in range(3):
        site.turn()

    assert site.answer("1-1") is Answer.BUSY
    stuck = [record for record in caplog.records if record.message == "record-stuck"]
    assert [record.__dict__["amlfs_pairs"] for record in stuck] == [{"job": 8}]
    assert "request-stuck" not in caplog.text


def test_a_look_that_breaks_stops_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged, and looked again."""
    jobs = site.slurm.jobs

    def break_down(_: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(site.slurm, "jobs", break_down)
    site.submit()
    for _ in range(3):
        site.turn(3)
    monkeypatch.setattr(site.slurm, "jobs", jobs)
    site.slurm.records[7] = replace(site.slurm.records[7], job_state="CANCELLED")
    site.until(lambda: 7 not in site.board.boards)

    assert site.lustre.receipts == {}


def test_a_job_that_slurm_passes_over_is_nudged_now_and_then(site: Site) -> None:
    """Each nudge locks slurmctld's jobs: none in ten seconds after one, and the next by itself."""
    site.submit()
    site.bring_in()
    view = JobView(7, ALICE, "PENDING", "Burst buffer pre_run error", "complete", restarts=1)
    site.slurm.records[7] = view
    site.until(lambda: "pre_run" in site.slurm.comments.get(7, [""])[-1])
    said = len(site.slurm.comments[7])
    for _ in range(90):
        site.turn(0.1)
    early = len(site.slurm.comments[7]) - said
    for _ in range(20):
        site.turn(0.1)

    assert early == 0
    assert len(site.slurm.comments[7]) == said + 1


def test_what_fails_is_not_hammered_at(site: Site) -> None:
    """A thousand turns in ten seconds ask a broken Azure a few times."""
    site.submit()
    site.until(lambda: site.answer("1-1") is Answer.BUSY)
    calls = 0

    def refuse(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise TemporaryError("busy")

    site.arm.create_import = refuse  # type: ignore[assignment,method-assign]
    for _ in range(1000):
        site.turn(0.01)

    assert 1 <= calls <= 6


def test_what_fails_again_and_again_is_logged_ever_less(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The first failure, then each time their number has doubled; and it rests no less than the other side asks."""
    site.submit()
    began: list[datetime] = []

    def refuse(*_: object) -> None:
        began.append(site.now)
        raise TemporaryError("slow down", retry_after=timedelta(seconds=20))

    site.arm.create_import = refuse  # type: ignore[assignment,method-assign]
    for _ in range(300):
        site.turn(2)
    told = [getattr(it, "amlfs_pairs") for it in caplog.records if it.message == "errand-failed"]  # noqa: B009 - it is no field of its type
    gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(began)]

    assert len(began) > 8
    assert [it["times"] for it in told] == [1, 2, 4, 8]
    assert min(gaps) >= 20


def test_it_runs_until_it_is_told_to_stop(site: Site) -> None:
    """The clock's own loop: posts a board, and ends."""
    stop = threading.Event()
    thread = threading.Thread(target=site.loop.run, args=(stop,))
    posted = threading.Event()
    post = site.board.post

    def tell(board: object) -> None:
        post(board)  # type: ignore[arg-type]
        posted.set()

    site.board.post = tell  # type: ignore[method-assign]
    thread.start()
    site.submit()
    seen = posted.wait(20)
    stop.set()
    thread.join(20)

    assert seen
    assert not thread.is_alive()
    assert site.answer("1-1") is Answer.BUSY
