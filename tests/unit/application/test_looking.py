from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from slurm_amlfs.application.looking import Looks, Pace, look_at_living, look_at_queue, look_at_slot, look_at_slurm
from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.domain.ask import Ask, Conflict, Direction
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.lease import Lease, LeaseKey, Part
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import Job, Records, Stage, StageKey, Transfer, TransferKind, TransferPhase
from slurm_amlfs.domain.tempo import Tempo
from slurm_amlfs.domain.view import JobName, JobView, LivingJob, QueuedJob
from slurm_amlfs.domain.world import Ahead
from slurm_amlfs.errors import TemporaryError
from tests.fakes.arm import FakeArm
from tests.fakes.slurm import FakeSlurm
from tests.unit.domain.desk import RULES

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = StageKey(7, Direction.IN, 0)
JOB = Job(7, 61001, 61001, ("stage_in prefix=/a/",), NOW)
STAGE = Stage(KEY, Ask(Direction.IN, ("/a/",)), "amlfs", Phase.WAITING, NOW, files_total=3)
LEASE = Lease(LeaseKey("amlfs", "/a/", Conflict.SKIP, 1000), NOW, NOW, counted=NOW, parts=(Part("/a/", 3, 300),))
BROKEN = TemporaryError("no answer")


def after(seconds: float) -> datetime:
    """Name a moment."""
    return NOW + timedelta(seconds=seconds)


def looks(job: Job = JOB, stage: Stage = STAGE) -> Looks:
    """Make looks that are planned for one job."""
    made = Looks(Pace(), ("amlfs",))
    made.plan(Records({7: job}, {KEY: stage}, leases={LEASE.key: LEASE}), frozenset())
    return made


def look(made: Looks, slurm: FakeSlurm, at: datetime = NOW) -> None:
    """Look at Slurm, and put the answer in place."""
    look_at_slurm(made, slurm, made.begin_slurm(at))()


def file_system(arm: FakeArm) -> FileSystem:
    """Wrap an ARM."""
    return FileSystem(arm, arm.blobs, arm.lustre, Namespace.FLAT)


def test_slurm_is_asked_at_once_for_a_job_that_is_new_and_then_at_its_pace() -> None:
    """Who owns a new job should not wait; old ones are looked at every two seconds."""
    made = looks()
    new = made.slurm_due(NOW)
    look(made, FakeSlurm())
    made.plan(Records({7: JOB}, {KEY: STAGE}), frozenset())

    assert new
    assert [made.slurm_due(after(seconds)) for seconds in (0.3, 1.9, 2)] == [False, False, True]


def due(job: Job, *phases: Phase) -> list[bool]:
    """Say when a job with these stage-ins is looked at again, after a look at once that took no time."""
    keys = [KEY._replace(line=line) for line in range(len(phases))]
    stages = {key: replace(STAGE, key=key, phase=phase) for key, phase in zip(keys, phases, strict=True)}
    made = Looks(Pace(), ("amlfs",))
    made.plan(Records({7: job}, stages), frozenset())
    look(made, FakeSlurm())
    made.slurm_took = timedelta(0)
    return [made.slurm_due(after(seconds)) for seconds in (0.2, 0.25, 1.9, 2)]


def test_a_job_about_to_start_is_looked_at_four_times_a_second() -> None:
    """Only with all stage-ins proved and its receipt written, until it is announced: it starts within seconds."""
    ready, slow, soon = replace(JOB, receipt=True), [False, False, False, True], [False, True, True, True]

    assert due(ready, Phase.STAGED_IN, Phase.STAGED_IN) == soon
    assert due(ready, Phase.STAGED_IN, Phase.RESTORING) == slow
    assert due(JOB, Phase.STAGED_IN) == slow
    assert due(replace(ready, announced=True), Phase.STAGED_IN) == slow


def test_a_job_is_about_to_start_for_five_seconds() -> None:
    """One whose start Slurm puts off must not be a storm of looks."""
    records = Records({7: replace(JOB, receipt=True)}, {KEY: replace(STAGE, phase=Phase.STAGED_IN)})
    made = Looks(Pace(), ("amlfs",))
    seen = []
    for seconds in (0.0, 4.0, 6.0):
        made.plan(records, frozenset())
        look(made, FakeSlurm(), after(seconds))
        made.slurm_took = timedelta(0)
        seen.append(made.slurm_due(after(seconds + 0.5)))

    assert seen == [True, True, False]


