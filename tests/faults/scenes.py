"""Short scenes that together come past every crash point, each the same at every run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from slurm_amlfs.emulator.faults import Fault, Name
from tests.faults.endings import Ending, check, ending, settle
from tests.faults.ground import Ground, NotInTimeError, Shared, until
from tests.faults.hold_slurm import HoldSlurm
from tests.faults.job import Job
from tests.faults.model_slurm import ModelSlurm
from tests.faults.settings import USUAL, Settings

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


def taken_over(slurm: ModelSlurm, step: Step) -> None:
    """Let the one that stands by take over while an import runs."""
    job = slurm.submit(Job(1, ("stage_in prefix=/in/a/", "stage_out prefix=/jobs/1/")))
    _go_on_until(slurm, job, "staging")
    slurm.ground.kill_daemon()
    slurm.ground.take_over()
    settle(slurm, step)


def handed_on(slurm: ModelSlurm, step: Step) -> None:
    """Let the daemon be stopped while an import runs, and started again."""
    job = slurm.submit(Job(1, ("stage_in prefix=/in/a/", "stage_out prefix=/jobs/1/")))
    _go_on_until(slurm, job, "staging")
    slurm.ground.stop_daemon()
    settle(slurm, step)


def _go_on_until(slurm: ModelSlurm, job: Job, place: str) -> None:
    def there() -> bool:
        slurm.go_on()
        return job.place == place

    until(there, f"the job is {place}")


def left_in(slurm: ModelSlurm, step: Step) -> None:
    """Let Slurm leave a job behind in its stage-in, whose answer no hook fetches."""
    job = slurm.submit(Job(1, ("stage_in prefix=/in/a/",)))
    slurm.go_on()

    def staged_anew() -> bool:
        step()
        slurm.obey()
        return job.place == "pending"

    until(staged_anew, "the job is staged anew")
    settle(slurm, step)


def left_out(slurm: ModelSlurm, step: Step) -> None:
    """Let Slurm leave a job behind in its stage-out."""
    job = slurm.submit(Job(1, ("stage_out prefix=/jobs/1/",)))
    _go_on_until(slurm, job, "out")

    def ended() -> bool:
        step()
        slurm.obey()
        return job.place == "over"

    until(ended, "the stage-out is ended")
    settle(slurm, step)


def left_torn(slurm: ModelSlurm, step: Step) -> None:
    """Let a job that waits be cancelled, and Slurm lose the teardown of its burst buffer."""
    job = slurm.submit(Job(1, ("stage_in prefix=/in/a/", "stage_out prefix=/jobs/1/")))
    _go_on_until(slurm, job, "staged")
    gate = slurm.ground.folder / "slurm" / "gates" / str(job.job_id)
    gate.write_text("torn")

    def torn_down() -> bool:
        step()
        return gate.read_text().strip() == "cancelled"

    until(torn_down, "the burst buffer is torn down")
    slurm.cancel(job)
    gate.unlink()
    settle(slurm, step)


def held(slurm: ModelSlurm, step: Step) -> None:
    """Let a job wait held, run twice, and another for what it may not have."""
    slurm.submit(Job(1, ("stage_in prefix=/in/a/", "stage_out prefix=/jobs/1/"), requeues=1))
    settle(slurm, step)
    slurm.submit(Job(2, ("stage_in prefix=/others/",), fails=True, forbidden=True))
    settle(slurm, step)


@dataclass(frozen=True)
class Staged:
    """A scene, and what it needs. Where a daemon stands `by`, that is the one that dies."""

    act: Scene
    settings: Settings = USUAL
    by: bool = False


_SOON_MENDED = Settings(behind_seconds=1.0)

SCENES = {
    "plain": Staged(plain),
    "by hsm": Staged(plain, Settings(export_by="hsm")),
    "failing": Staged(failing),
    "import dropped": Staged(import_dropped),
    "archive dropped": Staged(archive_dropped),
    "taken over": Staged(taken_over, by=True),
    "handed on": Staged(handed_on),
    "left in": Staged(left_in, _SOON_MENDED),
    "left out": Staged(left_out, _SOON_MENDED),
    "left torn": Staged(left_torn, _SOON_MENDED),
    "held": Staged(held, Settings(mode="hold")),
}

_ELSEWHERE = {
    "slurm.notify": "failing",
    "slurm.turn_gate": "held",
    "slurm.restage": "left in",
    "slurm.let_requeue": "left in",
    "slurm.cancel_pending": "left in",
    "slurm.requeue": "left in",
    "slurm.end_stage_out": "left out",
    "slurm.tear_down_again": "left torn",
    "arm.cancel_import": "import dropped",
    "arm.cancel_archive": "archive dropped",
    "lustre.archive": "by hsm",
    "board.remove": "failing",
    "terms.take": "taken over",
    "terms.link": "taken over",
    "terms.take_over": "taken over",
    "term.give_back": "handed on",
}


def scene_of(point: str) -> str:
    """Say which scene comes past a crash point."""
    return _ELSEWHERE.get(point.partition(":")[0], "plain")


def play(shared: Shared, name: str, scene: str, die_at: str = "") -> tuple[Ending, int]:
    """Play a scene with a daemon that dies at a point; give its end, and how often the daemon died."""
    staged = SCENES[scene]
    ground = Ground(shared, name, settings=staged.settings, emulator_options=FAST)
    with ground.running():
        for path, data in INPUTS.items():
            ground.put(path, data)
        if staged.by:
            ground.restart_daemon()
            ground.start_standby(die_at)
        else:
            ground.restart_daemon(die_at)
        step = ground.restart_daemon
        slurm = (HoldSlurm if ground.holds else ModelSlurm)(ground, INPUTS)
        staged.act(slurm, step)
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
