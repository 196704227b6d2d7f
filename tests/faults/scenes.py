"""Short scenes that together come past every crash point, each the same at every run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from slurm_amlfs.emulator.faults import Fault, Name
from tests.faults.endings import Ending, check, ending, settle
from tests.faults.ground import Ground, NotInTimeError, Shared, until
from tests.faults.job import Job
from tests.faults.model_slurm import ModelSlurm

INPUTS = {f"in/{folder}/{name}": f"{folder}{name}".encode() * 50 for folder in "ab" for name in "xy"}
FAST = ("--import-overhead=0.1", "--operation-seconds=0.05", "--cancel-seconds=0.1", "--archive-overhead=0.1")

Step = Callable[[], None]
Scene = Callable[[ModelSlurm, Step], None]


def plain(slurm: ModelSlurm, step: Step) -> None:
    """Let one job have its data in and out, and another take what is there."""
    slurm.submit(Job(1, ("stage_in prefix=/in/a/", "stage_out prefix=/jobs/1/")))
    settle(slurm, step)
    slurm.submit(Job(2, ("stage_in prefix=/in/a/",)))
    settle(slurm, step)


def failing(slurm: ModelSlurm, step: Step) -> None:
    """Let one wait at a terminal for what is not in Blob."""
    slurm.submit(Job(1, ("stage_in prefix=/in/none/",), fails=True, interactive=True))

    def told() -> bool:
        step()
        if slurm.jobs[1].place != "held":
            slurm.go_on()
        return slurm.jobs[1].place == "held" and bool(_terminal(slurm.ground))

    until(told, "the terminal is told why")
    settle(slurm, step)


def _terminal(ground: Ground) -> str:
    return (ground.folder / "slurm" / "terminals" / "1").read_text()


def import_dropped(slurm: ModelSlurm, step: Step) -> None:
    """Let a job be cancelled while its import runs."""
    _drop_while(slurm, step, Job(1, ("stage_in prefix=/in/b/",)), "import", hurry=False)


def archive_dropped(slurm: ModelSlurm, step: Step) -> None:
    """Let a job be cancelled in a hurry while its archive runs."""
    _drop_while(slurm, step, Job(1, ("stage_out prefix=/jobs/1/",)), "archive", hurry=True)


def _drop_while(slurm: ModelSlurm, step: Step, job: Job, action: str, *, hurry: bool) -> None:
    control = slurm.ground.control
    control.set(Fault(Name.STALL, action))
    slurm.submit(job)

    def runs() -> bool:
        step()
        slurm.go_on()
        return any(it.kind == action and it.ended is None for it in control.journal().actions)

    until(runs, f"the {action} runs")
    # A death on the way must not be taken for a job that nobody has cancelled.
    step()
    slurm.cancel(job, hurry=hurry)
    settle(slurm, step)
    control.clear([Name.STALL])


SCENES: dict[str, tuple[Scene, str]] = {
    "plain": (plain, "arm"),
    "by hsm": (plain, "hsm"),
    "failing": (failing, "arm"),
    "import dropped": (import_dropped, "arm"),
    "archive dropped": (archive_dropped, "arm"),
}

_ELSEWHERE = {
    "slurm.notify": "failing",
    "arm.cancel_import": "import dropped",
    "arm.cancel_archive": "archive dropped",
    "lustre.archive": "by hsm",
    "board.remove": "failing",
}


def scene_of(point: str) -> str:
    """Say which scene comes past a crash point."""
    return _ELSEWHERE.get(point.partition(":")[0], "plain")


def play(shared: Shared, name: str, scene: str, die_at: str = "") -> tuple[Ending, int]:
    """Play a scene with a daemon that dies at a point; give its end, and how often the daemon died."""
    act, export_by = SCENES[scene]
    ground = Ground(shared, name, export_by=export_by, emulator_options=FAST)
    with ground.running():
        for path, data in INPUTS.items():
            ground.put(path, data)
        ground.restart_daemon(die_at)
        step = ground.restart_daemon
        slurm = ModelSlurm(ground, INPUTS)
        act(slurm, step)
        if die_at:
            # The last act of a scene may be where it dies.
            with suppress(NotInTimeError):
                until(lambda: ground.deaths or not ground.daemon_alive, "the daemon dies", 30.0)
            settle(slurm, step)
        ended, deaths = ending(slurm), ground.deaths
        # What it reads comes back from Blob, so the end is taken before.
        check(slurm)
    ground.remove()
    return ended, deaths
