"""Reading whole job records with directives, by squeue: in hold mode they are all that tells of duties. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from slurm_amlfs.adapters.slurm_queue import (
    DIRECTIVE,
    JOB_FIELDS,
    another_form,
    count_tasks,
    directive_lines,
    part_records,
    read_after,
    read_job,
    read_time,
)
from slurm_amlfs.domain.view import JobRecord

RECORD_FIELDS: Final = (*JOB_FIELDS, "Dependency", "EligibleTime", "HetJobID", "BurstBuffer")
RECORD_OPTIONS: Final = ("--all", "--states=all")

OWNERS_HOLD: Final = "# held by its owner"
"""The line that job_submit leaves in burst_buffer of a job that was submitted with --hold (etc/amlfs_hold.lua)."""


def parse_records(output: str, mark: str) -> dict[int, JobRecord]:
    """Read records of `RECORD_FIELDS`; jobs without directives are left out.

    Raises:
        PermanentError: not the records that were asked for.
    """
    try:
        found = [_record(it) for it in part_records(output, mark, RECORD_FIELDS) if DIRECTIVE in it[-1]]
    except (ValueError, OverflowError) as error:
        raise another_form(error) from error
    return {record.job.job_id: record for record in found if record.directives}


def _record(texts: Sequence[str]) -> JobRecord:
    job = read_job(texts[: len(JOB_FIELDS)])
    depends, begins, leader, burst_buffer = texts[len(JOB_FIELDS) :]
    array = int(texts[JOB_FIELDS.index("ArrayJobID")])
    tasks = texts[JOB_FIELDS.index("ArrayTaskID")].strip()
    shared = tasks[:1].isdecimal() and array == job.job_id
    leader = leader.strip()
    return JobRecord(
        job,
        # job_submit has written each on a line of its own.
        directive_lines(burst_buffer, batch=True),
        name=f"{array}_[{_spelled(tasks)}]" if shared else "",
        tasks=count_tasks(tasks),
        after=frozenset(read_after(depends, tasks)),
        begins=read_time(begins.strip()),
        leader=int(leader) if leader.isdecimal() else 0,
        owner_holds=OWNERS_HOLD in burst_buffer.split("\n"),
    )


def _spelled(tasks: str) -> str:
    """Write tasks as scontrol takes them: it knows ranges, but neither steps nor the "%" of a throttle.

    As few ranges as there are: from 23.02 on squeue tells each task by itself, and an argument has 128 KiB at most.
    """
    numbers = sorted({it for part in tasks.partition("%")[0].split(",") for it in _numbers(part)})
    spelled: list[str] = []
    for _, run in groupby(enumerate(numbers), lambda it: it[1] - it[0]):
        own = [number for _, number in run]
        spelled.append(str(own[0]) if len(own) == 1 else f"{own[0]}-{own[-1]}")
    return ",".join(spelled)


def _numbers(part: str) -> range:
    first, _, rest = part.partition("-")
    last, _, step = rest.partition(":")
    return range(int(first), int(last or first) + 1, int(step or 1))
