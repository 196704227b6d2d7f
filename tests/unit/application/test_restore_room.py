from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.application.restore_room import RestoreRoom, RestoreShare


class Hall:
    """A room, and a clock that a test moves."""

    def __init__(self, limit: int) -> None:
        self.seconds = 0.0
        self.room = RestoreRoom(limit, lambda: self.seconds)

    def share(self, urgency: float = 0.0) -> RestoreShare:
        """Take part."""
        return RestoreShare(self.room, urgency)


def test_all_shares_together_stay_within_the_limit() -> None:
    """Whoever asks gets what is left."""
    hall = Hall(100)

    assert [hall.share().take(60) for _ in range(3)] == [60, 40, 0]


def test_what_comes_free_is_kept_for_the_urgent() -> None:
    """Though it asks less often; what it does not want goes to the others."""
    hall = Hall(100)
    later, sooner = hall.share(2.0), hall.share(1.0)
    first = later.take(100), sooner.take(30)
    later.give(50)

    assert first == (100, 0)
    assert (later.take(50), sooner.take(30), later.take(50)) == (20, 30, 0)


def test_among_equals_the_smaller_holder_goes_first() -> None:
    """A stage of a million files leaves room for one of a hundred."""
    hall = Hall(100)
    large, small = hall.share(), hall.share()
    large.take(1000)
    small.take(10)
    large.give(20)

    assert (large.take(1000), small.take(10)) == (10, 10)


def test_who_does_not_ask_again_blocks_nobody() -> None:
    """Room is kept for a while only."""
    hall = Hall(100)
    later, sooner = hall.share(2.0), hall.share(1.0)
    later.take(100)
    sooner.take(100)
    later.give(100)
    hall.seconds = 9
    early = later.take(100)
    hall.seconds = 11

    assert (early, later.take(100)) == (0, 100)


@given(
    st.integers(10, 2000),
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.integers(1, 5000)), min_size=2, max_size=8),
    st.integers(1, 3),
    st.integers(0, 1),
)
def test_whoever_keeps_asking_is_granted_some(
    limit: int, wishes: list[tuple[float, int]], ends: int, hanging: int
) -> None:
    """Whatever the others want, and however urgent they are, while what is in flight ends some time, but for a few."""
    hall = Hall(limit)
    shares = [(hall.share(urgency), wanted) for urgency, wanted in wishes]
    held = [0] * len(shares)
    vain = [0.0] * len(shares)
    for _ in range(600):
        hall.seconds += 0.5
        for number, (share, wanted) in enumerate(shares):
            ended = -(-max(0, held[number] - hanging) // ends)
            share.give(ended) if ended else None
            granted = share.take(wanted)
            held[number] += granted - ended
            vain[number] = 0.0 if granted or ended else vain[number] + 0.5
        assert sum(held) <= limit
        assert max(vain) <= 30.0 + 2.0 * len(shares) * ends


def test_who_has_waited_long_gets_a_small_part_first() -> None:
    """The urgent keep nearly all of the room."""
    hall = Hall(2000)
    urgent, other = hall.share(-10.0), hall.share(-1.0)
    granted = [urgent.take(4000)]
    for _ in range(40):
        hall.seconds += 1
        urgent.give(granted[-1])
        other_granted = other.take(2000)
        granted.append(urgent.take(4000))
        if other_granted:
            break

    assert (other_granted, granted[-1], hall.seconds) == (100, 1900, 31.0)


def test_who_leaves_gives_all_back() -> None:
    """What it held and what it wanted; leaving twice is success."""
    hall = Hall(100)
    urgent, other = hall.share(1.0), hall.share(2.0)
    urgent.take(500)
    urgent.leave()
    urgent.leave()

    assert other.take(100) == 100


def test_many_threads_never_exceed_the_limit() -> None:
    """Shares are taken and given from the threads of all proofs."""
    hall = Hall(50)
    held: list[int] = []

    def work(number: int) -> None:
        share = hall.share(float(number % 3))
        for _ in range(200):
            granted = share.take(7)
            held.append(granted)
            share.give(granted)
        share.leave()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))

    assert max(held) <= 7
    assert hall.share().take(51) == 50
