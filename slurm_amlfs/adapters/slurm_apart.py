"""The Slurm port by pyslurm in a process apart, and by Slurm's commands for all that pyslurm does not do as well.

The commands tell how jobs ended and name tasks of arrays to Slurm, and they answer while the process is gone: after a
death, and after a call that was not answered in time, it rests for a minute. One that does not reach slurmctld is ended
too, and the next one reads slurm.conf anew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from slurm_amlfs.adapters.apart import Apart
from slurm_amlfs.adapters.slurm_cli import FEW, LARGEST_ID, one_line
from slurm_amlfs.adapters.slurm_rows import UNENDED, JobRow, living_of, queue_of, view_of
from slurm_amlfs.application.ports import Slurm
from slurm_amlfs.domain.view import Hold, JobRecord, JobView, LivingJob, QueuedJob
from slurm_amlfs.errors import PermanentError, TemporaryError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 30.0
"""As for a command: slurm.conf's MessageTimeout is 10 s, and a backup controller is tried as well."""
REST_SECONDS: Final = 60.0
"""How long only the commands are asked after the process has died, or has not answered in time."""
_DIES_SECONDS: Final = 1.0


class SlurmApart:
    """The Slurm port. Each method does what `SlurmCommands` says of it, and raises what that does. Safe for threads.

    Args:
        argv: The program that has pyslurm.
        commands: The other way.
        seconds: How long a call may take.
    """

    def __init__(
        self,
        argv: Sequence[str],
        commands: Slurm,
        seconds: float = TIMEOUT_SECONDS,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._argv = argv
        self._commands = commands
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._apart: Apart | None = None
        self._closed = False
        self._rests_until = 0.0
        self._lost = False

    def versions(self) -> tuple[str, str]:
        """Tell pyslurm's version and that of the Slurm that it was built for.

        Raises:
            PermanentError: there is no pyslurm that can be loaded.
            TemporaryError: it did not say so in time.
        """
        told = self._ask("versions")
        if told is None:
            raise PermanentError("pyslurm cannot be loaded, or ended the process that did; the log says more")
        pyslurm, slurm = told
        return pyslurm, slurm

    def jobs(self, job_ids: Iterable[int]) -> dict[int, JobView]:
        """Read the records of these jobs; of those that may have ended by squeue."""
        wanted = sorted({job_id for job_id in job_ids if 0 < job_id <= LARGEST_ID})
        if len(wanted) <= FEW:
            told = [(job_id, self._ask("one", job_id)) for job_id in wanted]
            unsure = [job_id for job_id, rows in told if rows is None]
            rows = [row for _, some in told for row in some or ()]
        else:
            rows = self._ask("some", frozenset(wanted))
            unsure = [] if rows is not None else wanted
        views = {row.job_id: view_of(row) for row in _rows(rows or ())}
        unsure += [job_id for job_id, view in views.items() if view.job_state not in UNENDED]
        return views | self._commands.jobs(unsure) if unsure else views

    def declared(self) -> dict[int, JobRecord]:
        """Read every job with directives, over or not, which is by squeue for how it ended."""
        return self._commands.declared()

    def queue(self) -> tuple[QueuedJob, ...]:
        """Read every pending job that has directives."""
        rows = self._ask("queue")
        return self._commands.queue() if rows is None else queue_of(_rows(rows))

    def living(self) -> tuple[LivingJob, ...]:
        """Read the jobs with directives that use their files now, or may begin to at any moment."""
        rows = self._ask("living")
        return self._commands.living() if rows is None else living_of(_rows(rows))

    def comment(self, job_id: int, text: str) -> None:
        """Set a job's AdminComment. pyslurm does not set an empty one; scontrol does."""
        line = one_line(text)
        if not (line and 0 < job_id <= LARGEST_ID and self._ask("comment", job_id, line)):
            self._commands.comment(job_id, text)

    def turn_gate(self, job_id: int, hold: Hold, name: str = "") -> None:
        """Make a pending job's hold this one, by scontrol: pyslurm cannot name an array's tasks."""
        self._commands.turn_gate(job_id, hold, name)

    def notify(self, job_id: int, text: str) -> None:
        """Say one line at the terminal of the srun or salloc that waits for a job."""
        if not self._ask("notify", job_id, one_line(text)):
            self._commands.notify(job_id, text)

    def restage(self, job_id: int) -> None:
        """Have a job staged from the start, by scancel and scontrol: pyslurm cannot cancel only what is pending."""
        self._commands.restage(job_id)

    def end_stage_out(self, job_id: int) -> None:
        """Have Slurm done with a job's stage-out, by scancel: pyslurm cannot name one task of an array."""
        self._commands.end_stage_out(job_id)

    def tear_down_again(self, job_id: int) -> None:
        """Have a burst buffer torn down again, by scontrol and scancel, for the same reasons."""
        self._commands.tear_down_again(job_id)

    def close(self) -> None:
        """End the process, and with it a call under way; begin none. Twice is success."""
        self._closed = True
        if (apart := self._apart) is not None:
            apart.kill()
        if self._lock.acquire(timeout=_DIES_SECONDS):
            try:
                self._end()
            finally:
                self._lock.release()

    def _ask(self, method: str, *args: object) -> Any:  # noqa: ANN401 - each method's own
        """Have pyslurm do something; None where the commands have to.

        Raises:
            TemporaryError: slurmctld does not answer, or pyslurm does not.
        """
        with self._lock:
            if self._closed or self._now() < self._rests_until:
                return None
            try:
                self._apart = self._apart or Apart(self._argv)
                answer = self._apart.ask(method, args, self._seconds)
            except TimeoutError as error:
                silent = f"pyslurm did not answer in {self._seconds:g} s"
                self._lose(silent)
                raise TemporaryError(f"{silent}; see that slurmctld is well, it goes on by itself") from error
            except TemporaryError:
                self._end()
                raise
            except PermanentError as error:
                self._lose(error.message)
                return None
            except (EOFError, OSError):
                self._lose("its process ended, see what it said before")
                return None
            if self._lost:
                self._lost = False
                log.info("pyslurm-back")
            return answer

    def _lose(self, why: str) -> None:
        self._end()
        self._rests_until = self._now() + REST_SECONDS
        if not self._closed:
            self._lost = True
            log.warning("pyslurm-lost", extra={"amlfs_pairs": {"error": why, "instead": "commands"}})

    def _end(self) -> None:
        if self._apart is not None:
            self._apart.kill()
            self._apart.reaped(_DIES_SECONDS)
            self._apart.close()
            self._apart = None


def _rows(told: Iterable[Sequence[Any]]) -> list[JobRow]:
    return [JobRow(*row) for row in told]
