"""`scontrol reconfigure` with a hundred jobs that wait staged in: nothing is imported again, and all are ready at once.

From 23.11 on it starts a new slurmctld, which tears all of them down, puts them off by a minute and asks again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median

import pytest

from sandbox.options import Options
from sandbox.site import Site
from slurm_amlfs.wire import Answer, load_board
from tests.integration import seeing
from tests.integration.conftest import FAST

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slurm(since=(23, 11), reason="scontrol reconfigure only reads slurm.conf again before that"),
]

JOBS, PREFIXES = 100, 10
BAR_SECONDS = 5.0
"""From Slurm's ask for a job to its showing the job staged in, and so from its hook's ask to the daemon's answer."""
SCRIPT = "#!/bin/sh\n#AMLFS stage_in prefix=/{prefix}/\ntrue\n"
ALL_CPUS = "--cpus-per-task=64"

LOGGED = ("DebugFlags=BurstBuffer", "SlurmctldDebug=verbose", "LogTimeFormat=rfc5424_ms,format_stderr")
_BEGUN = re.compile(r"\[(\S+)\] .*start job allocate JobId=(\d+)")
_STAGED_IN = re.compile(r"\[(\S+)\] .*Setup/stage-in complete for JobId=(\d+)")
"""Written when the state becomes staging-in and staged-in (burst_buffer_lua.c: _alloc_job_bb, _start_stage_in)."""


@pytest.fixture
def busy(_in_a_cell: None) -> Iterator[Site]:
    """A site whose only node is taken, and whose slurmctld logs burst buffers to the millisecond."""
    with Site.temporary(Options(emulator=FAST, slurm_conf=LOGGED)) as site:
        job = site.submit("bob", "#!/bin/sh\nexec tail -f /dev/null\n", ALL_CPUS, "--time=60")
        seeing.wait_for_state(site, job, "RUNNING")
        yield site


def test_jobs_that_wait_staged_in_are_staged_in_again_at_once(
    busy: Site, name: str, record_property: Callable[[str, object], None]
) -> None:
    """Every one is staged in again within five seconds of Slurm's asking, from what is on Lustre.

    Slurm's ask is the line in slurmctld's log with which it makes a job staging-in again. It then starts two processes
    for each job, setup and data_in, which writes the file that the daemon answers. Slurm hears the answer at its next
    poll, up to a PollInterval later (1 s here, 3 s as shipped, 15 s by Slurm's default), and shows staged-in then. How
    soon Slurm has run those 200 processes is up to the machine, and is most of it: so the matrix runs this alone. All
    three times are told. The minute by which Slurm puts the jobs off before it asks is cut short here.
    """
    jobs = staged_in(busy, name)
    imports, before = len(busy.faults.imports()), {asked(busy, job)[0] for job in jobs}
    said = len(busy.slurmctld.said())
    by_hook: dict[int, float] = {}
    answered: dict[int, float] = {}

    def all_answered() -> bool:
        hasten(busy, jobs)
        for job in set(jobs) - set(answered):
            token, when = asked(busy, job)
            if not token or token in before:
                continue
            by_hook.setdefault(job, when)  # the hook writes it anew when it has to ask again
            if when_answered := answer(busy, job, token):
                answered[job] = when_answered
        return len(answered) == JOBS

    busy.run(None, ["scontrol", "reconfigure"])
    busy.wait(all_answered, 3 * seeing.LONG, "an answer to each job's new ask")
    busy.wait(lambda: states(busy, jobs) == {"staged-in"}, seeing.LONG, "all are staged in for Slurm")
    log = busy.slurmctld.said()[said:]
    by_slurm, shown = logged(_BEGUN, log), logged(_STAGED_IN, log)
    answers, staged = since(by_hook, answered, jobs), since(by_slurm, shown, jobs)
    figures = (
        told("from the hook's ask to the daemon's answer", answers),
        told("from Slurm's ask to the daemon's answer", since(by_slurm, answered, jobs)),
        told("from Slurm's ask to staged-in in Slurm", staged),
    )
    for figure in figures:
        record_property("figure", figure)
    assert max(*answers, *staged) <= BAR_SECONDS, "; ".join(figures)
    assert len(busy.faults.imports()) == imports
    busy.run("alice", ["scancel", "--user=alice"])
    for job in jobs:
        seeing.wait_until_closed(busy, job)


def logged(line: re.Pattern[str], log: str) -> dict[int, float]:
    """Read when slurmctld wrote such a line of each job, first."""
    found: dict[int, float] = {}
    for when, job in line.findall(log):
        found.setdefault(int(job), datetime.fromisoformat(when).timestamp())
    return found


def since(begin: Mapping[int, float], end: Mapping[int, float], jobs: Sequence[int]) -> list[float]:
    """Count the seconds of each job from one event to another."""
    return [end[job] - begin[job] for job in jobs]


def told(what: str, seconds: Sequence[float]) -> str:
    """Write a figure."""
    return f"{JOBS} jobs {what}: {max(seconds):.2f} s at most, {median(seconds):.2f} s median"


def staged_in(site: Site, name: str) -> list[int]:
    """Submit the jobs and have all of them begin at once, since one that waits for a node keeps later ones back."""
    prefixes = [f"{name}-{number}" for number in range(PREFIXES)]
    for prefix in prefixes:
        seeing.put_blob(site, f"{prefix}/in", b"x")
    options = (ALL_CPUS, "--time=1", "--hold")
    jobs = [site.submit("alice", SCRIPT.format(prefix=prefixes[number % PREFIXES]), *options) for number in range(JOBS)]
    site.run("alice", ["scontrol", "release", ",".join(map(str, jobs))])
    site.wait(lambda: states(site, jobs) == {"staged-in"}, 3 * seeing.LONG, "all are staged in")
    return jobs


def states(site: Site, jobs: Sequence[int]) -> set[str]:
    """Read the burst buffer states of these jobs."""
    named = ",".join(map(str, jobs))
    return set(site.run(None, ["squeue", "--noheader", f"--jobs={named}", "--Format=BurstBufferState"]).split())


def hasten(site: Site, jobs: Sequence[int]) -> None:
    """Take away the minute by which the new slurmctld has put jobs off."""
    argv = ["squeue", "--noheader", f"--jobs={','.join(map(str, jobs))}", "--format=%A %r"]
    lines = [line.split() for line in site.run(None, argv).splitlines()]
    off = [job for job, *reason in lines if reason == ["BeginTime"]]
    if off:
        site.run(None, ["scontrol", "update", f"JobId={','.join(off)}", "StartTime=now"])


def asked(site: Site, job: int) -> tuple[str, float]:
    """Read what the hook notes of its latest ask for a stage-in: its token, and when it was written."""
    path = site.state_dir / "asks" / f"{job}.in"
    try:
        return path.read_text(encoding="ascii").split(" ")[0], path.stat().st_mtime
    except FileNotFoundError:
        return "", 0.0


def answer(site: Site, job: int, ask: str) -> float:
    """Say when the board was written that tells Slurm that an ask is done; 0 while it does not."""
    path = site.state_dir / "board" / str(job)
    try:
        board, written = load_board(path.read_bytes()), path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    return written if board.token_in == ask and board.answer_in is Answer.DONE else 0.0
