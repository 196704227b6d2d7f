"""`scontrol reconfigure` with a hundred jobs that wait staged in: nothing is imported again, and all are ready at once.

From 23.11 on it starts a new slurmctld, which tears all of them down, puts them off by a minute and asks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
"""From Slurm's asking for a job to the daemon's answer, which Slurm hears at its next poll."""
SCRIPT = "#!/bin/sh\n#AMLFS stage_in prefix=/{prefix}/\ntrue\n"
ALL_CPUS = "--cpus-per-task=64"


@pytest.fixture
def busy(_in_a_cell: None) -> Iterator[Site]:
    """A site whose only node is taken."""
    with Site.temporary(Options(emulator=FAST)) as site:
        job = site.submit("bob", "#!/bin/sh\nexec tail -f /dev/null\n", ALL_CPUS, "--time=60")
        seeing.wait_for_state(site, job, "RUNNING")
        yield site


def test_jobs_that_wait_staged_in_are_staged_in_again_at_once(busy: Site, name: str) -> None:
    """Every one within five seconds of Slurm's asking, from what is on Lustre."""
    jobs = staged_in(busy, name)
    imports, before = len(busy.faults.imports()), {asked(busy, job)[0] for job in jobs}
    first_asked: dict[str, float] = {}
    answered: dict[int, float] = {}

    def all_answered() -> bool:
        hasten(busy, jobs)
        for job in set(jobs) - set(answered):
            token, when = asked(busy, job)
            if not token or token in before:
                continue
            first_asked.setdefault(token, when)  # the hook writes it anew when it has to ask again
            if when_answered := answer(busy, job, token):
                answered[job] = when_answered - first_asked[token]
        return len(answered) == JOBS

    busy.run(None, ["scontrol", "reconfigure"])
    busy.wait(all_answered, 3 * seeing.LONG, "an answer to each job's new ask")
    busy.wait(lambda: states(busy, jobs) == {"staged-in"}, seeing.LONG, "all are staged in for Slurm")
    assert max(answered.values()) <= BAR_SECONDS
    assert len(busy.faults.imports()) == imports
    busy.run("alice", ["scancel", "--user=alice"])
    for job in jobs:
        seeing.wait_until_closed(busy, job)


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


def answer(site: Site, job: int, token: str) -> float:
    """Say when the board was written that tells Slurm that an ask is done; 0 while it does not."""
    path = site.state_dir / "board" / str(job)
    try:
        board, written = load_board(path.read_bytes()), path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    return written if board.token_in == token and board.answer_in is Answer.DONE else 0.0
