"""The part of the daemon that knows pyslurm: it runs in a process of its own and answers one call at a time.

pyslurm holds the interpreter's lock for as long as slurmctld takes to answer, and libslurm ends the whole process over
a slurm.conf that it cannot read (fatal, in src/common/read_config.c). Here that costs this process and nothing else.
"""

from __future__ import annotations

import os
import pwd
import socket
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import Any, Final

from slurm_amlfs.adapters.apart_service import answer, live_with
from slurm_amlfs.adapters.frames import Channel
from slurm_amlfs.adapters.slurm_queue import DIRECTIVE
from slurm_amlfs.adapters.slurm_rows import AFTER_EXPORT, JobRow
from slurm_amlfs.errors import TemporaryError

NO_NUMBER: Final = 2**32 - 2
"""slurm.h's NO_VAL, which pyslurm tells as None."""
_REFUSALS: Final = (range(2000, 5000), range(6000, 10_000))
"""Numbers of slurm_errno.h that are slurmctld's own word; others say that it was not reached."""

Rows = list[tuple[object, ...]]


class PyslurmService:
    """Answers what `slurm_apart` asks: None where the commands have to be asked, which tell more or tell it better."""

    def __init__(self) -> None:
        """Load pyslurm, which reads slurm.conf.

        Raises:
            ImportError: there is none, or it was built for another Slurm than is installed.
        """
        # Only here: who imports this module has no need of pyslurm, and loading it may end the process.
        import pyslurm  # noqa: PLC0415

        self._pyslurm: Any = pyslurm
        self._fault = ""

    def do(self, method: str, args: tuple[Any, ...]) -> object:
        """Answer one call.

        Raises:
            TemporaryError: slurmctld does not answer.
        """
        calls: dict[str, Callable[..., object]] = {
            "versions": self.versions,
            "one": self.one,
            "some": self.some,
            "queue": self.queue,
            "living": self.living,
            "comment": self.comment,
            "notify": self.notify,
        }
        try:
            return calls[method](*args)
        except UnicodeDecodeError:
            return None  # a text that is no UTF-8, which a user may have written
        except self._pyslurm.RPCError as error:
            if any(error.errno in refusals for refusals in _REFUSALS):
                return None
            raise TemporaryError(
                f"Slurm does not answer: {error.msg}; start slurmctld, it goes on by itself"
            ) from error
        except Exception as error:  # noqa: BLE001 - one record that it cannot read must not hide all the others
            if repr(error) != self._fault:
                self._fault = repr(error)
                traceback.print_exc()
            return None

    def versions(self) -> tuple[str, str]:
        """Tell pyslurm's version, and that of the Slurm that it was built for."""
        return str(self._pyslurm.__version__), ".".join(str(it) for it in self._pyslurm.slurm_api_version())

    def one(self, job_id: int) -> Rows | None:
        """Tell one job. Only a record of just this id: of an array that is partly gone, Slurm sends another's first."""
        job = self._pyslurm.Job.load(job_id)
        return _told([job]) if job.id == job_id else None

    def some(self, job_ids: Collection[int]) -> Rows:
        """Tell those that there are of these jobs."""
        return _told(job for job in self._all() if job.id in job_ids)

    def queue(self) -> Rows:
        """Tell what waits and has directives, and what waits for another's exports."""
        return _told(
            job for job in self._all() if job.state == "PENDING" and (_declares(job) or _waits_for_export(job))
        )

    def living(self) -> Rows:
        """Tell what has directives."""
        return _told(job for job in self._all() if _declares(job))

    def comment(self, job_id: int, text: str) -> bool:
        """Set a job's AdminComment, of that record alone."""
        self._pyslurm.Job(job_id).modify(self._pyslurm.JobSubmitDescription(admin_comment=text))
        return True

    def notify(self, job_id: int, text: str) -> bool:
        """Say a line at the terminal of who waits for a job."""
        self._pyslurm.Job(job_id).notify(text)
        return True

    def _all(self) -> Iterable[Any]:
        jobs: Iterable[Any] = self._pyslurm.Jobs.load().values()
        return jobs


def _declares(job: Any) -> bool:  # noqa: ANN401 - pyslurm has no types
    return DIRECTIVE in (job.burst_buffer or "")


def _depends(job: Any) -> Iterator[str]:  # noqa: ANN401
    for word, named in (job.dependencies or {}).items():
        if isinstance(named, list):
            yield from (f"{word}:{it}" for it in named)


def _waits_for_export(job: Any) -> bool:  # noqa: ANN401
    return any(it.startswith(AFTER_EXPORT) for it in _depends(job))


def _told(jobs: Iterable[Any]) -> Rows:
    user = cache(_user)
    return [tuple(_row(job, user)) for job in jobs]


def _row(job: Any, user: Callable[[int], str]) -> JobRow:  # noqa: ANN401
    tasks = job.array_tasks_waiting or ""
    array = job.array_id or 0
    task = -1
    if tasks.isdecimal():
        task = int(tasks)
    elif array and not tasks:
        task = job.array_task_id or 0  # which pyslurm tells as None, like no task
    return JobRow(
        job_id=job.id,
        uid=job.user_id,
        gid=job.group_id,
        job_state=job.state,
        reason=job.state_reason or "None",
        bb_state=job.burst_buffer_state or "",
        restarts=job.requeue_count,
        priority=NO_NUMBER if job.priority is None else job.priority,
        batch=job.is_batch_job,
        submitted=job.submit_time or 0,
        begins=job.start_time or 0,
        array=array,
        task=task,
        tasks=tasks,
        account=job.account or "",
        user=user(job.user_id),
        depends=",".join(_depends(job)),
        burst_buffer=job.burst_buffer or "",
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def serve(end: socket.socket) -> None:
    """Serve Slurm for the daemon at the other end, and end with it."""
    live_with(end)
    # Of an array's tasks libslurm gives no more than 64 characters else (xlate_array_task_str).
    os.environ["SLURM_BITSTR_LEN"] = "0"
    channel = Channel(end)
    service: PyslurmService | None = None
    while True:
        try:
            method, args, _ = channel.receive()
        except (EOFError, OSError):
            return
        if service is None:
            try:
                service = PyslurmService()
            except Exception as error:  # noqa: BLE001 - whatever it is, there is no pyslurm then
                channel.send(("permanent", f"pyslurm cannot be loaded: {error}"))
                return
        channel.send(answer(service.do, method, args))
