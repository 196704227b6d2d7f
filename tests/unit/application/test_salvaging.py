"""Of records that break a decision, alone or together, so many are left out as it takes, and no others."""

from __future__ import annotations

from datetime import UTC, datetime
from math import log2

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.application.salvaging import Salvage
from slurm_amlfs.domain.view import JobRecord, JobView, LivingJob
from slurm_amlfs.domain.world import Seen
from slurm_amlfs.errors import InvariantError

ALICE = 61001
LINES = ("stage_in prefix=/a/",)

IDS = st.integers(1, 60)
QUARRELS = st.lists(st.frozensets(IDS, min_size=1, max_size=3), max_size=8)
"""Jobs whose records together, or whose record alone, cannot be decided on."""


def look(job_ids: frozenset[int]) -> Seen:
    """See these jobs, a third as living, a third as declared, and of the others no more than that they are there."""
    return Seen(
        datetime(2026, 11, 30, tzinfo=UTC),
        jobs={it: JobView(it, ALICE, "RUNNING") for it in job_ids},
        asked_jobs=job_ids,
        declared={it: JobRecord(JobView(it, ALICE, "PENDING"), LINES) for it in job_ids if it % 3 == 1},
        living=tuple(LivingJob(it, ALICE, ALICE, LINES, "RUNNING") for it in job_ids if it % 3 == 2),
    )


def shown(seen: Seen) -> frozenset[int]:
    """List whose records a look has."""
    return frozenset(seen.jobs or {})


class Quarrelsome:
    """A decision that some records break together."""

    def __init__(self, quarrels: list[frozenset[int]]) -> None:
        self._quarrels = quarrels
        self.tries = 0

    def __call__(self, seen: Seen) -> None:
        """Decide, or break."""
        self.tries += 1
        for some in self._quarrels:
            if some <= shown(seen):
                raise InvariantError(f"{sorted(some)} cannot be")


@given(st.frozensets(IDS, min_size=1), QUARRELS)
def test_what_is_left_can_be_decided_on(job_ids: frozenset[int], quarrels: list[frozenset[int]]) -> None:
    """One of each quarrel is left out, by few tries; whoever has none stays, and nothing else of a look changes."""
    seen, salvage, decide = look(job_ids), Salvage(), Quarrelsome(quarrels)
    salvage.search(seen, decide)
    sound = salvage.sound(seen)
    left_out = job_ids - shown(sound)

    Quarrelsome(quarrels)(sound)
    at_odds = [some for some in quarrels if some <= job_ids]
    assert len(left_out) <= len(at_odds)
    assert left_out <= frozenset().union(*at_odds)
    assert frozenset(sound.jobs or {}) == sound.asked_jobs == job_ids - left_out
    assert sound.unadopted == any(it % 3 == 2 for it in left_out)
    assert decide.tries <= 2 + (len(left_out) + 1) * (2 + log2(len(job_ids)))


def test_what_breaks_whatever_is_seen_is_no_records_fault() -> None:
    """Then all stay, and the decision is tried again as it is."""
    seen, salvage = look(frozenset({1, 2, 3})), Salvage()
    salvage.search(seen, Quarrelsome([frozenset()]))
    assert salvage.sound(seen) == seen


def test_the_search_ends_when_a_decision_breaks_at_random() -> None:
    """One that depends on what nobody shows could send it round and round."""
    breaks = iter([False, *[True] * 10_000])

    def decide(_: Seen) -> None:
        if next(breaks):
            raise InvariantError("cannot be")

    Salvage().search(look(frozenset({1, 2, 3})), decide)
    assert next(breaks)