def test_looking_takes_a_seventy_fifth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower slurmctld answers, the less it is asked; a fifth for a job that nobody has seen yet."""
    made, clock = looks(), iter([0.0, 3.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    look(made, FakeSlurm())
    usual = [made.slurm_due(after(seconds)) for seconds in (2, 224.9, 225)]
    made.doubt(frozenset({7}))
    new = [made.slurm_due(after(seconds)) for seconds in (14.9, 15)]

    assert usual == [False, False, True]
    assert new == [False, True]


def test_a_job_not_yet_seen_is_looked_for_once_a_second() -> None:
    """A burst of submits shares its looks."""
    made = looks()
    look(made, FakeSlurm())
    made.slurm_took = timedelta(0)
    made.plan(Records({7: JOB}, {KEY: STAGE}), frozenset({8}))

    assert [made.slurm_due(after(seconds)) for seconds in (0.9, 1)] == [False, True]


def test_a_job_with_nothing_to_stage_in_is_looked_at_as_often_once_it_may_start() -> None:
    """It is nudged like any other, so it has to be seen staged in soon; a refused one goes nowhere."""
    out = replace(STAGE, key=StageKey(7, Direction.OUT, 0), phase=Phase.DECLARED)
    job = replace(JOB, directives=("stage_out prefix=/jobs/a/",))
    asked = replace(job, token_in="1-2")  # noqa: S106 - the name of an ask, no secret
    made = looks(job=job, stage=out)
    look(made, FakeSlurm())
    due = []
    for it in (job, asked, replace(asked, announced=True)):
        made.plan(Records({7: it}, {out.key: out}), frozenset())
        due.append(made.slurm_due(after(0.25)))
    made.plan(Records({7: replace(asked, refusal="amlfs: no")}), frozenset())

    assert due == [False, True, False]
    assert not made.slurm_due(after(0.25))


def test_nobody_to_ask_for_nobody_asked() -> None:
    """An idle daemon leaves Slurm and Azure alone."""
    made = Looks(Pace(), ("amlfs",))
    made.plan(Records(), frozenset())
    closed = Looks(Pace(), ("amlfs",))
    over = Records({7: replace(JOB, closed=NOW)}, {KEY: replace(STAGE, phase=Phase.SETTLED)})
    closed.plan(over, frozenset())

    assert not made.slurm_due(NOW)
    assert made.slots_due(NOW) == closed.slots_due(NOW) == []
    assert not closed.slurm_due(NOW)


def test_jobs_of_requests_that_wait_are_asked_for() -> None:
    """Else they would wait for ever."""
    made = Looks(Pace(), ("amlfs",))
    made.plan(Records(), frozenset({9}))
    slurm = FakeSlurm()
    slurm.records[9] = JobView(9, 61001, "PENDING")
    look(made, slurm)

    assert made.seen(NOW, (), {}).jobs == {9: slurm.records[9]}


def test_when_slurm_does_not_answer_nothing_is_known() -> None:
    """Not even what was seen before."""
    made, slurm = looks(), FakeSlurm()
    look(made, slurm)
    slurm.faults.append(BROKEN)
    look(made, slurm, after(2))

    assert made.seen(NOW, (), {}).jobs is None
    assert made.slurm_trouble == "no answer"


def test_a_look_says_nothing_of_jobs_that_a_hook_has_spoken_of_since() -> None:
    """Spoken of before the answer arrives, or after it: either way the look may be older than the word."""
    made = looks()
    put = look_at_slurm(made, FakeSlurm(), made.begin_slurm(NOW))
    made.doubt(frozenset({7}))
    put()
    during = made.asked_jobs
    look(made, FakeSlurm(), after(1))
    asked = made.asked_jobs
    made.doubt(frozenset({7}))

    assert (during, asked, made.asked_jobs) == (frozenset(), frozenset({7}), frozenset())


def test_a_slot_is_looked_at_while_somebody_cares() -> None:
    """At once, then every five seconds; a look from before a quiet time is forgotten."""
    made = looks()
    first = made.slots_due(NOW)
    made.fs_looked["amlfs"] = NOW
    look_at_slot(made, "amlfs", file_system(FakeArm()), NOW)()
    due = [made.slots_due(after(seconds)) for seconds in (4, 5)]
    made.plan(Records(), frozenset())
    forgotten = made.seen(NOW, (), {}).file_systems
    made.plan(Records({7: JOB}, {KEY: STAGE}, leases={LEASE.key: LEASE}), frozenset())

    assert first == ["amlfs"]
    assert due == [[], ["amlfs"]]
    assert forgotten == {}
    assert made.slots_due(after(1)) == ["amlfs"]


def test_a_slot_that_cannot_be_seen_is_looked_at_less_often(caplog: pytest.LogCaptureFixture) -> None:
    """After a minute at the most, or as Azure asks; the log has the first failure, and a line each time they double."""
    caplog.set_level(logging.INFO)
    made, arm = looks(), FakeArm()
    at, gaps = NOW, []
    for _ in range(10):
        arm.faults = [BROKEN]
        made.fs_looked["amlfs"] = at
        look_at_slot(made, "amlfs", file_system(arm), at)()
        pause = next(it for it in range(1, 100) if made.slots_due(at + timedelta(seconds=it)))
        gaps.append(pause)
        at += timedelta(seconds=pause)
    arm.faults = [TemporaryError("slow down", retry_after=timedelta(seconds=300))]
    made.fs_looked["amlfs"] = at
    look_at_slot(made, "amlfs", file_system(arm), at)()
    asked = [made.slots_due(at + timedelta(seconds=it)) for it in (299, 300)]
    arm.faults = []
    look_at_slot(made, "amlfs", file_system(arm), at)()

    assert gaps == [5, 5, 5, 8, 16, 32, 60, 60, 60, 60]
    assert asked == [[], ["amlfs"]]
    assert made.slots_due(at + timedelta(seconds=5)) == ["amlfs"]
    told = [(it.message, getattr(it, "amlfs_pairs")) for it in caplog.records]  # noqa: B009 - it is no field of its type
    assert [pairs["times"] for word, pairs in told if word == "look-failed"] == [1, 2, 4, 8]
    assert told[-1] == ("look-works-again", {"fs": "amlfs", "failed": 11})


def test_auto_jobs_are_looked_for_once_a_minute_and_remembered() -> None:
    """Through a look that fails, too."""
    made, arm = looks(), FakeArm()
    arm.auto.append("autoExport nightly")
    look_at_slot(made, "amlfs", file_system(arm), NOW)()
    arm.auto.clear()
    seen = []
    for seconds in (5, 10, 61):
        if seconds == 5:
            arm.faults.append(BROKEN)
        look_at_slot(made, "amlfs", file_system(arm), after(seconds))()
        seen.append(made.file_systems["amlfs"])

    assert [it.auto_jobs for it in seen] == [("autoExport nightly",), ("autoExport nightly",), ()]
    assert [it.trouble for it in seen] == ["no answer", "", ""]
    assert seen[0].view is None


def under_way(began: datetime, blobs: int) -> Records:
    """Make records of an import that Azure took then; it is taken to need 5 s, and 1 s for 2,000 blobs."""
    transfer = Transfer("amlfs-7-x", "amlfs", TransferKind.IMPORT, ("/a/",), began, leases=(LEASE.key,), blobs=blobs)
    asked = replace(transfer, phase=TransferPhase.ASKED, asked=began)
    tempos = {"amlfs": Tempo.assume(5, 2000)}
    return Records({7: JOB}, {KEY: STAGE}, {"amlfs-7-x": asked}, {LEASE.key: LEASE}, tempos)


def test_an_import_is_looked_at_when_it_should_be_over() -> None:
    """Not a moment sooner than the usual pace asks for otherwise, and then each second, ever slower."""
    made = looks()
    made.plan(under_way(NOW, 4000), frozenset())
    made.fs_looked["amlfs"] = after(4)
    due = [made.slots_due(after(seconds)) for seconds in (6.9, 7.1)]
    made.fs_looked["amlfs"] = after(7.1)
    soon = [made.slots_due(after(seconds)) for seconds in (8, 8.2)]
    made.fs_looked["amlfs"] = after(17)
    later = [made.slots_due(after(seconds)) for seconds in (18.9, 19.1)]

    assert due == soon == later == [[], ["amlfs"]]


def test_while_an_import_runs_only_it_is_read() -> None:
    """The file system's own health is read once a minute then."""
    made = looks()
    arm = FakeArm()
    made.plan(under_way(NOW, 4000), frozenset())
    look_at_slot(made, "amlfs", file_system(arm), NOW)()
    before = made.file_systems["amlfs"].view
    look_at_slot(made, "amlfs", file_system(arm), after(5))()
    again = made.file_systems["amlfs"].view
    look_at_slot(made, "amlfs", file_system(arm), after(61))()

    assert before is again
    assert made.file_systems["amlfs"].view is not before


