"""What a seed makes of a run: jobs, and what happens to them, to the daemon, to Slurm and to Azure, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass

from slurm_amlfs.emulator.faults import Fault, Name
from tests.faults.job import Job

FOLDERS = ("a", "b", "c")
STRANGE = "s p$(touch canary)`touch canary`''\"\";%41&.txt"
"""A name that no shell may see."""

CANARY = "canary"
"""What it would leave in the folder in which all programs of a run are started."""

NAMES = tuple(f"in/{folder}/{name}" for folder in FOLDERS for name in ("x", "y", STRANGE))

NOT_GRANTED = "others/key"
FILE_BYTES = 64 * 1024
LASTS_SECONDS = 4.0
"""How long anything goes wrong; after that everything goes well until all is settled."""

WHAT = (
    *("kill", "kill", "kill", "down", "forget", "hang"),
    *("silence", "restart"),
    *("cancel", "hurry", "vanish", "rewrite"),
    *(*["fault"] * 10, "portal", "blobs", "blobs", "lustre"),
)
"""To the daemon (killed, kept down, its memory taken away, stopped for a while), to Slurm (silent, slurmctld killed),
to a job, to Azure (a fault, somebody else's import, connections to Blob Storage that are cut), to Lustre (it hangs)."""

_SMALL_BYTES = 12 * FILE_BYTES
"""A file system on which not all inputs fit beside each other."""


@dataclass(frozen=True)
class Happening:
    """What happens at a moment, one of `WHAT`; `seconds` is how long the daemon is down or Slurm silent."""

    at: float
    what: str
    job_id: int = 0
    seconds: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True)
class Plan:
    """All of it. `deaths` are the crash points of the daemons' starts, the last of which has none.

    `standby`: another daemon always waits for the end of the one that acts. `told` is what a job that waits has to be
    told, and by which invariant or promise.
    """

    seed: int
    export_by: str
    capacity_bytes: int
    inputs: dict[str, bytes]
    arrivals: tuple[tuple[float, Job], ...]
    happenings: tuple[Happening, ...]
    deaths: tuple[str, ...] = ()
    lasts_seconds: float = LASTS_SECONDS
    standby: bool = False
    mode: str = "burst-buffer"
    told: tuple[int | str, str] | None = None


def plan_of(seed: int) -> Plan:
    """Draw a plan; the same seed gives the same."""
    draw = random.Random(seed)  # noqa: S311 - nothing is to be kept secret
    inputs = {name: draw.randbytes(64) * 1024 for name in NAMES}
    jobs = [_job(draw, number) for number in range(1, draw.randint(3, 6))]
    arrivals = tuple((draw.uniform(0, 2), job) for job in jobs)
    happenings = [_happening(draw, len(jobs)) for _ in range(draw.randint(2, 9))]
    return Plan(
        seed=seed,
        export_by=draw.choice(("arm", "arm", "arm", "hsm")),
        capacity_bytes=_SMALL_BYTES if draw.random() < 0.2 else 1 << 30,
        inputs=inputs | {NOT_GRANTED: b"nobody's"},
        arrivals=arrivals,
        happenings=tuple(sorted(happenings, key=lambda it: it.at)),
        deaths=tuple(f"any#{draw.randint(1, 80)}" for _ in range(draw.randint(0, 3))),
        standby=draw.random() < 0.25,
        mode="hold" if draw.random() < 0.25 else "burst-buffer",
    )


def _job(draw: random.Random, number: int) -> Job:
    chance = draw.random()
    if chance < 0.08:
        return Job(number, ("stage_in prefix=/in/none/",), fails=True, interactive=draw.random() < 0.5)
    if chance < 0.16:
        return Job(number, ("stage_in prefix=/others/",), fails=True, forbidden=True)
    if chance < 0.22:
        return Job(number, ("stage_in prefix=/in/$(touch canary)/;a`touch canary`/",), fails=True)
    folders = draw.sample(FOLDERS, draw.choice((0, 1, 1, 1, 2)))
    lines = [f"stage_in prefix=/in/{folder}/" for folder in folders]
    if not lines or draw.random() < 0.6:
        on = draw.choice(("", "", "", " on=success", " on=failure"))
        lines.append(f"stage_out prefix=/jobs/{number}/{on}")
    return Job(
        number,
        tuple(lines),
        run_seconds=draw.choice((0.0, 0.3, 1.0)),
        code=draw.choice((0, 0, 0, 1)),
        requeues=int(draw.random() < 0.15),
        forgotten=draw.random() < 0.1,
    )


def _happening(draw: random.Random, jobs: int) -> Happening:
    at, job_id = draw.uniform(0.2, LASTS_SECONDS), draw.randint(1, jobs)
    what = draw.choice(WHAT)
    return Happening(at, what, job_id, draw.uniform(0.2, 1.5), _fault(draw) if what == "fault" else None)


def _fault(draw: random.Random) -> Fault:
    times = draw.randint(1, 4)
    ask = draw.choice(("*", "importJobs.put", "importJobs.*", "archive.post"))
    action = draw.choice(("import", "archive"))
    return draw.choice((
        Fault(Name.THROTTLE, ask, times, retry_after=draw.choice((None, 1))),
        Fault(Name.ERROR, ask, times, status=draw.choice((500, 503))),
        Fault(Name.DROP_BEFORE, ask, times),
        Fault(Name.DROP_AFTER, ask, times),
        Fault(Name.DROP_AFTER, draw.choice(("importJobs.put", "archive.post")), 1),
        Fault(Name.SLOW, ask, times, seconds=0.5),
        Fault(Name.REFUSE, draw.choice(("importJobs.put", "archive.post")), 1),
        Fault(Name.STALL, draw.choice(("import", "archive", "restore")), seconds=1.5),
        Fault(Name.FAIL, action, 1, after=draw.choice((0, 1))),
        Fault(Name.PARTIAL, draw.choice(("archive", "restore")), times, blobs=("*",)),
        Fault(Name.FAIL_OPERATION, "importJobs.put", 1),
        Fault(Name.ENDLESS, "importJobs.put", 1),
        Fault(Name.SLOW_RELEASE, action, 1, seconds=1.0),
        Fault(Name.EARLY, "archive", 1),
        Fault(Name.MAINTENANCE, "*", times),
    ))  # fmt: skip
