"""One run of a plan: everything happens, then everything goes well, and then the invariants are looked at."""

from __future__ import annotations

import random
import time

from slurm_amlfs.emulator.faults import Name
from tests.faults import portal
from tests.faults.endings import check, settle
from tests.faults.ground import Ground, Shared, until
from tests.faults.model_slurm import ModelSlurm
from tests.faults.plan import CANARY, NOT_GRANTED, Happening, Plan
from tests.faults.promises import Violation
from tests.faults.scenes import FAST
from tests.faults.settings import Settings

SETTLES_SECONDS = 120.0
"""After the longest pauses of a daemon that was refused many times."""

_OURS = ("Traceback", "pass-broke", "decision-broke", "errand-broke", "look-broke", "request-stuck")
"""What stands in the log when a promise of ours is broken: none of it is for what others do."""

_REFUSING = {Name.REFUSE, Name.SLOW_RELEASE}
"""Faults by which a slot is refused that looks free."""


class Storm:
    """A run under way."""

    def __init__(self, ground: Ground, plan: Plan) -> None:
        self._ground, self._plan = ground, plan
        self._deaths = list(plan.deaths)
        self._slurm = ModelSlurm(ground, plan.inputs)
        self._draw = random.Random(plan.seed)  # noqa: S311 - as the plan
        self._began = time.monotonic()
        self._down_until = self._silent_until = 0.0

    def blow(self) -> None:
        """Let everything happen.

        Raises:
            Violation: an invariant was broken.
        """
        for name, data in self._plan.inputs.items():
            self._ground.put(name, data)
        self._ground.restart_daemon(self._next_death())
        until((self._ground.state_dir / "inbox" / "tmp").exists, "the inbox is there")
        self._began = time.monotonic()
        arrivals = sorted(self._plan.arrivals, key=lambda it: it[0])
        happenings = list(self._plan.happenings)
        while (now := time.monotonic() - self._began) < self._plan.lasts_seconds or arrivals:
            while arrivals and arrivals[0][0] <= now:
                self._slurm.submit(arrivals.pop(0)[1])
            while happenings and happenings[0].at <= now:
                self._happen(happenings.pop(0), now)
            self._step()
            self._slurm.go_on()
            time.sleep(0.02)
        self._ground.control.clear()
        self._ground.make_slurm_silent(silent=False)
        self._deaths.clear()
        settle(self._slurm, self._ground.restart_daemon, SETTLES_SECONDS)
        self._check()

    def _next_death(self) -> str:
        return self._deaths.pop(0) if self._deaths else ""

    def _step(self) -> None:
        now = time.monotonic() - self._began
        if now >= self._down_until:
            self._ground.restart_daemon(self._next_death())
        self._ground.make_slurm_silent(silent=now < self._silent_until)

    def _happen(self, it: Happening, now: float) -> None:
        job = self._slurm.jobs.get(it.job_id)
        match it.what:
            case "fault" if it.fault is not None:
                self._ground.control.set(it.fault)
            case "silence":
                self._silent_until = now + it.seconds
            case "restart":
                self._slurm.restart()
            case "forget":
                self._ground.forget()
            case "blobs":
                self._ground.door.slam(self._draw.randint(1, 4))
            case "portal":
                portal.import_by_hand(self._ground.arm_url, f"portal-{int(it.at * 1000)}")
            case "kill" | "down":
                self._ground.kill_daemon()
                self._down_until = now + (it.seconds if it.what == "down" else 0.0)
            case _ if job is not None and job.place not in {"over", "purged"}:
                self._slurm.disturb(job, it.what)

    def _check(self) -> None:
        check(self._slurm)
        ground = self._ground
        answers = ground.control.journal().requests
        refused = sum(answers.get((asked, 409), 0) for asked in ("importJobs.put", "archive.post"))
        happened = self._plan.happenings
        if refused and not any(it.what == "portal" or (it.fault and it.fault.name in _REFUSING) for it in happened):
            raise Violation(3, f"the slot was asked for {refused} times while it was taken")
        if (ground.mount / NOT_GRANTED).exists() or any(
            "/secret" in p for it in ground.control.imports() for p in it.prefixes
        ):
            raise Violation(7, "somebody got what nobody was granted")
        if (ground.folder / CANARY).exists():
            raise Violation(8, "a name was run by a shell")
        said = ground.log.read_text(errors="replace")
        if found := [word for word in _OURS if word in said]:
            raise Violation(4, f"the daemon's log has {', '.join(found)}")


def run(shared: Shared, plan: Plan, *, name: str = "", plant: str = "") -> tuple[str, int]:
    """Run a plan, with a fault planted in the daemon if one is named.

    Return what was broken, "" if nothing, with the end of the log; and how often the daemon died.
    """
    options = (*FAST, f"--capacity-bytes={plan.capacity_bytes}")
    settings = Settings(export_by=plan.export_by)
    ground = Ground(shared, name or f"seed-{plan.seed}", settings=settings, emulator_options=options)
    ground.plant = plant
    try:
        with ground.running():
            Storm(ground, plan).blow()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told with its seed
        return f"{type(error).__name__}: {error}\n{ground.said()}", ground.deaths
    else:
        return "", ground.deaths
    finally:
        ground.remove()
