"""A held job's gate: what to do to a pending job's hold where holds are what keeps it from starting. Pure.

In hold mode job_submit holds a job, which Slurm takes for its owner's hold (job_mgr.c: _job_create copies the user's
priority after the plugins have run), so the owner may release it. Making it an admin's hold closes that door; who was
through before is held again, and PrologSlurmctld sends back whoever starts all the same.

A hold that comes after the gate was opened is somebody's wish, and stays. But slurmctld saves jobs some seconds after
it has changed them, so a crash may put an opened gate back to shut: until the gate has been seen open for longer than
that, an admin's hold is taken for such a loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from slurm_amlfs.domain.view import Hold, JobName

SAVED_AFTER = timedelta(seconds=30)
"""After so long slurmctld has saved what it did (state_save.c: SAVE_MAX_WAIT, 5 s, and a busy disk)."""


class Gate(StrEnum):
    """What is known of a gate.

    LOOSE: not seen held for operators alone. SHUT: seen so. OPENED: Slurm was told to let the job go. LEFT: what it
    was opened to has been saved, or is the owner's own hold; it is not touched again.
    """

    LOOSE = "loose"
    SHUT = "shut"
    OPENED = "opened"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job in hold mode, from its submission or requeue on.

    `number` counts requeues before it, `turned` is when its gate was opened. `owner_holds`: its owner wants it held.
    `after` are all the jobs that it has been seen to wait for: Slurm forgets them when they have ended. `submitted`
    tells it from one of another job by the same id, of a Slurm that has lost its state. `began`: it was seen to
    run. `absent`: when it ended, nodes of it had not come. `doubted` is since when neither is known of one that ended
    as one may whose nodes did not come.
    """

    number: int
    gate: Gate = Gate.LOOSE
    turned: datetime | None = None
    owner_holds: bool = False
    after: frozenset[JobName] = frozenset()
    submitted: datetime | None = None
    began: bool = False
    absent: bool = False
    doubted: datetime | None = None

    @property
    def token(self) -> str:
        """Name the asks for its data; PrologSlurmctld and EpilogSlurmctld write it of SLURM_JOB_RESTART_COUNT."""
        return f"run-{self.number}"


@dataclass(frozen=True, slots=True)
class Turn:
    """What a look comes to: what is known now, and the hold to ask Slurm for, None for none."""

    gate: Gate
    hold: Hold | None = None


def turn(gate: Gate, seen: Hold, *, proved: bool, owner_holds: bool, long_open: bool) -> Turn:
    """Decide on a pending job's gate by a look that is younger than whatever was last asked of it.

    Args:
        gate: What was known before.
        seen: The job's hold.
        proved: Its stage-in is proved, and its nodes can see that.
        owner_holds: Its owner wanted it held, so it is handed over to him rather than released.
        long_open: It was opened `SAVED_AFTER` ago or longer.
    """
    if not proved:
        return Turn(Gate.SHUT) if seen is Hold.ADMIN else Turn(Gate.LOOSE, Hold.ADMIN)
    if gate is Gate.LEFT:
        return Turn(Gate.LEFT)
    if gate is Gate.OPENED:
        return _watch_opened(seen, owner_holds=owner_holds, long_open=long_open)
    if seen is Hold.NONE:
        return Turn(Gate.OPENED)
    if owner_holds:
        return Turn(Gate.OPENED) if seen is Hold.OWNER else Turn(gate, Hold.OWNER)
    return Turn(gate, Hold.NONE)


def _watch_opened(seen: Hold, *, owner_holds: bool, long_open: bool) -> Turn:
    if seen is Hold.ADMIN:
        return Turn(Gate.OPENED, Hold.OWNER if owner_holds else Hold.NONE)
    return Turn(Gate.LEFT if long_open or (seen is Hold.OWNER and not owner_holds) else Gate.OPENED)
