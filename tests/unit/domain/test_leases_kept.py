"""What a living job needs is never forgotten nor given back, whatever comes; what nobody needs is forgotten in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain import lease
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.errand import (
    Clear,
    Count,
    DropReceipt,
    Errand,
    Evict,
    Free,
    Probe,
    ProveIn,
    ProveOut,
    Start,
    Stop,
    WriteReceipt,
    key_of,
)
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Namespace, covers, overlaps
from slurm_amlfs.domain.records import Records, Stage
from slurm_amlfs.domain.report import Done, Fault, Freed, Probed, Report, Result, Started, Trouble
from slurm_amlfs.domain.riding import NEEDS
from slurm_amlfs.domain.view import ImportState, SpaceView
from slurm_amlfs.wire import Request, RequestKind
from tests.examples import examples
from tests.unit.domain.desk import RULES, Desk, counted, looked_at, proved

FLAT = Namespace.FLAT
KEEP = timedelta(hours=1)
SITE = replace(RULES, keep_lease=KEEP, most_leases=2)
PLACES = ("/a/", "/a/x/", "/b/", "/jobs/1/", "/jobs/")
LINES = (
    "stage_in prefix=/a/",
    "stage_in prefix=/a/x/ release=yes",
    "stage_in prefix=/a/x/,/b/",
    "stage_in prefix=/b/ hydrate=none",
    "stage_in prefix=/b/ conflict=overwrite-always",
    "stage_out prefix=/jobs/1/",
    "stage_in prefix=/jobs/1/",
)
JOBS = st.integers(1, 4)
WELL = st.tuples(st.just("answer"), st.sampled_from((1, 3, 9)), st.just("well"))
STEPS = st.one_of(
    st.tuples(st.just("submit"), JOBS, st.lists(st.sampled_from(LINES), min_size=1, max_size=2, unique=True)),
    WELL,
    st.tuples(st.just("show"), JOBS, st.sampled_from(("RUNNING", "RUNNING", "COMPLETED", "CANCELLED", "gone"))),
    WELL,
    st.tuples(st.just("end"), JOBS, st.just(None)),
    WELL,
    st.tuples(st.just("answer"), st.integers(1, 3), st.sampled_from(("badly", "empty"))),
    st.tuples(st.sampled_from(("pin", "unpin", "evict", "evict")), st.sampled_from(PLACES), st.just(None)),
    st.tuples(st.just("clock"), st.sampled_from((1, 61, -50, 4000, -4000, 86_400, -86_400)), st.just(None)),
    st.tuples(st.just("space"), st.sampled_from((10**15, 500, 0)), st.just(None)),
    st.tuples(st.just("evicting"), st.booleans(), st.just(None)),
)


def find(records: Records, key: LeaseKey) -> Lease | None:
    return records.leases.get(key) or records.resting.get(key)


class Play:
    """A desk on which one step after the other is played; each pass is judged."""

    def __init__(self) -> None:
        self.desk = Desk(SITE)
        self.lines: dict[int, tuple[str, ...]] = {}
        self.stops = False
        self.desk.go()

    def play(self, word: str, what: object, more: object) -> None:
        """Play one step."""
        desk = self.desk
        if word == "submit":
            assert isinstance(what, int)
            assert isinstance(more, list)
            self.lines[what] = tuple(more)
            desk.show("PENDING", what)
            kinds = (RequestKind.SETUP, RequestKind.DATA_IN)
            self.go(*(desk.request(kind, *self.lines[what], job_id=what) for kind in kinds))
        elif word == "show":
            assert isinstance(what, int)
            self.show(what, str(more))
            self.go()
        elif word == "end":
            assert isinstance(what, int)
            self.show(what, "STAGE_OUT")
            self.go(desk.request(RequestKind.DATA_OUT, *self.lines.get(what, ()), job_id=what))
        elif word == "answer":
            assert isinstance(what, int)
            for _ in range(what):
                self.answer(str(more))
        elif word in {"pin", "unpin", "evict"}:
            self.go(Request(RequestKind(word), 0, fs="amlfs", prefix=str(what), sender_uid=0))
        elif word == "clock":
            assert isinstance(what, int)
            self.go(after=what)
        elif word == "space":
            assert isinstance(what, int)
            desk.space = SpaceView(10**15, what)
            self.go()
        else:
            desk.running = set()
            self.stops = bool(what)
            self.go()

    def show(self, job_id: int, job_state: str) -> None:
        """Let Slurm show another state of a job that it knows."""
        assert self.desk.jobs is not None
        if job_state == "gone":
            self.desk.jobs.pop(job_id, None)
        elif job_id in self.desk.jobs:
            self.desk.show(job_state, job_id)

    def answer(self, how: str) -> None:
        """Answer all that the last pass wished, and show what Azure was asked for."""
        desk = self.desk
        assert desk.decision is not None
        reports = []
        for errand in desk.decision.errands:
            if isinstance(errand, Start):
                desk.show_transfer(errand.transfer, ImportState.COMPLETED)
            elif isinstance(errand, Clear):
                desk.imports.pop(errand.transfer_id, None)
            if isinstance(errand, (Evict, Free)) and self.stops:
                desk.running.add(key_of(errand))
            elif (result := result_of(errand, how)) is not None:
                reports.append(Report(errand, result))
        self.go(reports=tuple(reports))

    def go(self, *requests: Request, reports: tuple[Report, ...] = (), after: float = 1) -> None:
        """Make a pass, and judge it."""
        before = self.desk.records
        self.desk.go(*requests, reports=reports, after=after)
        self.judge(before, {it.prefix for it in requests if it.kind is RequestKind.UNPIN})

    def judge(self, before: Records, unpinned: set[str]) -> None:
        """Hold what is remembered and wished for against what living jobs and admins want."""
        records, decision = self.desk.records, self.desk.decision
        assert decision is not None
        assert not records.leases.keys() & {it.key for it in records.resting}
        assert not any(it.pinned for it in records.resting)
        for stage in records.stages.values():
            if stage.phase in NEEDS and stage.key.direction is Direction.IN:
                for key in lease.keys(FLAT, stage.fs, stage.ask):
                    assert serves(records, key), (stage, key)
        pins = [it.key for it in before.leases.values() if it.pinned and it.key.prefix not in unpinned]
        for key in pins:
            assert (held := find(records, key)) is not None
            assert held.pinned
        for errand in decision.errands:
            if isinstance(errand, Evict):
                self.spares(errand.lease.prefix, errand.spare, None)
            elif isinstance(errand, Free):
                for prefix in errand.prefixes:
                    self.spares(prefix, errand.spare, errand.stage.job_id)

    def spares(self, prefix: str, spare: tuple[str, ...], job_id: int | None) -> None:
        """See that what living jobs need, or an admin has pinned, is spared where it has paths in common."""
        records = self.desk.records
        kept = {it.key.prefix for it in records.leases.values() if it.pinned}
        for stage in records.stages.values():
            if not stage.phase.over and stage.phase is not Phase.RELEASING and stage.key.job_id != job_id:
                kept.update(stage.ask.prefixes)
        assert {it for it in kept if overlaps(FLAT, it, prefix)} <= set(spare)


def serves(records: Records, key: LeaseKey) -> bool:
    outer = (key._replace(prefix=key.prefix[:end]) for end in range(1, len(key.prefix) + 1))
    return any(find(records, it) is not None and covers(FLAT, it.prefix, key.prefix) for it in outer)


def result_of(errand: Errand, how: str) -> Result | None:
    if how == "badly":
        return Trouble(Fault.TEMPORARY, "not now")
    if isinstance(errand, Count):
        return counted(errand, 0 if how == "empty" else 3)
    found: dict[type, Result] = {
        ProveIn: looked_at(), ProveOut: proved(), Probe: Probed(there=True), Start: Started("corr"),
        Evict: Freed(3, 300), Free: Freed(3, 300),
        DropReceipt: Done(), WriteReceipt: Done(), Clear: Done(), Stop: Done(),
    }  # fmt: skip
    return found.get(type(errand))


def living(records: Records) -> list[Stage]:
    return [it for it in records.stages.values() if not it.phase.over]


@examples(200)
@given(st.lists(STEPS, min_size=20, max_size=60))
def test_what_is_needed_stays_and_what_nobody_needs_goes(steps: list[tuple[str, object, object]]) -> None:
    """In every pass of any play; and when all jobs are gone and the keep time is over, only what is pinned is left."""
    play = Play()
    for step in steps:
        play.play(*step)

    desk = play.desk
    desk.jobs, desk.running, play.stops = {}, set(), False
    desk.space = SpaceView(10**15, 10**15)
    play.go(after=3 * 86_400)
    for _ in range(40):
        play.answer("well")
        play.go(after=120)
    assert living(desk.records) == []
    play.go(after=KEEP.total_seconds() + 400_000)
    for _ in range(5):
        play.answer("well")

    left = list(desk.records.all_leases())
    assert all(it.pinned for it in left)


def test_no_more_rest_than_the_site_remembers() -> None:
    """The least recently used are forgotten first, once their bytes are given back; what is pinned does not count."""
    desk = Desk(SITE)
    desk.go(Request(RequestKind.PIN, 0, fs="amlfs", prefix="/0/", sender_uid=0))
    for number in range(1, 5):
        desk.stage_in(f"stage_in prefix=/{number}/", job_id=number)
        desk.run(number)
        desk.leave(number)
        desk.settle()
    assert desk.wish(Evict).lease.prefix == "/1/"
    assert len(list(desk.records.all_leases())) == 5
    desk.evict()
    assert [it.key.prefix for it in desk.records.all_leases()] == ["/0/", "/3/", "/4/"]
