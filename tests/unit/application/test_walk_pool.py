from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait

import pytest

from slurm_amlfs.application.walk_pool import WalkPool
from slurm_amlfs.domain.urgency import Rank

AHEAD, STAGED = Rank(foreseen=True), Rank()


class Busy:
    """A pool of two threads, and work that goes on until it is let go."""

    def __init__(self) -> None:
        self.pool: WalkPool[str] = WalkPool(2)
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.done: list[str] = []

    def hold(self, name: str) -> Callable[[], str]:
        """Make work that waits at the gate."""

        def work() -> str:
            self.begun.release()
            assert self.gate.wait(60)
            self.done.append(name)
            return name

        return work

    def until_begun(self, number: int) -> None:
        """Wait until so many more have begun."""
        for _ in range(number):
            assert self.begun.acquire(timeout=20)


@pytest.fixture
def busy() -> Iterator[Busy]:
    """Make a pool, and end it."""
    made = Busy()
    yield made
    made.gate.set()
    made.pool.shutdown()


def test_a_thread_is_left_free_for_what_is_urgent(busy: Busy) -> None:
    """A hundred that are only foreseen have one of two threads, so a staged one begins at once."""
    for number in range(100):
        busy.pool.put(f"foreseen {number}", AHEAD, busy.hold("foreseen"))
    busy.until_begun(1)
    future = busy.pool.put("staged", STAGED, lambda: "staged")

    assert future.result(timeout=20) == "staged"
    assert len(busy.pool.waiting()) == 99


def test_all_that_is_put_is_done_in_the_order_of_its_urgency(busy: Busy) -> None:
    """Though both threads were taken when it came; nothing is left when the work is over."""
    held = [busy.pool.put(f"held {number}", STAGED, busy.hold("held")) for number in range(2)]
    busy.until_begun(2)
    order: list[str] = []
    futures = [
        busy.pool.put(name, rank, lambda name=name: order.append(name) or name)  # type: ignore[misc, func-returns-value]
        for name, rank in (("foreseen", AHEAD), ("low", Rank(priority=1)), ("high", Rank(priority=2)))
    ]
    busy.gate.set()
    wait([*held, *futures], timeout=20)

    assert set(order) == {"foreseen", "low", "high"}
    assert order[0] != "foreseen"
    assert busy.pool.waiting() == []


def test_what_waits_is_done_as_it_was_wished_last(busy: Busy) -> None:
    """What has begun is not changed any more, nor dropped."""
    begun = [busy.pool.put(f"held {number}", STAGED, busy.hold("first")) for number in range(2)]
    busy.until_begun(2)
    later = busy.pool.put("later", STAGED, lambda: "first")
    gone = busy.pool.put("gone", STAGED, lambda: "first")
    for key in ("later", "held 0"):
        busy.pool.change(key, STAGED, lambda: "second")
    dropped = busy.pool.drop({"gone", "held 1", "unknown"})
    busy.gate.set()

    assert [it.result(timeout=20) for it in (*begun, later)] == ["first", "first", "second"]
    assert dropped == {"gone"}
    assert gone.cancelled()


def test_one_that_turns_urgent_while_it_waits_goes_at_once(busy: Busy) -> None:
    """Its job is staged by now: the thread that is kept for such is free."""
    busy.pool.put("held", AHEAD, busy.hold("held"))
    busy.until_begun(1)
    future = busy.pool.put("later", AHEAD, lambda: "later")
    waited = busy.pool.waiting()
    busy.pool.change("later", STAGED, lambda: "now")

    assert waited == ["later"]
    assert future.result(timeout=20) == "now"


def test_what_breaks_is_told_and_its_thread_goes_on(busy: Busy) -> None:
    """Both kinds give their threads back."""
    busy.gate.set()
    for rank in (AHEAD, STAGED) * 5:
        with pytest.raises(ZeroDivisionError):
            busy.pool.put("breaks", rank, lambda: str(1 // 0)).result(timeout=20)

    assert busy.pool.put("ahead", AHEAD, lambda: "well").result(timeout=20) == "well"


def test_shutdown_finishes_what_has_begun_and_begins_nothing_more(busy: Busy) -> None:
    """What waited is cancelled."""
    begun = [busy.pool.put(f"held {number}", STAGED, busy.hold("held")) for number in range(2)]
    busy.until_begun(2)
    waiting = busy.pool.put("waiting", STAGED, busy.hold("waiting"))
    closing = threading.Thread(target=busy.pool.shutdown)
    closing.start()
    assert wait([waiting], timeout=20).done == {waiting}
    busy.gate.set()
    closing.join(30)

    assert [it.result(timeout=0) for it in begun] == ["held", "held"]
    assert waiting.cancelled()
    assert busy.done == ["held", "held"]
