"""One import for all who want the same, and nothing of ours while somebody else holds the slot."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.errand import Count, Errand, ProveIn, Start, Stop
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.view import ArchiveState, ArchiveView, ImportState, ImportView
from tests.examples import examples
from tests.unit.domain.desk import NOON, Desk, looked_at
from tests.unit.domain.model import Model

BLOBS = {f"/t/{one}/{two}/{number}": 100 for one in "abc" for two in "xy" for number in range(2)}
PREFIXES = ("/t/", "/t/a", "/t/a/", "/t/a/x/", "/t/b/", "/t/b/y/1", "/t/c/x/")
MANNERS = ("", " hydrate=none", " max_errors=0")
JOBS = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(PREFIXES), st.sampled_from(MANNERS)), min_size=1, max_size=12
)


@examples(30)
@given(JOBS)
def test_nothing_is_imported_twice(jobs: list[tuple[int, str, str]]) -> None:
    """However many jobs want a prefix, what it takes in or what takes it in, each blob is in one import only."""
    model = Model(BLOBS)
    for passed in range(61):
        for number, (after, prefix, manner) in enumerate(jobs, start=1):
            if after == passed:
                model.come(number, f"stage_in prefix={prefix}{manner}")
        model.step()
    model.run_all(1000)

    carried = [path for it in model.turns for prefix in it.prefixes for path in model.under(prefix)]
    assert set(model.phases().values()) == {"over"}
    assert {path for _, prefix, _ in jobs for path in model.under(prefix)} <= set(carried)
    # Who comes while an import runs may want more than it brings; nobody wants again what one has brought.
    names = [prefix for it in model.turns for prefix in it.prefixes]
    assert len(names) == len(set(names))


def test_a_proof_of_more_serves_who_asks_for_a_part_of_it() -> None:
    """As long as it is believed: nothing is counted, imported or proved again."""
    desk = Desk()
    desk.submit("stage_in prefix=/t/", job_id=1)
    desk.count()
    desk.start()
    desk.land()
    desk.prove(looked_at(seconds=30.0))
    desk.submit("stage_in prefix=/t/a/ prefix=/t/b/x", job_id=2)
    wished = [*desk.wished(Count), *desk.wished(Start), *desk.wished(ProveIn)]
    desk.settle()

    assert wished == []
    assert desk.stage(2).phase is Phase.STAGED_IN


def test_an_array_of_a_thousand_tasks_costs_one_count_one_import_and_one_proof() -> None:
    """All of them run."""
    model = Model(BLOBS)
    model.restores = 100
    for number in range(1, 1001):
        model.come(number, "stage_in prefix=/t/")
    for _ in range(40):
        model.step()
        if set(model.place.values()) == {"running"}:
            break

    assert set(model.place.values()) == {"running"}
    assert [model.done[it] for it in (Count, Start, ProveIn)] == [1, 1, 1]


class Occupied(Model):
    """A model in which somebody else holds the slot now and then."""

    held = ""
    coming = ""

    def azure_goes_on(self) -> None:
        """Let somebody else take the slot as soon as it is free."""
        super().azure_goes_on()
        if not self.coming or self.holder():
            return
        self.held, self.coming = self.coming, ""
        match self.held:
            case "import":
                self.imports["portal-7"] = ImportView("portal-7", ImportState.IN_PROGRESS, ("/t/",))
            case "archive":
                self.archives = (ArchiveView("/else/", ArchiveState.IN_PROGRESS, started=NOON),)
            case "auto":
                self.auto_jobs = ("autoImport nightly",)

    def leave_slot(self) -> None:
        """Let it go, whoever holds it or waits for it."""
        self.coming = ""
        if self.held:
            self.held, self.auto_jobs, self.archives = "", (), ()
            self.imports.pop("portal-7", None)

    def check(self, errands: Iterable[Errand]) -> None:
        """See that nothing is asked of Azure then, and that nothing of theirs is ever stopped."""
        errands = list(errands)
        super().check(errands)
        for it in errands:
            assert not (isinstance(it, Start) and self.held), f"{it} was wanted while {self.held} held the slot"
            if isinstance(it, Stop):
                assert it.transfer.transfer_id in {one.transfer_id for one in self.turns}
                assert it.transfer.prefixes != ("/else/",)


NAMES = {"import": "portal-7", "archive": "/else/", "auto": "autoImport nightly"}
HOLDS = st.lists(st.tuples(st.integers(0, 80), st.sampled_from([*NAMES, "nobody"])), max_size=5)


@examples(30)
@given(JOBS, HOLDS, st.booleans(), st.integers(0, 3))
def test_while_somebody_else_holds_the_slot_nothing_starts_and_who_waits_says_for_whom(
    jobs: list[tuple[int, str, str]],
    holds: list[tuple[int, str]],
    fails: bool,  # noqa: FBT001 - drawn
    refusals: int,
) -> None:
    """Whatever is taken apart or half through just then; and afterwards all goes on."""
    model = Occupied(BLOBS)
    model.bad = ("/t/b/y/1",) if fails else ()
    model.troubles[Start] = refusals
    for passed in range(200):
        for number, (after, prefix, manner) in enumerate(jobs, start=1):
            if after == passed:
                model.come(number, f"stage_in prefix={prefix}{manner}")
        for after, how in holds:
            if after == passed:
                model.leave_slot()
                model.coming = "" if how == "nobody" else how
        model.step()
        waiting = [
            it for it in model.records.leases.values() if it.counted and it.wants and it.not_before is None
        ]  # fmt: skip
        if model.held:
            assert all(NAMES[model.held] in it.message for it in waiting), [it.message for it in waiting]
    model.leave_slot()
    model.run_all(2000)


def test_what_is_foreseen_rides_along_and_is_not_imported_again() -> None:
    """With a turn that is taken anyway; when its jobs come they only have it proved."""
    model = Model(BLOBS)
    model.foresee(9, "/t/b/", tasks=500)
    for _ in range(20):
        model.step()
    alone = list(model.turns)
    model.come(1, "stage_in prefix=/t/a/")
    model.run_all(200)
    model.come(9, "stage_in prefix=/t/b/")
    model.run_all(200)

    assert alone == []
    assert [it.prefixes for it in model.turns] == [("/t/a/", "/t/b/")] or [
        sorted(it.prefixes) for it in model.turns
    ] == [["/t/a/", "/t/b/"]]
    assert model.done[ProveIn] == 2
