from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.bound import lower_bound
from bench.rivals import merge_everything, one_by_one
from bench.trace import Arrival, Site, arrivals
from bench.virtual import ours
from bench.waits import Wait, longest, mean_weighted

SITE = Site("a site", jobs=60)
SITES = st.builds(
    Site,
    name=st.just("drawn"),
    jobs=st.integers(1, 60),
    median_blobs=st.sampled_from([1.0, 50.0, 5000.0, 100_000.0]),
    shared=st.sampled_from([0.0, 0.5, 1.0]),
    load=st.floats(0.1, 3.0),
    burst=st.sampled_from([0.0, 0.3, 1.0]),
    exports=st.sampled_from([0.0, 0.3]),
)
ALONE = st.lists(st.tuples(st.floats(0.0, 300.0), st.integers(0, 200_000), st.booleans()), min_size=1, max_size=12).map(
    lambda drawn: [Arrival(at, f"/{i}/", blobs, 1.0, exports) for i, (at, blobs, exports) in enumerate(sorted(drawn))]
)


def policies(site: Site, jobs: list[Arrival]) -> list[list[Wait]]:
    """Give everybody's waits but the bound's."""
    return [ours(site, jobs, 1), merge_everything(site, jobs), one_by_one(site, jobs)]


@given(SITES, st.integers(0, 1000))
def test_every_policy_serves_every_job_once(site: Site, seed: int) -> None:
    """Whatever the site is like; and nobody has his data before he came."""
    jobs = arrivals(site, seed)
    for waits in (*policies(site, jobs), lower_bound(site, jobs)):
        assert sorted((it.alone_seconds, it.weight) for it in waits) == sorted(
            (site.overhead_seconds + it.blobs / site.blobs_per_second, it.weight) for it in jobs
        )
        assert all(it.seconds >= 0 for it in waits)


@given(ALONE)
def test_no_policy_beats_the_bound(jobs: list[Arrival]) -> None:
    """Of jobs with equal weights that share nothing, for which this is proved."""
    best = mean_weighted(lower_bound(SITE, jobs))
    for waits in policies(SITE, jobs):
        assert mean_weighted(waits) >= best * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("load", [0.1, 0.7, 3.0])
@pytest.mark.parametrize("exports", [0.0, 0.3])
def test_no_policy_beats_the_bound_on_a_whole_trace(seed: int, load: float, exports: float) -> None:
    """Nor where jobs share and weigh, as they do in the benchmark."""
    site = Site("whole", jobs=300, load=load, exports=exports)
    jobs = arrivals(site, seed)
    assert all(mean_weighted(waits) >= mean_weighted(lower_bound(site, jobs)) for waits in policies(site, jobs))


def test_the_bound_of_two_jobs_is_known() -> None:
    """The small one interrupts the large one; each has one overhead."""
    large, small = Arrival(0.0, "/large/", 20_000, 1.0), Arrival(4.0, "/small/", 2000, 1.0)
    assert [it.seconds for it in lower_bound(SITE, [large, small])] == pytest.approx([1 + 5, 11 + 5])


def test_the_bound_of_an_archive_counts_its_overhead_as_work() -> None:
    """The second waits for that of the first as well."""
    jobs = [Arrival(0.0, f"/{i}/", 2000, 1.0, exports=True) for i in range(2)]
    assert [it.seconds for it in lower_bound(SITE, jobs)] == pytest.approx([6, 12])


def test_jobs_that_share_a_prefix_wait_for_one_import() -> None:
    """Who comes while it runs waits for its end, who comes later not at all."""
    jobs = [Arrival(at, "/a/", 20_000, 1.0) for at in (0.0, 7.0, 16.0)]
    expected = [15.0, 8.0, 0.0]
    assert [it.seconds for it in merge_everything(SITE, jobs)] == pytest.approx(expected)
    assert [it.seconds for it in ours(SITE, jobs, 0)] == pytest.approx(expected)
    assert [it.seconds for it in one_by_one(SITE, jobs)] == pytest.approx([15.0, 23.0, 29.0])


@given(SITES, st.integers(0, 1000))
def test_a_seed_gives_the_same_jobs(site: Site, seed: int) -> None:
    """In the order of their arrival; another seed gives others."""
    jobs = arrivals(site, seed)
    assert jobs == arrivals(site, seed) == sorted(jobs, key=lambda it: (it.at, it.prefix))
    assert jobs != arrivals(site, seed + 1)
    assert len(jobs) >= site.jobs
    assert sum(it.exports for it in jobs) == len(jobs) - site.jobs
    assert sum(it.flood for it in jobs) == int(len(jobs) * site.burst)
    assert all(it.blobs >= 1 for it in jobs)


@pytest.mark.parametrize("load_of_work", [False, True])
def test_jobs_load_the_slot_as_asked(*, load_of_work: bool) -> None:
    """Each distinct prefix once, with one overhead or without."""
    site = replace(SITE, jobs=2000, load_of_work=load_of_work)
    jobs = arrivals(site, 3)
    overhead = 0.0 if load_of_work else site.overhead_seconds
    distinct = {it.prefix: overhead + it.blobs / site.blobs_per_second for it in jobs}
    assert sum(distinct.values()) / jobs[-1].at == pytest.approx(site.load, rel=0.01)


def test_the_longest_wait_is_a_part_of_what_is_allowed() -> None:
    """Ten times its own import and ten turns are the whole."""
    assert longest([Wait(330.0, 1.0, 6.0), Wait(10.0, 1.0, 6.0)]) == pytest.approx(0.5)
    assert longest([]) == 0
