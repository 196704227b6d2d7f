"""For how long a proof serves others."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.belief import AgeLimit, Belief, belief
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.prefix import Namespace
from tests.unit.domain.desk import NOON

LEASE = Lease(LeaseKey("amlfs", "/a/", Conflict.SKIP, 1000), NOON, NOON)
SPANS = st.timedeltas(timedelta(0), timedelta(days=3))
USUAL = timedelta(minutes=10)
HOUR, DAY, NEVER = timedelta(hours=1), timedelta(days=1), timedelta(0)
PREFIXES = st.lists(st.sampled_from(["a/", "b/", "a", "c/"]), max_size=3).map(lambda parts: "/" + "".join(parts))
LIMITS = st.lists(
    st.builds(
        AgeLimit,
        st.sampled_from(["*", "amlfs", "other"]),
        PREFIXES.filter(lambda it: it.endswith("/")),
        st.sampled_from([NEVER, HOUR, DAY]),
    ),
    max_size=4,
    unique_by=lambda it: (it.file_system, it.prefix),
).map(tuple)


def proved(took: timedelta, began: datetime = NOON) -> Lease:
    """Make a lease that is proved."""
    return replace(LEASE, proving=began, proved=began + took, took=took)


@given(SPANS, SPANS, SPANS, SPANS, st.none() | SPANS)
def test_a_believed_proof_is_no_older_than_the_limit(
    took: timedelta, later: timedelta, asked: timedelta, age: timedelta, usual: timedelta | None
) -> None:
    """Unless it began after the ask, and then it is what was asked for."""
    now = NOON + took + later
    held = proved(took)
    believed = held.is_believed(now, NOON + asked, Belief(usual, age))

    if believed and asked:
        assert now - NOON < age
    assert believed or asked


@given(SPANS, SPANS, SPANS)
def test_without_a_limit_a_proof_is_believed_for_some_times_its_cost(
    took: timedelta, later: timedelta, usual: timedelta
) -> None:
    """And no longer than the site believes any."""
    believed = proved(took).is_believed(NOON + took + later, NOON + timedelta(days=9), Belief(usual))

    assert believed == (later < min(usual, 20 * took))


def test_what_is_not_proved_is_not_believed() -> None:
    """However long the site would believe it."""
    assert not LEASE.is_believed(NOON, NOON - DAY, Belief(None, DAY))
    assert not replace(LEASE, proving=NOON).is_believed(NOON, NOON - DAY, Belief(None, DAY))


LADDER = (
    AgeLimit("*", "/reference/", DAY),
    AgeLimit("*", "/reference/live/", NEVER),
    AgeLimit("amlfs", "/reference/live/", HOUR),
    AgeLimit("other", "/", DAY),
)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("/jobs/", Belief(USUAL)),
        ("/reference/human/", Belief(None, DAY)),
        ("/reference/live/", Belief(None, HOUR)),
        ("/reference/live/x/", Belief(None, HOUR)),
        ("/reference/", Belief(None, HOUR)),
        ("/reference", Belief(USUAL, HOUR)),
        ("/", Belief(USUAL, HOUR)),
    ],
)
def test_the_longest_prefix_decides(prefix: str, expected: Belief) -> None:
    """And what is proved along with stricter things below it is believed no longer than they are."""
    assert belief(LADDER, Namespace.FLAT, "amlfs", prefix, USUAL) == expected


@given(LIMITS, PREFIXES, PREFIXES.filter(lambda it: it.endswith("/")))
def test_a_proof_of_more_is_believed_no_longer(limits: tuple[AgeLimit, ...], outer: str, below: str) -> None:
    """What holds for a prefix holds for whatever takes it in, as long as that has a limit too."""
    inner = outer + below[1:] if outer.endswith("/") else f"{outer}/{below[1:]}"
    wide = belief(limits, Namespace.FLAT, "amlfs", outer, USUAL)
    narrow = belief(limits, Namespace.FLAT, "amlfs", inner, USUAL)

    if any(it.prefix.startswith(outer) and inner.startswith(it.prefix) for it in limits if it.file_system != "other"):
        assert wide.age is not None
        assert narrow.age is not None
    if narrow.usual is not None and narrow.age is None:
        assert wide.usual is not None
