"""What the process that has pyslurm tells of a job, and what that means: the same as squeue's fields. No I/O.

A row holds what pyslurm tells without losing anything. How a job ended is not in it: pyslurm takes 128 from exit codes
of 128 and more (pyslurm/utils/helpers.pyx: _get_exit_code), so 128 would be told as success.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from slurm_amlfs.adapters.slurm_queue import DIRECTIVE, count_tasks, directive_lines, read_after
from slurm_amlfs.domain.view import JobName, JobView, LivingJob, QueuedJob

UNENDED = frozenset({"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED"})
"""States in which nothing of a job's end is known yet, so that its row is the whole of it."""
AFTER_EXPORT = "afterburstbuffer:"


class JobRow(NamedTuple):
    """One record of Slurm's. Times are seconds since 1970, 0 for none; `task` is -1 for what is not one task.

    `tasks` are those of an array that share the record ("4-9"), else "". `depends` has a word and what it names for
    each job that is waited for.
    """

    job_id: int
    uid: int
    gid: int
    job_state: str
    reason: str
    bb_state: str
    restarts: int
    priority: int
    batch: bool
    submitted: int
    begins: int
    array: int
    task: int
    tasks: str
    account: str
    user: str
    depends: str
    burst_buffer: str


def view_of(row: JobRow) -> JobView:
    """Make the view of a job that has not ended."""
    return JobView(
        job_id=row.job_id,
        uid=row.uid,
        job_state=row.job_state,
        reason=row.reason,
        bb_state=row.bb_state,
        account=row.account,
        user=row.user,
        restarts=row.restarts,
        held=row.priority == 0,
        interactive=not row.batch,
        priority=row.priority,
        submitted=_time(row.submitted),
        task=None if row.task < 0 else JobName(row.array, row.task),
    )


def queue_of(rows: Iterable[JobRow]) -> tuple[QueuedJob, ...]:
    """Pick the pending jobs with directives, and those that wait for another's exports."""
    jobs = [_queued(row) for row in rows if row.job_state == "PENDING"]
    return tuple(job for job in jobs if job.directives or job.after)


def living_of(rows: Iterable[JobRow]) -> tuple[LivingJob, ...]:
    """Pick the jobs with directives that use their files."""
    jobs = [
        LivingJob(
            job_id=row.job_id,
            uid=row.uid,
            gid=row.gid,
            directives=directive_lines(row.burst_buffer, batch=row.batch),
            job_state=row.job_state,
            bb_state=row.bb_state,
        )
        for row in rows
    ]
    return tuple(job for job in jobs if job.directives and job.uses_files)


def _queued(row: JobRow) -> QueuedJob:
    directives = directive_lines(row.burst_buffer, batch=row.batch) if DIRECTIVE in row.burst_buffer else ()
    waits = directives or AFTER_EXPORT in row.depends
    return QueuedJob(
        job_id=row.job_id,
        uid=row.uid,
        user=row.user,
        account=row.account,
        priority=row.priority,
        held=row.priority == 0,
        expected_start=_time(row.begins),
        tasks=count_tasks(row.tasks or "N/A"),
        directives=directives,
        after=frozenset(read_after(row.depends, str(row.task)) if waits else ()),
    )


def _time(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
