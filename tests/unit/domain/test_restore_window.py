from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.restore_window import FEWEST, STILL_SECONDS, RestoreWindow


def test_it_grows_while_restores_end_quickly() -> None:
    """Each look that finds half of a full window ended doubles it, up to the most."""
    window = RestoreWindow.begin(1000)
    sizes = [window.size]
    for second in range(6):
        window = window.after(window.size, window.size // 2, float(second))
        sizes.append(window.size)

    assert sizes == [100, 200, 400, 800, 1000, 1000, 1000]


def test_it_keeps_its_size_while_they_end_slowly_or_few_are_left() -> None:
    """Enough are in flight to last until the next look."""
    window = RestoreWindow(400, 1000)

    assert window.after(400, 100, 1.0).size == 400
    assert window.after(50, 50, 1.0).size == 400


def test_it_shrinks_while_nothing_ends() -> None:
    """Halved after each stretch of nothing, never below the fewest."""
    window = RestoreWindow(400, 1000)
    sizes = []
    for step in range(8):
        window = window.after(400, 0, step * STILL_SECONDS / 2)
        sizes.append(window.size)

    assert sizes == [400, 400, 200, 200, 100, 100, 100, 100]


def test_nothing_in_flight_says_nothing() -> None:
    """A pause without restores is not one in which they hang."""
    window = RestoreWindow(400, 1000).after(400, 0, 0.0).after(0, 0, 100.0).after(400, 0, 101.0)

    assert window.size == 400


@given(
    st.integers(1, 5000),
    st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 6000), st.floats(0, 20)), max_size=40),
)
def test_it_stays_within_its_bounds(most: int, looks: list[tuple[int, int, float]]) -> None:
    """Whatever the looks find."""
    window, now = RestoreWindow.begin(most), 0.0
    for outstanding, ended, seconds in looks:
        now += seconds
        window = window.after(outstanding, min(ended, outstanding), now)
        assert min(FEWEST, most) <= window.size <= most
