"""Reading what squeue prints: records of named fields (`-O`), which are alike from 22.05 to 26.05. No I/O.

A field's width of 0 prints it whole and unpadded (squeue/print.c: _print_str), newlines and all. Fields are parted by a
mark that is drawn anew for each call, so no text in a job's record can pass for another field or another job.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from slurm_amlfs.domain.view import JobName, JobView, QueuedJob
from slurm_amlfs.errors import PermanentError

JOB_FIELDS: Final = (
    "JobID",
    "UserID",
    "State",
    "BurstBufferState",
    "exit_code",
    "RestartCnt",
    "PriorityLong",
    "BatchFlag",
    "SubmitTime",
    "ArrayJobID",
    "ArrayTaskID",
    "Account",
    "UserName",
    "Reason",
)
JOB_ENVIRONMENT: Final[Mapping[str, str]] = {"TZ": "UTC0", "SLURM_TIME_FORMAT": "%s"}
"""Times as seconds since 1970."""
QUEUE_FIELDS: Final = (
    "JobID",
    "UserID",
    "PriorityLong",
    "BatchFlag",
    "StartTime",
    "ArrayTaskID",
    "Account",
    "UserName",
    "Dependency",
    "BurstBuffer",
)
QUEUE_OPTIONS: Final = ("--all", "--states=PENDING")
EACH_RECORD: Final = "--array-unique"
"""Without it, squeue puts pending tasks that have a record of their own back into their array's. Gone from 23.02 on."""
EACH_TASK: Final = "--array"
"""The same on every release, but an array's own record is printed once for each task that it stands for, less the last
one of an array with a step (bitstring.c: bitfmt2int): a weight among thousands."""
QUEUE_ENVIRONMENT: Final[Mapping[str, str]] = {**JOB_ENVIRONMENT, "SLURM_BITSTR_LEN": "0"}
"""And an array's tasks not cut at 64 characters (xlate_array_task_str)."""

_AFTER_EXPORT: Final = "afterburstbuffer:"
"""How a job without directives waits for another's stage-out; one with directives does so by any dependency."""

