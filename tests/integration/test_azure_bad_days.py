"""Azure's bad days: nothing is lost, nobody fails who could wait, the board says why, and it goes on by itself.

The SDK and the HTTP are real; the clock is the test's, so that an hour of an outage takes a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from azure.mgmt.storagecache.models import ImportJobUpdate, ImportJobUpdateProperties
from azure_days import BUDGET, Day
from emulator_bed import PLACE, Bed, bed

from sandbox.site import Site
from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.wire import Answer
from tests.integration import seeing

__all__ = ["bed"]

pytestmark = pytest.mark.integration

FILE_SYSTEM = "amlFilesystems.get"
LIST = "importJobs.list"
PUT = "importJobs.put"

OUTAGES = {
    "429 with seconds": (Fault(Name.THROTTLE, LIST, retry_after=60), "Azure asks to slow down"),
    "429 with a date": (Fault(Name.THROTTLE, LIST, retry_after=60, message="date"), "Azure asks to slow down"),
    "429 without a word": (Fault(Name.THROTTLE, LIST), "Azure asks to slow down"),
    "429 to the start": (Fault(Name.THROTTLE, PUT, retry_after=60), "Azure asks to slow down"),
    "500": (Fault(Name.ERROR, "*"), "HTTP 500 InternalServerError.*goes on by itself"),
    "503": (Fault(Name.ERROR, "*", status=503), "HTTP 503 ServerTimeout.*goes on by itself"),
    "503 to the start": (Fault(Name.ERROR, PUT, status=503), "HTTP 503 ServerTimeout.*goes on by itself"),
    "cut off before": (Fault(Name.DROP_BEFORE, "*"), "Azure gave no usable answer.*goes on by itself"),
    "expired": (Fault(Name.ERROR, "*", status=401), "HTTP 401 ExpiredAuthenticationToken.*identity its roles"),
    "refused": (Fault(Name.ERROR, "*", status=403), "HTTP 403 AuthorizationFailed.*identity its roles"),
    "somebody else's slot": (Fault(Name.REFUSE, PUT), "HTTP 409.*something else is under way"),
    "no list": (Fault(Name.ALTER, LIST, message="value=7"), "no usable answer to list import jobs"),
    "maintenance": (Fault(Name.MAINTENANCE), "in Maintenance: The cluster is under maintenance; it goes on by itself"),
    "degraded": (Fault(Name.ALTER, FILE_SYSTEM, message='properties.health.state="Degraded"'), "portal"),
    "unavailable": (Fault(Name.ALTER, FILE_SYSTEM, message='properties.health.state="Unavailable"'), "support"),
    "expanding": (Fault(Name.ALTER, FILE_SYSTEM, message='properties.health.state="Expanding"'), "in Expanding"),
    "a new word": (Fault(Name.ALTER, FILE_SYSTEM, message='properties.health.state="Dozing"'), "in Dozing"),
    "updating": (Fault(Name.ALTER, FILE_SYSTEM, message='properties.provisioningState="Updating"'), "being changed"),
    "no health": (Fault(Name.ALTER, FILE_SYSTEM, message="properties.health"), "does not say how the file system is"),
    "nothing at all": (Fault(Name.ALTER, FILE_SYSTEM, message="properties=null"), "does not say how the file system"),
}


@pytest.fixture
def day(bed: Bed, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Day]:
    made = Day(bed, tmp_path)
    yield made
    bed.control.let_go()
    made.end()
    broke = [it.message for it in caplog.records if it.message.endswith("-broke") or it.message == "pass-failed"]
    assert broke == []


@pytest.mark.parametrize(("fault", "said"), OUTAGES.values(), ids=OUTAGES)
def test_an_outage_before_the_import_is_waited_out(day: Day, fault: Fault, said: str) -> None:
    """Half an hour of it: told on the board, with few calls; then the job is staged in, by one import."""
    day.bed.control.set(fault)
    day.submit()
    for _ in range(45):
        day.turn(40)
    message, answer, calls = day.message(), day.answer("1-1"), day.calls()
    day.bed.control.let_go()
    day.until(day.is_staged_in, turns=120)

    assert answer is Answer.BUSY
    assert re.search(said, message)
    # Looks that succeed are not repeated calls: two each turn, and four each minute.
    assert calls <= 45 * 2 + 30 * 4 + BUDGET
    assert day.asked(PUT) <= 60
    assert day.ran("import") == 1
    assert day.files.receipts


def test_an_hour_of_failures_makes_no_more_calls_than_the_budget(day: Day) -> None:
    """Also when the daemon dies every five minutes; it says until when it waits, and goes on by itself."""
    day.end()
    day.budget = 40
    day.begin()
    day.submit()
    day.until(lambda: bool(day.message()) or day.asked(FILE_SYSTEM) > 0)
    before = day.calls()
    day.set(Name.DROP_BEFORE)
    said = set()
    for number in range(720):
        day.turn(5)
        said.add(day.message().split(";")[0])
        if number % 60 == 59:
            day.end()
            day.begin()
    calls = day.calls() - before
    day.bed.control.let_go()
    day.until(day.is_staged_in, turns=900)

    # Each kind of call may be made once, before it is known to fail.
    assert calls <= day.budget + 10
    assert any(f"the {day.budget} repeated calls of an hour are used up" in it for it in said)
    assert day.ran("import") == 1


@pytest.mark.parametrize("name", [Name.DROP_BEFORE, Name.DROP_AFTER])
@pytest.mark.parametrize("operation", [PUT, "archive.post", "importJobs.delete"])
def test_a_lost_answer_repeats_nothing_that_took(day: Day, name: Name, operation: str) -> None:
    """Whether it took is seen in what Azure lists, so there is one import and one archive."""
    day.set(name, operation, times=1)
    day.submit()
    day.until(day.is_staged_in, turns=200)
    day.run_and_end()
    day.until(lambda: day.answer("2-1") is Answer.DONE, turns=200)

    assert day.bed.control.hits(name) == 1
    assert (day.ran("import"), day.ran("archive")) == (1, 1)
    assert (day.bed.blobs / "jobs/7/out").read_bytes() == b"result"


ODD = {
    "an unknown state": 'value.properties.status.state="Pondering"',
    "no state": "value.properties.status.state",
    "no status": "value.properties.status=null",
    "no properties": "value.properties",
    "no times": "value.properties.status.lastStartedTime=null",
    "counters that are none": 'value.properties.status.totalBlobsImported="many"',
}


@pytest.mark.parametrize("alteration", ODD.values(), ids=ODD)
def test_an_import_that_azure_tells_half_of_is_waited_for(day: Day, alteration: str) -> None:
    """Fields that are missing, null, or that nobody knows are not known, and break nothing."""
    day.set(Name.ALTER, LIST, message=alteration)
    day.submit()
    for _ in range(60):
        day.turn(5)
    day.bed.control.let_go()
    day.until(day.is_staged_in, turns=100)
    assert day.ran("import") == 1


def test_an_import_that_is_not_listed_is_looked_for_before_it_is_asked_for_again(day: Day) -> None:
    """A few looks that lack it change nothing; after a minute it is asked for by its name, and meets itself."""
    day.bed.control.stall("import")
    day.submit()
    day.until(lambda: day.ran("import") == 1)
    day.set(Name.ALTER, LIST, message="value=[]")
    for _ in range(8):
        day.turn(5)
    few = day.asked(PUT)
    day.until(lambda: day.asked(PUT) == 2, turns=60)
    day.bed.control.let_go(Name.ALTER)
    day.turn(5)
    day.bed.control.let_go()
    day.until(day.is_staged_in, turns=100)

    assert few == 1
    assert day.ran("import") == 1


def test_an_import_that_never_ends_is_told_and_left_to_people(day: Day) -> None:
    """Told after ten minutes, never cancelled by us; when an admin cancels it, it is asked for again."""
    day.bed.control.stall("import")
    day.submit()
    day.until(lambda: day.ran("import") == 1)
    for _ in range(150):
        day.turn(5)
    message, cancelled = day.message(), day.asked("importJobs.patch")
    [job] = [it for it in day.bed.arm.import_jobs.list_by_aml_filesystem(*PLACE) if it.name.startswith("amlfs-")]
    wish = ImportJobUpdate(properties=ImportJobUpdateProperties(admin_status="Cancel"))
    day.bed.arm.import_jobs.begin_update(*PLACE, job.name, wish).result()
    day.bed.ended(job.name)
    day.bed.control.let_go()
    day.until(day.is_staged_in, turns=100)

    assert "Azure has not ended this import for more than 10 minutes, where 1 minute should do" in message
    assert cancelled == 0
    assert [it.outcome for it in day.bed.control.imports()] == ["Canceled", "Completed"]


def test_an_arm_operation_that_never_ends_holds_nothing_up(day: Day) -> None:
    """It tells nothing of the import, so nobody waits for it."""
    day.set(Name.ENDLESS, PUT)
    day.submit()
    day.until(day.is_staged_in, turns=60)


def test_an_archive_that_says_completed_too_early_is_not_believed(day: Day) -> None:
    """The export is called done when the blob is there."""
    day.submit()
    day.until(day.is_staged_in, turns=100)
    day.set(Name.EARLY, "archive")
    day.run_and_end()
    day.until(lambda: day.answer("2-1") is Answer.DONE, turns=300)
    assert (day.bed.blobs / "jobs/7/out").read_bytes() == b"result"


@pytest.mark.parametrize("seconds", [600.0, -600.0])
def test_clocks_ten_minutes_apart_decide_nothing(day: Day, caplog: pytest.LogCaptureFixture, seconds: float) -> None:
    """Said once; a Retry-After that is a date is waited by Azure's clock, and the job goes its way."""
    day.set(Name.CLOCK, seconds=seconds)
    day.set(Name.THROTTLE, PUT, times=1, retry_after=30, message="date")
    day.submit()
    day.until(lambda: "slow down" in day.message())
    told = day.now
    day.until(lambda: day.ran("import") == 1)
    waited = day.now - told
    day.until(day.is_staged_in, turns=60)

    assert timedelta(seconds=20) <= waited <= timedelta(seconds=60)
    assert [it.message for it in caplog.records].count("clock-off") == 1


