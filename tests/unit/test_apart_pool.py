from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.watch import until
from slurm_amlfs.adapters.apart import Apart
from slurm_amlfs.adapters.apart_pool import ApartPool
from slurm_amlfs.errors import TemporaryError
from tests.fakes import apart_process

ARGV = [sys.executable, "-m", apart_process.__name__]
SECONDS = 1.5
"""Of silence: enough for a process that has started to answer, on a busy machine too."""
LONG = 60.0

MakePool = Callable[..., ApartPool]


def start_serving(argv: Sequence[str]) -> Apart:
    """Start a process and wait until it serves, which may take longer than one may be silent."""
    apart = Apart(argv)
    apart.ask("well", (), LONG)
    return apart


class Unkillable(Apart):
    """A process that waits in the kernel: to kill it does nothing until it is let go."""

    let_go = threading.Event()

    def kill(self) -> None:
        """Kill it if it is let go."""
        if self.let_go.is_set():
            super().kill()


@pytest.fixture
def make_pool() -> Iterator[MakePool]:
    pools: list[ApartPool] = []

    def make(
        most: int = 2, seconds: float = SECONDS, start: Callable[[Sequence[str]], Apart] = start_serving
    ) -> ApartPool:
        pools.append(ApartPool("lustre", ARGV, seconds, most, start))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def fails(call: Future[object]) -> str:
    """Wait for the error of a call."""
    error = call.exception(LONG)
    assert isinstance(error, TemporaryError)
    return error.message


def test_calls_at_once_and_no_more_processes_than_may_be(make_pool: MakePool, threads: ThreadPoolExecutor) -> None:
    """Many callers share a few processes, and each gets its own answer."""
    pool = make_pool()
    calls = [threads.submit(pool.call, "long", 1, 0.01, number) for number in range(8)]
    answers = [call.result(LONG) for call in calls]
    assert [answer[2] for _, answer in answers] == list(range(8))
    assert len({apart.pid for apart, _ in answers}) <= 2


def test_what_lives_may_take_long(make_pool: MakePool) -> None:
    """A call that shows signs of life may take longer than the bound, which is for silence."""
    assert make_pool().call("long", 20, 0.1)[1] == [20, 0.1, []]


def test_a_call_goes_to_the_process_that_began_it(make_pool: MakePool, threads: ThreadPoolExecutor) -> None:
    """What was begun by one process is gone on with there, though others are free."""
    pool = make_pool()
    both = [threads.submit(pool.call, "long", 1, 0.3) for _ in range(2)]
    for apart in [call.result(LONG)[0] for call in both]:
        assert pool.call("more", on=apart)[0] is apart


def test_a_process_that_dies(make_pool: MakePool) -> None:
    """Its call is told so, what it had begun is told so too, and the next call has a new one."""
    pool = make_pool(most=1)
    apart, _ = pool.call("well")
    with pytest.raises(TemporaryError, match="the process that reaches the file system lustre ended; it is started"):
        pool.call("die")
    with pytest.raises(TemporaryError, match="ended"):
        pool.call("more", on=apart)
    assert pool.call("well")[0] is not apart


def test_a_process_that_died_unseen(make_pool: MakePool) -> None:
    """Who comes next is not burdened with it."""
    pool = make_pool(most=1)
    apart, _ = pool.call("well")
    os.kill(apart.pid, 9)
    apart.reaped(LONG)
    assert pool.call("well")[0].pid != apart.pid


def test_silence_is_told_with_its_time_and_tried_by_one(
    make_pool: MakePool, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """A call without a sign of life costs its process; until one is answered, one tries and the others are told."""
    pool = make_pool(most=2)
    said = fails(threads.submit(pool.call, "hang"))
    assert said.startswith("the file system lustre does not answer since 2")
    answer = tmp_path / "answer"
    trying = threads.submit(pool.call, "wait", str(answer))
    until(lambda: pool.busy, LONG, "one tries")
    for _ in range(2):
        assert fails(threads.submit(pool.call, "well")) == said
    answer.touch()
    trying.result(LONG)
    both = [threads.submit(pool.call, "well") for _ in range(2)]
    assert [call.result(LONG)[1] for call in both] == [[[]], [[]]]


def test_a_process_that_does_not_listen(make_pool: MakePool) -> None:
    """More than fits into the channel is asked of one that hangs at its start: that is bounded as well."""
    pool = make_pool(most=1, seconds=1.0, start=lambda _: Apart(["/bin/sh", "-c", "exec sleep 1000"]))
    with pytest.raises(TemporaryError, match="does not answer since"):
        pool.call("well", "x" * 10_000_000)


def test_a_silent_process_is_killed(make_pool: MakePool) -> None:
    """It does not stay."""
    pool = make_pool(most=1)
    apart, _ = pool.call("well")
    with pytest.raises(TemporaryError):
        pool.call("hang", on=apart)
    assert apart.over


def test_processes_that_cannot_be_killed(make_pool: MakePool) -> None:
    """No more of them are left than there may be processes; then nobody tries until one has gone."""
    Unkillable.let_go.clear()
    started: list[Apart] = []

    def start(argv: Sequence[str]) -> Apart:
        started.append(Unkillable(argv))
        return started[-1]

    pool = make_pool(most=2, seconds=0.5, start=start)
    try:
        for _ in range(5):
            with pytest.raises(TemporaryError, match="does not answer since"):
                pool.call("hang")
        assert len(started) == 2
    finally:
        Unkillable.let_go.set()
        for apart in started:
            apart.kill()
    until(lambda: all(it.over for it in started), LONG, "they go")
    with suppress(TemporaryError):
        # On a slow machine a new process may need longer than half a second to begin.
        pool.call("well")
    assert len(started) == 3


def test_close_ends_calls_under_way(make_pool: MakePool, threads: ThreadPoolExecutor) -> None:
    """The daemon need not wait for a mount that hangs; and nothing is begun after that."""
    pool = make_pool(most=2, seconds=LONG * 10)
    apart, _ = pool.call("well")
    hung = [threads.submit(pool.call, "hang") for _ in range(2)]
    waiting = threads.submit(pool.call, "well")
    until(lambda: pool.busy == 2, LONG, "both hang")
    pool.close()
    assert {fails(call) for call in hung} == {
        "the process that reaches the file system lustre ended; it is started again"
    }
    assert "the daemon ends" in fails(waiting)
    assert apart.reaped(LONG)


def test_no_secret_is_inherited(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the daemon's environment holds for Azure is not passed on."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "x")
    apart, _ = make_pool().call("well")
    with open(f"/proc/{apart.pid}/environ", "rb") as file:  # noqa: PTH123 - one file
        assert b"AZURE" not in file.read()
