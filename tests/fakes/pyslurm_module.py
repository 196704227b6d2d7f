"""What a test has in pyslurm's place: its text becomes a module of that name, in a folder with what it shall do.

It has pyslurm's names and ways as far as the daemon uses them, and its mishaps. `world.json` beside it is read anew at
each call: "version", "built" (three numbers), "jobs" (a list of attributes each), and "mishap": "exit", "hang", or a
number of slurm_errno.h.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).parent
INVALID_JOB_ID = 2017


class RPCError(Exception):
    """Slurm's refusal, or its silence."""

    def __init__(self, errno: int) -> None:
        super().__init__(str(errno))
        self.errno, self.msg = errno, f"error {errno}"


def world() -> dict[str, Any]:
    """Read what there is."""
    (HERE / "asked").write_text(str(os.getpid()))
    told: dict[str, Any] = json.loads((HERE / "world.json").read_text())
    match told.get("mishap"):
        case "exit":
            sys.exit("fatal: no slurm.conf")
        case "hang":
            signal.pause()
        case int(number):
            raise RPCError(number)
    return told


def jobs() -> list[Any]:
    """List the jobs; an attribute that is not given is None, as what Slurm does not tell is."""
    found = []
    for attributes in world()["jobs"]:
        job: Any = SimpleNamespace(**{**dict.fromkeys(ATTRIBUTES), "requeue_count": 0, "is_batch_job": True})
        job.__dict__.update(attributes)
        found.append(job)
    return found


ATTRIBUTES = (
    "id", "user_id", "group_id", "state", "state_reason", "burst_buffer", "burst_buffer_state", "priority", "account",
    "submit_time", "start_time", "array_id", "array_task_id", "array_tasks_waiting", "dependencies",
)  # fmt: skip


class Jobs:
    """All jobs."""

    @staticmethod
    def load() -> dict[int, Any]:
        """Read them."""
        return {job.id: job for job in jobs()}


class Job:
    """One job."""

    def __init__(self, job_id: int) -> None:
        self.id = job_id

    @staticmethod
    def load(job_id: int) -> Any:  # noqa: ANN401 - as pyslurm's
        """Read one; of an array any that is left."""
        for job in jobs():
            if job_id in {job.id, job.array_id}:
                return job
        raise RPCError(INVALID_JOB_ID)

    def modify(self, changes: SimpleNamespace) -> None:
        """Take a comment."""
        self.load(self.id)
        told = defaultdict(list, json.loads((HERE / "said.json").read_text()))
        told[str(self.id)].append(changes.admin_comment)
        (HERE / "said.json").write_text(json.dumps(told))

    def notify(self, text: str) -> None:
        """Take a line."""
        self.modify(SimpleNamespace(admin_comment=text))


JobSubmitDescription = SimpleNamespace


def slurm_api_version() -> tuple[int, ...]:
    """Tell for what it was built."""
    return tuple(world()["built"])


__version__ = world()["version"]