DIRECTIVE: Final = "#AMLFS"
"""`#` and burst_buffer.conf's Directive."""
_BLANKS: Final = " \t\r\v\f"
_NO_TIME: Final = frozenset({"N/A", "Unknown", "None"})
_NO_TEXT: Final = frozenset({"N/A", "(null)", "n/a"})
_NO_NAME: Final = "nobody"
"""What squeue prints for a uid that has no name on its host (uid_to_string_cached)."""
_DEPENDS: Final = re.compile(r"\b(after|afterany|afterok|afternotok|aftercorr|afterburstbuffer):([0-9]+)(?:_([0-9]+))?")
"""One word for each job, array ("7_*") or task ("7_2") that is waited for (job_scheduler.c: _depend_list2str)."""
_SAME_TASK: Final = "aftercorr"
"""It names the array, and each task waits for the one of its own number."""
_TASKS: Final = re.compile(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?")


def form(fields: Sequence[str], mark: str) -> str:
    """Write squeue's --Format: each field whole, the mark behind it."""
    return ",".join(f"{field}:0{mark}" for field in fields)


def parse_jobs(output: str, mark: str) -> dict[int, JobView]:
    """Read records of `JOB_FIELDS`.

    Raises:
        PermanentError: not the records that were asked for.
    """
    try:
        return {job.job_id: job for job in map(read_job, part_records(output, mark, JOB_FIELDS))}
    except (ValueError, OverflowError) as error:
        raise another_form(error) from error


def parse_queue(output: str, mark: str) -> tuple[QueuedJob, ...]:
    """Read records of `QUEUE_FIELDS`; jobs without directives are left out, unless they wait for another's exports.

    Raises:
        PermanentError: not the records that were asked for.
    """
    try:
        records = part_records(output, mark, QUEUE_FIELDS)
        jobs = [_queued(record) for record in records if DIRECTIVE in record[-1] or _AFTER_EXPORT in record[-2]]
    except (ValueError, OverflowError) as error:
        raise another_form(error) from error
    return tuple(job for job in jobs if job.directives or job.after)


def directive_lines(burst_buffer: str, *, batch: bool) -> tuple[str, ...]:
    r"""Find the directives of a job's burst_buffer, without `#AMLFS `, as the hooks find them in its script.

    A batch job's is made by Slurm of its script and has directives only, continued lines already joined
    (burst_buffer_lua.c: _xlate_batch). That of srun and salloc is what the user gave: Slurm makes a script of it
    (bb_build_bb_script), of which etc/amlfs_script.lua takes lines up to the first that is no comment, and joins one
    that ends with "\" to the next directive. A test holds both alike.
    """
    lines = burst_buffer.split("\n")
    found = lines if batch else _joined(lines)
    return tuple(line.removeprefix(DIRECTIVE).lstrip(" \t") for line in found if line.startswith(DIRECTIVE))


def count_tasks(text: str) -> int:
    """Count the tasks that a record stands for: "0-9,12,20-40:5%2" is 16, and "N/A", which is no array, one.

    Raises:
        ValueError: not squeue's ArrayTaskID.
    """
    if text in _NO_TEXT:
        return 1
    found = [_TASKS.fullmatch(part) for part in text.partition("%")[0].split(",")]
    total = 0
    for part in found:
        if part is None:
            raise ValueError(f"tasks {text[:60]!r}")
        first, last, step = int(part[1]), int(part[2] or part[1]), int(part[3] or 1)
        total += (last - first) // step + 1
    return total


def _joined(lines: Iterable[str]) -> list[str]:
    """Join directives as Slurm's _xlate_batch does."""
    found: list[str] = []
    joined = blank_before = False
    for line in filter(None, lines):
        if not line.startswith("#"):
            break
        if not line.startswith(DIRECTIVE):
            joined = False
            continue
        rest = line.removeprefix(DIRECTIVE) if joined else line
        if joined and blank_before:
            rest = rest.lstrip(_BLANKS)
        continues = rest.endswith("\\")
        kept = rest[:-1] if continues else rest
        if joined:
            found[-1] += kept
        else:
            found.append(kept)
        joined, blank_before = continues, kept.endswith(tuple(_BLANKS))
    return found


def part_records(output: str, mark: str, fields: Sequence[str]) -> list[list[str]]:
    """Part the records; a record ends with a line end behind its last mark.

    Those of one job, which `--array` prints for the tasks of an array's record, are one with all their tasks.
    """
    *texts, rest = output.split(mark)
    width, tasks_at = len(fields), fields.index("ArrayTaskID")
    if len(texts) % width or rest.strip():
        raise PermanentError(f"squeue prints {len(texts)} fields, no multiple of {width}; report Slurm's version")
    tasks: dict[str, list[str]] = {}
    found: list[list[str]] = []
    for at in range(0, len(texts), width):
        job_id = texts[at].strip()
        if job_id not in tasks:
            tasks[job_id] = []
            found.append(texts[at : at + width])
        tasks[job_id].append(texts[at + tasks_at])
    for record in found:
        record[tasks_at] = ",".join(tasks[record[0].strip()])
    return found


def read_job(record: Sequence[str]) -> JobView:
    """Read a record of `JOB_FIELDS`; a ValueError if it is none."""
    job_id, uid, job_state, bb_state, exit_code, restarts, priority, batch, submitted, *texts = map(str.strip, record)
    array, task, account, user, reason = texts
    code, signal = _exit(exit_code)
    return JobView(
        job_id=int(job_id),
        uid=int(uid),
        job_state=job_state,
        reason=reason,
        bb_state=none(bb_state),
        exit_code=code,
        exit_signal=signal,
        account=none(account),
        user=_name(user),
        restarts=int(restarts),
        held=int(priority) == 0,
        interactive=int(batch) == 0,
        priority=int(priority),
        submitted=read_time(submitted),
        task=JobName(int(array), int(task)) if task.isdecimal() else None,
    )


def _queued(record: Sequence[str]) -> QueuedJob:
    job_id, uid, priority, batch, start, tasks, account, user, depends, burst_buffer = record
    directives = directive_lines(burst_buffer, batch=int(batch) != 0)
    return QueuedJob(
        job_id=int(job_id),
        uid=int(uid),
        user=_name(user),
        account=none(account),
        priority=int(priority),
        held=int(priority) == 0,
        expected_start=read_time(start),
        tasks=count_tasks(tasks),
        directives=directives,
        after=frozenset(read_after(depends, tasks.strip())),
    )


def read_after(depends: str, own_task: str) -> Iterator[JobName]:
    """Read the jobs, arrays and tasks that a Dependency names; its job is task `own_task` of an array."""
    for word, job_id, task in _DEPENDS.findall(depends):
        its = own_task if word == _SAME_TASK and own_task.isdecimal() else task
        yield JobName(int(job_id), int(its) if its else None)


def read_time(text: str) -> datetime | None:
    """Read a time, None where there is none."""
    return None if text in _NO_TIME else datetime.fromtimestamp(int(text), UTC)


def _exit(text: str) -> tuple[int, int]:
    """Read an end: a wait status on 22.05, "CODE:SIGNAL" from 23.02 on (squeue/print.c)."""
    if not text:
        return 0, 0
    code, colon, signal = text.partition(":")
    if colon:
        return int(code), int(signal)
    status = int(text)
    if os.WIFSIGNALED(status):
        return 0, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), 0


def none(text: str) -> str:
    """Read what squeue prints for nothing as nothing."""
    return "" if text in _NO_TEXT else text


def _name(text: str) -> str:
    return "" if text == _NO_NAME else text


def another_form(error: Exception) -> PermanentError:
    """Say that squeue printed something else."""
    return PermanentError(f"squeue prints a record of another form ({error}); report Slurm's version")
