"""Reading from squeue which jobs use their files now: what a daemon with a new memory has to know first. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slurm_amlfs.adapters.slurm_queue import DIRECTIVE, another_form, directive_lines, none, part_records
from slurm_amlfs.domain.view import LivingJob

LIVING_FIELDS: Final = (
    "JobID",
    "UserID",
    "GroupID",
    "State",
    "BurstBufferState",
    "BatchFlag",
    "ArrayTaskID",
    "BurstBuffer",
)
LIVING_OPTIONS: Final = ("--all", "--states=all")


def parse_living(output: str, mark: str) -> tuple[LivingJob, ...]:
    """Read records of `LIVING_FIELDS`; jobs without directives, and those that use nothing, are left out.

    Raises:
        PermanentError: not the records that were asked for.
    """
    try:
        jobs = [_living(it) for it in part_records(output, mark, LIVING_FIELDS) if DIRECTIVE in it[-1]]
    except (ValueError, OverflowError) as error:
        raise another_form(error) from error
    return tuple(job for job in jobs if job.directives and job.uses_files)


def _living(record: Sequence[str]) -> LivingJob:
    job_id, uid, gid, job_state, bb_state, batch = (it.strip() for it in record[:6])
    return LivingJob(
        job_id=int(job_id),
        uid=int(uid),
        gid=int(gid),
        directives=directive_lines(record[-1], batch=int(batch) != 0),
        job_state=job_state,
        bb_state=none(bb_state),
    )
