from __future__ import annotations

from slurm_amlfs.application.failures import Failures


def test_pauses_grow_and_words_are_said_once() -> None:
    """A disk that stays full makes neither a storm of passes nor one of log lines."""
    time = [0.0]
    failures = Failures(lambda: time[0])
    said, pauses = [], []
    for _ in range(100):
        said.append(failures.failed("full"))
        pauses.append(failures.pause_seconds)
        time[0] += failures.pause_seconds

    assert pauses[:6] == [1, 2, 4, 8, 8, 8]
    assert max(pauses) == 8
    assert said.count(True) == 2
    assert said[0]


def test_other_words_are_news() -> None:
    """And so is the same failure after a success, which begins again with a short pause."""
    failures = Failures(lambda: 0.0)

    assert [failures.failed(it) for it in ("full", "locked", "locked")] == [True, True, False]
    assert failures.worked()
    assert not failures.worked()
    assert failures.failed("locked")
    assert failures.pause_seconds == 1