def test_a_job_of_slurms_is_told_of_maintenance_and_goes_on(site: Site, name: str) -> None:
    """Its reason stays BurstBufferStageIn; AdminComment says what is waited for; then it runs."""
    seeing.put_blob(site, f"{name}/in", b"x")
    site.faults.set(Fault(Name.MAINTENANCE))
    try:
        job = site.submit("alice", "#!/bin/sh\ntrue\n", f"--amlfs-import=/{name}/")
        seeing.wait_for_reason(site, job, "BurstBufferStageIn")
        site.wait(lambda: "in Maintenance" in site.job(job).get("AdminComment", ""), seeing.LONG, "the comment tells")
        assert seeing.imports_of(site, name) == []
    finally:
        site.faults.clear([Name.MAINTENANCE])
    seeing.wait_for_state(site, job, "COMPLETED")
    seeing.wait_until_closed(site, job)


def test_a_job_of_slurms_outlives_a_day_of_everything(site: Site, name: str) -> None:
    """Throttled, failed and cut off, one after the other, in and out: it is staged in, runs, and its output arrives."""
    seeing.put_blob(site, f"{name}/in", b"x")
    faults = [
        Fault(Name.THROTTLE, "*", times=2, retry_after=1),
        Fault(Name.ERROR, "*", times=3, status=503),
        Fault(Name.DROP_AFTER, PUT, times=1),
        Fault(Name.DROP_BEFORE, "archive.post", times=1),
    ]
    for fault in faults:
        site.faults.set(fault)
    try:
        script = f"#!/bin/sh\nmkdir -p {site.mount}/jobs/{name} && echo done > {site.mount}/jobs/{name}/out\n"
        job = site.submit("alice", script, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
        seeing.wait_until_closed(site, job)
    finally:
        site.faults.clear()
    assert seeing.blob(site, f"jobs/{name}/out") == b"done\n"
    assert [it.outcome for it in seeing.imports_of(site, f"/{name}/")] == ["Completed"]
