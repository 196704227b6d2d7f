from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from slurm_amlfs.application.walk_queue import WalkQueue
from slurm_amlfs.domain.urgency import Rank
from tests.examples import examples

THREADS = 4
MOST_FORESEEN = 3
RANKS = st.builds(Rank, st.booleans(), st.integers(0, 3))


def taken(queue: WalkQueue[object]) -> str:
    """Take the next, and give its thread back; say its key."""
    found = queue.take()
    assert found is not None
    key, foreseen, _ = found
    if foreseen:
        queue.end()
    return key


def test_an_urgent_walk_overtakes_thousands_that_are_only_foreseen() -> None:
    """It goes next, however high their priorities."""
    queue: WalkQueue[object] = WalkQueue(8)
    for number in range(5000):
        queue.put(f"foreseen {number}", Rank(foreseen=True, priority=9000), None)
    queue.put("staged", Rank(priority=1), None)

    assert taken(queue) == "staged"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_the_higher_priority_goes_first_and_among_equals_who_came_first(priorities: list[int]) -> None:
    """As long as the line is shorter than what the oldest waits for."""
    queue: WalkQueue[object] = WalkQueue(1)
    for number, priority in enumerate(priorities):
        queue.put(str(number), Rank(priority=priority), None)

    expected = sorted(range(len(priorities)), key=lambda it: (-priorities[it], it))
    assert [taken(queue) for _ in priorities] == [str(it) for it in expected]


@given(st.integers(1, 60), st.booleans())
def test_nobody_waits_for_ever(others: int, foreseen: bool) -> None:  # noqa: FBT001 - drawn
    """More urgent ones of its kind and of jobs come for each turn; who waits longest goes, also if only foreseen."""
    queue: WalkQueue[object] = WalkQueue(1)
    for number in range(others):
        queue.put(f"before {number}", Rank(foreseen, 1), None)
    queue.put("waits", Rank(foreseen, 0), None)
    turns = 0
    while "waits" in queue:
        turns += 1
        assert turns <= 16 * (others + 1)
        queue.put(f"urgent {turns}", Rank(priority=9), None)
        queue.put(f"of its kind {turns}", Rank(foreseen, 9), None)
        taken(queue)


@examples(50)
@given(st.integers(1, 9), st.integers(0, 20), st.integers(0, 20))
def test_what_is_only_foreseen_leaves_threads_free(threads: int, staged: int, foreseen: int) -> None:
    """It has three quarters of them, or the only one; what jobs wait for may have all."""
    queue: WalkQueue[object] = WalkQueue(threads)
    for number in range(foreseen):
        queue.put(f"foreseen {number}", Rank(foreseen=True), None)
    first = [found for _ in range(threads) if (found := queue.take()) is not None]
    for number in range(staged):
        queue.put(f"staged {number}", Rank(), None)
    more = [found for _ in range(threads - len(first)) if (found := queue.take()) is not None]

    most = [1, 1, 2, 3, 4, 5, 6, 6, 7]
    assert len(first) == min(foreseen, most[threads - 1])
    assert len(more) == min(staged, threads - len(first))


class Model(RuleBasedStateMachine):
    """The queue beside a plain dictionary of what waits."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: WalkQueue[int] = WalkQueue(THREADS)
        self.waits: dict[str, tuple[Rank, int]] = {}
        self.foreseen = 0
        self.number = 0

    @rule(key=st.sampled_from("abcdefgh"), rank=RANKS)
    def put(self, key: str, rank: Rank) -> None:
        """Let one wait, or change it."""
        self.number += 1
        self.queue.put(key, rank, self.number)
        self.waits[key] = (rank, self.number)

    @rule(keys=st.sets(st.sampled_from("abcdefgh")))
    def drop(self, keys: set[str]) -> None:
        """Let some wait no longer."""
        gone = [self.waits.pop(key)[1] for key in keys & self.waits.keys()]
        assert sorted(self.queue.drop(keys)) == sorted(gone)

    @rule()
    def take(self) -> None:
        """What is taken is what was put last under its key; nothing is taken only if nothing may go."""
        found = self.queue.take()
        if found is None:
            assert all(rank.foreseen for rank, _ in self.waits.values())
            assert not self.waits or self.foreseen == MOST_FORESEEN
            return
        key, foreseen, item = found
        rank, number = self.waits.pop(key)
        assert (foreseen, item) == (rank.foreseen, number)
        self.foreseen += foreseen

    @rule()
    def end(self) -> None:
        """Give back a thread of one that was only foreseen."""
        if self.foreseen:
            self.foreseen -= 1
            self.queue.end()

    @invariant()
    def holds(self) -> None:
        """All that waits is there, and what is only foreseen never has more than its part."""
        assert len(self.queue) == len(self.waits)
        assert all(key in self.queue for key in self.waits)
        assert self.foreseen <= MOST_FORESEEN


def test_whatever_is_put_changed_and_dropped_the_queue_knows_what_waits() -> None:
    """In every order of steps."""
    run_state_machine_as_test(Model)  # type: ignore[no-untyped-call]
