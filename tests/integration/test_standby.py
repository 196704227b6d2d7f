"""Two daemons on one state directory: one acts, the other waits for its end."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sandbox.daemon import daemon
from sandbox.options import Options
from sandbox.service import Service, StartError
from sandbox.site import Site
from slurm_amlfs.adapters.store import FILE_NAME
from tests.integration import seeing
from tests.integration.conftest import FAST

pytestmark = pytest.mark.integration

COPY = '#!/bin/sh\nmkdir -p "$AMLFS_EXPORT_DIR"\ncp "$AMLFS_IMPORT_DIR/in" "$AMLFS_EXPORT_DIR/out"\n'
QUICK = ("renew_seconds = 0.5", "takeover_seconds = 15.0")


@pytest.fixture(scope="module")
def pair() -> Iterator[Site]:
    """A site of this file's, whose daemon takes over within seconds."""
    with Site.temporary(Options(emulator=FAST, standby=QUICK)) as made:
        yield made


@contextmanager
def waiting(site: Site) -> Iterator[Service]:
    """Have a standby wait meanwhile; afterwards the site's own daemon acts again."""
    standby = daemon(site.config, site.logs, "standby", standby=True)
    standby.start()
    try:
        yield standby
    finally:
        standby.stop()
        site.daemon.stop()
        site.daemon.start()


def said(service: Service, word: str) -> list[str]:
    """Read the lines with an event that a daemon has logged since it was started."""
    return [line for line in service.said().splitlines() if f" {word} " in f"{line} "]


def wait_until_acts(site: Site, standby: Service) -> None:
    """Wait until the standby has taken over."""
    site.wait(lambda: said(standby, "ready"), seeing.LONG, "the standby has taken over")


def check(site: Site, job: int, name: str) -> None:
    """Wait for the job's end; see that nothing was imported twice, and that its output is in Blob."""
    seeing.wait_until_closed(site, job)
    assert len(seeing.imports_of(site, f"/{name}/")) == 1
    assert len(seeing.archives_of(site, f"/jobs/{name}/")) == 1
    assert seeing.blob(site, f"jobs/{name}/out") == b"x"


def pauses(site: Site) -> bool:
    """Stop the daemon, or let it go on if it is writing its database: nobody could take over, since it has the lock."""
    pid = site.daemon.pid
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    site.wait(lambda: all(state_of(it) == "T" for it in threads.iterdir()), seeing.LONG, "all its threads are stopped")
    with closing(sqlite3.connect(site.state_dir / FILE_NAME, timeout=0)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            return False
    return True


def state_of(thread: Path) -> str:
    """Read the letter of a thread's state."""
    return (thread / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def submit(site: Site, name: str) -> int:
    """Submit a job with both directions, and wait until its import runs."""
    seeing.put_blob(site, f"{name}/in", b"x")
    job = site.submit("alice", COPY, f"--amlfs-import=/{name}/", f"--amlfs-export=/jobs/{name}/")
    site.wait(lambda: seeing.imports_of(site, f"/{name}/"), seeing.LONG, "the import runs")
    return job


def test_a_second_daemon_is_refused(pair: Site) -> None:
    """By one line that names the first; that one goes on."""
    second = daemon(pair.config, pair.logs, "second")
    with pytest.raises(StartError, match=f"is held by slurm-amlfsd on .*, pid {pair.daemon.pid}, since "):
        second.start()
    [line] = [it for it in second.said().splitlines() if "term-awaited" not in it]
    assert line.startswith("slurm-amlfsd: ")
    assert pair.daemon.running


def test_the_holder_is_killed(pair: Site, name: str) -> None:
    """The standby brings the stage-in to its end: the import goes on, and is not made twice."""
    with waiting(pair) as standby:
        with seeing.held(pair, "import"):
            job = submit(pair, name)
            pair.daemon.kill()
            wait_until_acts(pair, standby)
        check(pair, job, name)


def test_the_holder_hangs_and_wakes_up(pair: Site, name: str) -> None:
    """The standby takes over; the first acts no more, says so in one line, and ends."""
    with waiting(pair) as standby:
        with seeing.held(pair, "import"):
            job = submit(pair, name)
            seeing.wait_for_phase(pair, job, "importing")
            first = pair.daemon.pid
            try:
                pair.wait(lambda: pauses(pair), seeing.LONG, "the first one is stopped, and writes nothing")
                wait_until_acts(pair, standby)
                before = pair.daemon.said()
            finally:
                os.kill(first, signal.SIGCONT)
            pair.wait(lambda: not pair.daemon.running, seeing.LONG, "the first one has ended")
        [line] = [it for it in pair.daemon.said().removeprefix(before).splitlines() if " term-lost " in it]
        assert f"pid {standby.pid}" in line
        check(pair, job, name)
        assert not said(standby, "term-lost")


def test_the_holder_is_stopped(pair: Site) -> None:
    """It gives back what it holds, so that the standby need not wait."""
    with waiting(pair) as standby:
        pair.daemon.stop()
        wait_until_acts(pair, standby)
        [line] = said(standby, "term-taken")
        assert "given back" in line
