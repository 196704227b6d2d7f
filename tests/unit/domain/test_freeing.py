"""What is given back spares what anybody needs: on drawn schedules, with pins, and by file system."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.errand import Errand, Evict, Free, ProveOut
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.report import Report
from slurm_amlfs.domain.world import FsRules
from tests.examples import examples
from tests.unit.domain.desk import RULES, Desk, proved
from tests.unit.domain.model import Model

BLOBS = {f"/t/{one}/{two}/{number}": 100 for one in "abc" for two in "xy" for number in range(2)}
PREFIXES = ("/t/a/", "/t/a/x/", "/t/a/y/", "/t/b/", "/t/b/x/", "/t/c/")
PINS = st.sampled_from(["", *PREFIXES])
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 100), st.sampled_from(PREFIXES), st.sampled_from([" release=yes", "", ""])),
    min_size=2,
    max_size=6,
)


class Sparing(Model):
    """A model that looks at each wish to give space back; one prefix may be pinned."""

    def __init__(self, pin: str) -> None:
        super().__init__(BLOBS, total_bytes=700)
        self.pin = pin
        self.running_seconds = 1.0

    def check(self, errands: Iterable[Errand]) -> None:
        """See that everything is spared that a living stage of another job needs, or that is pinned.

        Room for whom bytes are made may take what was not promised to a job that only waits (test_fitting.py).
        """
        errands = list(errands)
        super().check(errands)
        for it in errands:
            if isinstance(it, Free | Evict):
                job_id = it.stage.job_id if isinstance(it, Free) else 0
                needs = [need for need in self.needs() if isinstance(it, Free) or self.is_promised(need[0])]
                kept = {prefix for other, prefix in needs if other != job_id}
                kept |= {held.key.prefix for held in self.records.leases.values() if held.pinned}
                left = [one for one in kept if not one.startswith(tuple(it.spare) or "\0")]
                assert left == [], f"{it} does not spare {left}"
        for key, held in self.records.leases.items():
            if key.prefix == self.pin and not held.pinned:
                self.records.leases[key] = replace(held, pinned=True)


@examples(25)
@given(ARRIVALS, PINS)
def test_whatever_is_given_back_spares_what_others_need(arrivals: list[tuple[int, str, str]], pin: str) -> None:
    """Also while it is given back: no file is lost under a job that runs, and pinned files stay whole."""
    model = Sparing(pin)
    for passed in range(160):
        for number, (after, prefix, manner) in enumerate(arrivals, start=1):
            if after == passed:
                model.come(number, f"stage_in prefix={prefix}{manner}", f"stage_out prefix=/jobs/{number}/")
        model.step()
        whole = [it for it in model.records.leases.values() if it.pinned and it.whole]
        assert all(model.files[path] for it in whole for path in model.under(it.key.prefix))


def test_what_an_admin_pinned_stays_though_a_job_gives_its_inputs_back() -> None:
    """The job's release=yes is about its own needs."""
    desk = Desk()
    desk.stage_in("stage_in prefix=/a/x/ release=yes")
    held = desk.lease("/a/x/")
    desk.records.leases[held.key] = replace(held, pinned=True)
    desk.run()
    desk.leave()

    assert desk.wish(Free).spare == ("/a/x/",)


def test_needs_on_another_file_system_spare_nothing() -> None:
    """Equal prefixes on two file systems are different files."""
    systems = {name: FsRules(name, f"/{name}", Namespace.FLAT) for name in ("one", "two")}
    desk = Desk(replace(RULES, file_systems=systems))
    desk.stage_in("stage_in prefix=/a/ fs=one release=yes")
    desk.submit("stage_in prefix=/a/ fs=two", job_id=8)
    desk.submit("stage_in prefix=/a/x/ fs=one", job_id=9)
    desk.run()
    desk.leave()

    assert desk.wish(Free).spare == ("/a/x/",)


def test_what_a_job_gives_back_leaves_a_lease_around_it_the_rest() -> None:
    """The bytes beside what was given back are still there, and can still give way."""
    desk = Desk()
    for job_id, prefix in ((1, "/a/"), (7, "/a/x/ release=yes")):
        desk.stage_in(f"stage_in prefix={prefix}", job_id=job_id)
        desk.run(job_id)
        held = desk.lease(prefix.split()[0])
        if job_id == 1:
            desk.records.leases[held.key] = replace(held, held_bytes=1000)
            desk.leave(1)
    desk.leave()
    before = desk.lease("/a/").held_bytes
    desk.free()

    assert (before, desk.lease("/a/").held_bytes, desk.lease("/a/").proved) == (1000, 700, None)


def test_two_that_give_the_same_files_back_at_once_spare_nothing_for_each_other() -> None:
    """Neither needs them any more; else they would stay whole for ever."""
    desk = Desk()
    for job_id in (7, 8):
        desk.submit("stage_out prefix=/jobs/m/", job_id=job_id)
        desk.run(job_id)
    for job_id in (7, 8):
        desk.end("stage_out prefix=/jobs/m/", job_id=job_id)
    while not desk.wished(Free):
        wished = desk.wished(ProveOut)
        assert wished
        desk.go(reports=tuple(Report(it, proved()) for it in wished))

    assert [it.spare for it in desk.wished(Free)] == [(), ()]
