"""One run of a plan: everything happens, then everything goes well, and then the invariants are looked at."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress

from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.errors import AmlfsError
from tests.faults import portal
from tests.faults.endings import check, settle
from tests.faults.ground import Ground
from tests.faults.hold_slurm import HoldSlurm
from tests.faults.model_slurm import ModelSlurm
from tests.faults.plan import CANARY, FOLDERS, NOT_GRANTED, Happening, Plan
from tests.faults.promises import Violation
from tests.faults.until import NotInTimeError, until

SETTLES_SECONDS = 120.0
"""After the longest pauses of a daemon that was refused many times."""

FENCED_SECONDS = 30.0
"""A daemon that wakes up finds by then that it was taken over from, and one that is started has the state directory."""

HANG_TIMES = 4.0
"""A hang lasts so many times as long as other things: past what the daemon waits for Lustre, and a standby for it."""

_OURS = ("Traceback", "pass-broke", "decision-broke", "errand-broke", "look-broke", "request-stuck")
"""What stands in the log when a promise of ours is broken: none of it is for what others do."""

_REFUSING = {Name.REFUSE, Name.SLOW_RELEASE}
"""Faults by which a slot is refused that looks free."""


class Storm:
    """A run under way."""

    def __init__(self, ground: Ground, plan: Plan) -> None:
        self._ground, self._plan = ground, plan
        self._deaths = list(plan.deaths)
        self._slurm = (HoldSlurm if ground.holds else ModelSlurm)(ground, plan.inputs)
        self._draw = random.Random(plan.seed)  # noqa: S311 - as the plan
        self._began = time.monotonic()
        self._down_until = self._silent_until = 0.0
        self._hung_until: float | None = None
        self._timers: list[threading.Timer] = []

    def blow(self) -> None:
        """Let everything happen.

        Raises:
            Violation: an invariant was broken.
        """
        for name, data in self._plan.inputs.items():
            self._ground.put(name, data)
        until(self._is_up, "the inbox is there")
        if self._plan.standby and not self._ground.daemons.standby_alive:
            self._ground.daemons.start_standby(self._next_death())
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
        try:
            until(self._acts_as_holder, "the daemon is the one that holds the state directory", FENCED_SECONDS)
        except NotInTimeError as error:
            raise Violation("a", "a daemon goes on that another has taken over from") from error
        settle(self._slurm, self._calm_step, SETTLES_SECONDS)
        self._check()

    def _is_up(self) -> bool:
        self._see_to_daemon()
        return self._ground.daemons.has_inbox

    def _see_to_daemon(self) -> None:
        ground = self._ground
        if ground.daemons.alive:
            return
        ground.daemons.restart("" if ground.daemons.standby_alive else self._next_death())
        if self._plan.standby and ground.daemons.alive and not ground.daemons.standby_alive:
            ground.daemons.start_standby(self._next_death())

    def _next_death(self) -> str:
        return self._deaths.pop(0) if self._deaths else ""

    def _step(self) -> None:
        now = time.monotonic() - self._began
        if now >= self._down_until:
            self._see_to_daemon()
        self._ground.make_slurm_silent(silent=now < self._silent_until)
        self._wake(now)

    def _calm_step(self) -> None:
        self._see_to_daemon()
        self._wake(time.monotonic() - self._began)

    def _acts_as_holder(self) -> bool:
        self._calm_step()
        return self._ground.daemons.holds

    def _wake(self, now: float) -> None:
        """Let a daemon that hung go on, which may have been taken over from meanwhile."""
        if self._hung_until is not None and now >= self._hung_until:
            self._hung_until = None
            self._ground.daemons.hang(hangs=False)

    def _happen(self, it: Happening, now: float) -> None:
        job = self._slurm.jobs.get(it.job_id)
        match it.what:
            case "fault" if it.fault is not None:
                self._ground.control.set(it.fault)
            case "silence":
                self._silent_until = now + it.seconds
            case "restart":
                self._slurm.restart()
            case "blobs":
                self._ground.door.slam(self._draw.randint(1, 4))
            case "lustre":
                self._hang_lustre(it.seconds * HANG_TIMES)
            case "portal":
                portal.import_by_hand(self._ground.arm_url, f"portal-{int(it.at * 1000)}")
            case "kill" | "down" | "forget" | "hang":
                self._strike(it, now)
            case _ if job is not None and job.place not in {"over", "purged"}:
                self._slurm.disturb(job, it.what)

    def _strike(self, it: Happening, now: float) -> None:
        """Do something to the daemon."""
        match it.what:
            case "kill":
                self._ground.daemons.kill()
                self._down_until = now
            case "down":
                self._ground.daemons.kill_all()
                self._down_until = now + it.seconds
            case "forget":
                self._ground.forget()
            case "hang":
                self._ground.daemons.hang(hangs=True)
                self._hung_until = now + it.seconds * HANG_TIMES

    def _hang_lustre(self, seconds: float) -> None:
        """Let whoever looks at some files hang; that may be the model of Slurm, so another thread lets go of it."""
        pattern = self._draw.choice((*(f"*in/{folder}/*" for folder in FOLDERS), "*jobs/*"))
        self._ground.control.set(Fault(Name.HANGING, blobs=(pattern,)))
        timer = threading.Timer(seconds, self._let_go)
        self._timers.append(timer)
        timer.start()

    def _let_go(self) -> None:
        with suppress(AmlfsError):
            self._ground.control.clear([Name.HANGING])

    def close(self) -> None:
        """Let go of what hangs."""
        for timer in self._timers:
            timer.cancel()
        if self._timers:
            self._let_go()

    def _check(self) -> None:
        check(self._slurm)
        ground = self._ground
        answers = ground.control.journal().requests
        refused = sum(answers.get((asked, 409), 0) for asked in ("importJobs.put", "archive.post"))
        happened = self._plan.happenings
        if refused and not any(it.what == "portal" or (it.fault and it.fault.name in _REFUSING) for it in happened):
            raise Violation(3, f"the slot was asked for {refused} times while it was taken")
        if (told := self._plan.told) and not any(told[1] in it for it in self._slurm.told):
            raise Violation(told[0], f"nobody who waited was told: {told[1]}")
        if (ground.mount / NOT_GRANTED).exists() or any(
            "/secret" in p for it in ground.control.imports() for p in it.prefixes
        ):
            raise Violation(7, "somebody got what nobody was granted")
        if (ground.folder / CANARY).exists():
            raise Violation(8, "a name was run by a shell")
        said = ground.daemons.log.read_text(errors="replace")
        if found := [word for word in _OURS if word in said]:
            raise Violation(4, f"the daemon's log has {', '.join(found)}")