def test_the_queue_is_read_while_somebody_stages() -> None:
    """Or always, where imports begin at submission; its cost is bounded."""
    made = looks()
    quiet = Looks(Pace(), ("amlfs",))
    assert [made.queue_due(NOW, ahead) for ahead in Ahead] == [False, True, True]
    assert [quiet.queue_due(NOW, ahead) for ahead in Ahead] == [False, False, True]

    made.queue_looked, made.queue_took = NOW, timedelta(seconds=1)
    assert [made.queue_due(after(seconds), Ahead.BATCH) for seconds in (99, 100)] == [False, True]


def test_what_was_foreseen_is_looked_at_when_nobody_stages_any_more() -> None:
    """Else what a cancelled job would have needed counted as needed until the next one comes."""
    made = looks()
    slurm = FakeSlurm()
    slurm.queued[9] = QueuedJob(9, 61001, ("stage_in prefix=/b/",))
    look_at_queue(made, slurm, RULES)()
    made.plan(Records(), frozenset())
    made.queue_looked = NOW
    due = [made.queue_due(after(seconds), Ahead.BATCH) for seconds in (14, 15)]
    slurm.queued.clear()
    look_at_queue(made, slurm, RULES)()

    assert due == [False, True]
    assert not made.queue_due(after(1000), Ahead.BATCH)


