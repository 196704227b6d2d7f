"""Short scenes that together come past every crash point, each the same at every run."""

from __future__ import annotations

from collections.abc import Callable

from slurm_amlfs.emulator.faults import Fault, Name
from tests.faults.endings import settle
from tests.faults.ground import Ground
from tests.faults.job import Job
from tests.faults.model_slurm import ModelSlurm
from tests.faults.until import until

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
    slurm.ground.daemons.kill()
    slurm.ground.daemons.take_over()
    settle(slurm, step)


def handed_on(slurm: ModelSlurm, step: Step) -> None:
    """Let the daemon be stopped while an import runs, and started again."""
    job = slurm.submit(Job(1, ("stage_in prefix=/in/a/", "stage_out prefix=/jobs/1/")))
    _go_on_until(slurm, job, "staging")
    slurm.ground.daemons.stop()
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
