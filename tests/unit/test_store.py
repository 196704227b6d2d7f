from __future__ import annotations

import sqlite3
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.adapters.memory_reading import read_events, read_records
from slurm_amlfs.adapters.store import SqliteStore
from slurm_amlfs.domain.ask import Ask, Conflict, Direction, ExportOn, Hydrate
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.lease import Lease, LeaseKey, Part
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import (
    Event,
    Job,
    Life,
    Outcome,
    Records,
    Stage,
    StageKey,
    Transfer,
    TransferKind,
    TransferPhase,
)
from slurm_amlfs.domain.resting import Resting
from slurm_amlfs.domain.tempo import Tempo
from slurm_amlfs.errors import TemporaryError

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
KEY = StageKey(7, Direction.IN, 0)
JOB = Job(7, 61001, 61001, ("stage_in prefix=/a/",), NOW)
STAGE = Stage(KEY, Ask(Direction.IN, ("/a/",)), "amlfs", Phase.WAITING, NOW)
LEASE = Lease(LeaseKey("amlfs", "/a/", Conflict.SKIP, 1000), NOW, NOW, parts=(Part("/a/", 3, 300),))
TRANSFER = Transfer("amlfs-7-x", "amlfs", TransferKind.IMPORT, ("/a/",), NOW, leases=(LEASE.key,))
RECORDS = Records({7: JOB}, {KEY: STAGE}, {"amlfs-7-x": TRANSFER}, {LEASE.key: LEASE}, {"amlfs": Tempo.assume(5, 2000)})
EMPTY = Records()
EVENTS = (Event(7, NOW, "submitted", "stage_in prefix=/a/"), Event(7, NOW, "imported", "/a/"))

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIMES = st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1))  # noqa: DTZ001 - hypothesis wants its bounds naive
MAYBE = st.none() | TIMES
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
NUMBERS = st.integers(0, 2**53)
ASKS = st.builds(
    Ask,
    direction=st.sampled_from(Direction),
    prefixes=TEXTS,
    conflict=st.sampled_from(Conflict),
    max_errors=st.integers(-1, 2**31 - 1),
    hydrate=st.sampled_from(Hydrate),
    on=st.sampled_from(ExportOn),
    release=st.none() | st.booleans(),
    refresh=st.booleans(),
    fs=TEXT,
)
KEYS = st.builds(StageKey, NUMBERS, st.sampled_from(Direction), st.integers(0, 50))
STAGES = st.builds(
    Stage,
    key=KEYS,
    ask=ASKS,
    fs=TEXT,
    phase=st.sampled_from(Phase),
    since=TIMES,
    asked=MAYBE,
    not_before=MAYBE,
    progressed=MAYBE,
    message=TEXT,
    beginnings=TEXTS,
    todo=st.lists(st.builds(Cut, TEXT, NUMBERS, NUMBERS), max_size=3).map(tuple),
    bytes_total=NUMBERS,
)
JOBS = st.builds(
    Job,
    job_id=NUMBERS,
    uid=NUMBERS,
    gid=st.integers(-1, 2**31),
    directives=TEXTS,
    submitted=TIMES,
    life=st.sampled_from(Life),
    succeeded=st.none() | st.booleans(),
    closed=MAYBE,
    commented=MAYBE,
    not_before=MAYBE,
    comment=TEXT,
)
LEASE_KEYS = st.builds(LeaseKey, TEXT, TEXT, st.sampled_from(Conflict), st.integers(-1, 2**31 - 1))
PARTS = st.builds(Part, prefix=TEXT, blobs=NUMBERS, total_bytes=NUMBERS, imported=MAYBE, suspect=TEXT)
LEASES = st.builds(
    Lease,
    key=LEASE_KEYS,
    since=TIMES,
    used=TIMES,
    counted=MAYBE,
    parts=st.lists(PARTS, max_size=3).map(tuple),
    took=st.timedeltas(timedelta(0), timedelta(days=1)),
    proving=MAYBE,
    proved=MAYBE,
    missing=TEXTS,
    kept=TEXTS,
    message=TEXT,
    whole=st.booleans(),
    pinned=st.booleans(),
)
TRANSFERS = st.builds(
    Transfer,
    transfer_id=TEXT,
    fs=TEXT,
    kind=st.sampled_from(TransferKind),
    prefixes=TEXTS,
    leases=st.lists(LEASE_KEYS, max_size=3).map(tuple),
    stages=st.lists(KEYS, max_size=3).map(tuple),
    created=TIMES,
    phase=st.sampled_from(TransferPhase),
    outcome=st.sampled_from(Outcome),
    baseline=MAYBE,
    started=MAYBE,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a database that is not there yet."""
    return tmp_path / "amlfs.db"


def reopened(path: Path) -> tuple[Records, tuple[Event, ...]]:
    """Read what a new daemon would find."""
    store = SqliteStore(path)
    try:
        return store.load()
    finally:
        store.close()


def test_what_was_saved_is_there_after_a_crash(path: Path) -> None:
    """A store that is never closed has lost nothing: records, and events in their order."""
    store = SqliteStore(path)
    store.save(EMPTY, RECORDS, EVENTS)

    assert reopened(path) == (RECORDS, EVENTS)
    store.close()


@given(job=JOBS, stage=STAGES, transfer=TRANSFERS, lease=LEASES)
def test_every_record_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, job: Job, stage: Stage, transfer: Transfer, lease: Lease
) -> None:
    """Whatever is in it: times, enums, any text that is text."""
    tempos = {"amlfs": Tempo.assume(5, 2000).turn_took(4000, 7).weight_came(1, 10)}
    records = Records(
        {job.job_id: job}, {stage.key: stage}, {transfer.transfer_id: transfer}, {lease.key: lease}, tempos
    )
    path = tmp_path_factory.mktemp("store") / "amlfs.db"
    store = SqliteStore(path)
    store.save(EMPTY, records, ())
    found, _ = store.load()
    store.close()

    assert found == records


def test_only_what_differs_is_written(path: Path) -> None:
    """An equal record costs no write, a changed one replaces the old, one that is gone is gone."""
    store = SqliteStore(path)
    store.save(EMPTY, RECORDS, ())
    changes = store._file.db.total_changes  # noqa: SLF001 - SQLite's own count
    same = replace(RECORDS, jobs={7: replace(JOB)}, stages={KEY: replace(STAGE)}, leases={LEASE.key: replace(LEASE)})
    store.save(RECORDS, same, EVENTS[:1])
    written = store._file.db.total_changes - changes  # noqa: SLF001
    after = Records({7: replace(JOB, life=Life.ENDED)}, {}, {})
    store.save(same, after, ())
    store.close()

    assert written == 2, "the event, and how often it was saved"
    assert reopened(path)[0] == after


def test_closed_jobs_keep_their_history(path: Path) -> None:
    """A forgotten job is no longer loaded; its timeline can still be read, by another process too."""
    store = SqliteStore(path)
    store.save(EMPTY, RECORDS, EVENTS)
    store.save(RECORDS, EMPTY, (Event(7, NOW + timedelta(seconds=1), "closed", ""),))
    past = store._file.db.execute("SELECT job_id, kind FROM past ORDER BY kind").fetchall()  # noqa: SLF001
    store.close()

    assert reopened(path) == (EMPTY, ())
    assert [event.word for event in read_events(path, 7)] == ["submitted", "imported", "closed"]
    assert past == [(7, "job"), (7, "stage")]


def test_each_database_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Hooks see by it that the daemon's memory is new."""
    one, other = SqliteStore(tmp_path / "one"), SqliteStore(tmp_path / "other")
    first = one.epoch
    one.close()
    again = SqliteStore(tmp_path / "one")

    assert first == again.epoch != other.epoch
    again.close()
    other.close()


def test_only_its_owner_may_read_it(path: Path) -> None:
    """Prefixes and messages are not for everybody."""
    store = SqliteStore(path)
    store.save(EMPTY, RECORDS, EVENTS)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    store.close()

    assert modes == {0o600}


def test_a_failed_save_leaves_what_was(path: Path) -> None:
    """All of a pass or nothing of it."""
    store = SqliteStore(path)
    store.save(EMPTY, RECORDS, EVENTS)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._file.db.execute("PRAGMA busy_timeout=1")  # noqa: SLF001 - else the test waits as long as the daemon would
    with pytest.raises(TemporaryError, match="nobody else uses it"):
        store.save(RECORDS, EMPTY, ())
    other.execute("ROLLBACK")
    other.close()
    found, _ = store.load()
    store.save(found, EMPTY, ())
    store.close()

    assert found == RECORDS
    assert reopened(path)[0] == EMPTY


def test_text_that_is_no_text_does_not_stop_the_store(path: Path) -> None:
    """Half a surrogate pair, wherever it came from, is written as what can be read."""
    records = replace(RECORDS, stages={KEY: replace(STAGE, message="bad \ud800 text")})
    store = SqliteStore(path)
    store.save(EMPTY, records, (Event(7, NOW, "submitted", "/a/\udcff"),))
    store.close()
    found, events = reopened(path)

    assert found.stages[KEY].message == "bad ? text"
    assert events[0].detail == "/a/\\udcff"


def test_a_database_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With its path, as something that an admin can mend."""
    with pytest.raises(TemporaryError, match="nowhere"):
        SqliteStore(tmp_path / "nowhere" / "amlfs.db")


def test_a_database_that_is_not_there_cannot_be_read(path: Path) -> None:
    """Reading a timeline makes no database."""
    with pytest.raises(TemporaryError, match="cannot be read"):
        read_events(path, 7)
    assert not path.exists()


def test_old_history_is_forgotten_once_a_day(tmp_path: Path) -> None:
    """That of jobs that are gone for 90 days; an open job keeps all of its own, however old."""
    time = [NOW]
    store = SqliteStore(tmp_path / "amlfs.db", lambda: time[0])
    open_job = Records({8: replace(JOB, job_id=8)})
    store.save(
        EMPTY, replace(RECORDS, jobs={**RECORDS.jobs, **open_job.jobs}), (*EVENTS, Event(8, NOW, "submitted", ""))
    )
    store.save(replace(RECORDS, jobs={**RECORDS.jobs, **open_job.jobs}), open_job, ())

    def counts(days: float) -> tuple[int, int, int]:
        """Save something that day; count the gone job's events, its past, and the open one's events."""
        time[0] = NOW + timedelta(days=days)
        store.save(open_job, open_job, (Event(9, time[0], "x", ""),))
        db = sqlite3.connect(tmp_path / "amlfs.db")
        past = db.execute("SELECT count(*) FROM past WHERE job_id = 7").fetchone()[0]
        db.close()
        return len(store.events(7)), past, len(store.events(8))

    assert counts(89.5) == (2, 2, 1)
    assert counts(90.2) == (2, 2, 1)
    assert counts(90.6) == (0, 0, 1)
    assert len(store.events(9)) == 3
    store.close()


def test_leases_at_rest_are_written_too(tmp_path: Path) -> None:
    """A lease that is laid to rest stays as it is; changed there, it is written; forgotten, it is gone."""
    others = [replace(LEASE, key=LEASE.key._replace(prefix=f"/rest/{number}/")) for number in range(3)]
    first = Records(leases={it.key: it for it in [LEASE, *others]})
    second = Records(leases={LEASE.key: LEASE}, resting=Resting().changed(others))
    third = replace(second, resting=second.resting.changed([replace(others[0], message="new")], [others[1].key]))
    store = SqliteStore(tmp_path / "amlfs.db")
    store.save(Records(), first, ())
    store.save(first, second, ())
    assert store.load()[0].leases == first.leases
    store.save(second, third, ())
    read = read_records(tmp_path / "amlfs.db")
    assert read.leases == {**third.leases, **{it.key: it for it in third.resting}}
    store.close()