def test_where_nothing_is_done_ahead_the_queue_is_read_while_an_export_waits() -> None:
    """It says who waits for the export's end; what jobs will need is not taken from it."""
    key = StageKey(7, Direction.OUT, 0)
    stage = Stage(key, Ask(Direction.OUT, ("/b/",)), "amlfs", Phase.WAITING, NOW, todo=(Cut("/b/", 1, 1),))
    made, off = looks(), replace(RULES, ahead=Ahead.OFF)
    due = [made.queue_due(NOW, Ahead.OFF)]
    for phase in (Phase.WAITING, Phase.EXPORTING):
        made.plan(Records({7: JOB}, {key: replace(stage, phase=phase)}), frozenset())
        due.append(made.queue_due(NOW, Ahead.OFF))
    slurm = FakeSlurm()
    slurm.queued[9] = QueuedJob(9, 61001, ("stage_in prefix=/b/",), after=frozenset({JobName(7)}))
    look_at_queue(made, slurm, off)()

    assert due == [False, True, False]
    assert (list(made.awaited), made.foreseen) == ([JobName(7)], {})


def test_what_the_queue_will_need_is_kept_when_slurm_does_not_answer() -> None:
    """Silence is no news."""
    made = looks()
    slurm = FakeSlurm()
    slurm.queued[9] = QueuedJob(9, 61001, ("stage_in prefix=/b/", "stage_in prefix=/c/ conflict=overwrite-always"))
    look_at_queue(made, slurm, RULES)()
    known = dict(made.foreseen)
    slurm.faults.append(BROKEN)
    look_at_queue(made, slurm, RULES)()

    assert [key.prefix for key in known] == ["/b/"]
    assert made.foreseen == known


def test_in_hold_mode_all_jobs_with_directives_are_looked_at() -> None:
    """Also when none is known; until Slurm has answered once nothing is given back, for it may be in use."""
    made, slurm = Looks(Pace(), ("amlfs",), holds=True), FakeSlurm()
    slurm.records[9], slurm.records[8] = JobView(9, 61001, "PENDING"), JobView(8, 61001, "PENDING")
    slurm.queued[9] = QueuedJob(9, 61001, ("stage_in prefix=/a/",))
    assert made.slurm_due(NOW)
    slurm.faults.append(BROKEN)
    look(made, slurm)
    assert made.seen(NOW, (), {}).unadopted
    assert made.slurm_due(after(1))
    look(made, slurm, after(1))
    seen = made.seen(NOW, (), {})
    assert not seen.unadopted
    assert (seen.jobs, seen.asked_jobs) == ({9: slurm.records[9]}, {9})
    assert seen.declared[9].directives == ("stage_in prefix=/a/",)
    made.doubt(frozenset({9}))
    assert not made.seen(NOW, (), {}).asked_jobs
    assert not made.queue_due(NOW, Ahead.BATCH)


def test_who_runs_is_not_known_before_slurm_has_told() -> None:
    """It is asked for once, and soon again while Slurm does not answer; what a pass has taken up is forgotten."""
    made, slurm = Looks(Pace(), ()), FakeSlurm()
    slurm.records[7] = JobView(7, 61001, "RUNNING")
    slurm.lives[7] = LivingJob(7, 61001, 61001, ("stage_in prefix=/a/",), "RUNNING")
    slurm.faults.append(TemporaryError("slurmctld is down"))
    made.living_looked = NOW
    silent = look_at_living(made, slurm, lambda _: "1-1")()
    assert (silent, made.seen(NOW, (), {}).unadopted, made.adopted()) == (False, True, False)
    assert not made.living_due(NOW + timedelta(seconds=1))
    assert made.living_due(NOW + timedelta(seconds=2))
    told = look_at_living(made, slurm, lambda _: "1-1")()
    seen = made.seen(NOW, (), {})
    assert (told, seen.unadopted, [it.token_in for it in seen.living]) == (True, False, ["1-1"])
    assert [made.adopted(), made.adopted()] == [True, False]
    assert (made.seen(NOW, (), {}).living, made.living_due(NOW + timedelta(days=1))) == ((), False)


def test_in_hold_mode_every_look_tells_who_runs() -> None:
    """None is made for that alone."""
    made = Looks(Pace(), (), holds=True)
    assert made.seen(NOW, (), {}).unadopted
    assert not made.living_due(NOW)
    look_at_slurm(made, FakeSlurm(), frozenset())()
    assert not made.seen(NOW, (), {}).unadopted
    assert made.adopted()
