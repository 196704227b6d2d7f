"""A cluster in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from slurm_amlfs.domain.lingering import is_torn_down
from slurm_amlfs.domain.view import Hold, JobRecord, JobView, LivingJob, QueuedJob
from slurm_amlfs.errors import AmlfsError, PermanentError, TemporaryError


class FakeSlurm:
    """The Slurm port over a dict of jobs. `faults` are raised by the next calls, one each.

    `queued` is what waits, by job id; what has a record that is not pending has left the queue. `lives` are all jobs
    with directives that use their files or not, but for their state, which their record tells. `no_requeue` are jobs
    that Slurm does not requeue until that is changed.
    """

    def __init__(self) -> None:
        self.records: dict[int, JobView] = {}
        self.queued: dict[int, QueuedJob] = {}
        self.lives: dict[int, LivingJob] = {}
        self.no_requeue: set[int] = set()
        self.comments: dict[int, list[str]] = {}
        self.notices: dict[int, list[str]] = {}
        self.turns: list[tuple[int, Hold, str]] = []
        self.faults: list[AmlfsError] = []

    def jobs(self, job_ids: Iterable[int]) -> dict[int, JobView]:
        """Read the records of these jobs."""
        self._called()
        return {job_id: self.records[job_id] for job_id in job_ids if job_id in self.records}

    def declared(self) -> dict[int, JobRecord]:
        """Read what has directives."""
        self._called()
        found = {job_id: job for job_id, job in self.queued.items() if job.directives and job_id in self.records}
        return {
            job_id: JobRecord(self.records[job_id], job.directives, tasks=job.tasks, after=job.after)
            for job_id, job in found.items()
        }

    def queue(self) -> tuple[QueuedJob, ...]:
        """Read what waits and has directives."""
        self._called()
        return tuple(job for job in self.queued.values() if (job.directives or job.after) and self._pending(job.job_id))

    def living(self) -> tuple[LivingJob, ...]:
        """Read what uses its files and has directives."""
        self._called()
        jobs = [replace(it, job_state=view.job_state, bb_state=view.bb_state) for it in self.lives.values()
                if (view := self.records.get(it.job_id)) is not None]  # fmt: skip
        return tuple(job for job in jobs if job.uses_files)

    def comment(self, job_id: int, text: str) -> None:
        """Keep a comment on a job that is there."""
        self._called()
        if job_id in self.records:
            self.comments.setdefault(job_id, []).append(text)

    def turn_gate(self, job_id: int, hold: Hold, name: str = "") -> None:
        """Make a pending job's hold this one."""
        self._called()
        job = self.records.get(job_id)
        if job is not None and job.job_state == "PENDING":
            self.turns.append((job_id, hold, name))
            reason = {Hold.NONE: "None", Hold.OWNER: "JobHeldUser", Hold.ADMIN: "JobHeldAdmin"}[hold]
            held = hold is not Hold.NONE
            self.records[job_id] = replace(job, held=held, reason=reason, priority=0 if held else 1)

    def notify(self, job_id: int, text: str) -> None:
        """Keep what the terminal of an interactive job is told."""
        self._called()
        if job_id not in self.records or not self.records[job_id].interactive:
            raise TemporaryError(f"nobody who waits for job {job_id} can be told")
        self.notices.setdefault(job_id, []).append(text)

    def restage(self, job_id: int) -> None:
        """Make a job that is pending or cancelled one that can be requeued, cancel and requeue it."""
        self._called()
        record = self.records.get(job_id)
        if record is None or record.job_state not in {"PENDING", "CANCELLED"} or record.bb_state == "staged-in":
            return
        if record.interactive:
            raise TemporaryError(f"Slurm does not requeue job {job_id}")
        self.no_requeue.discard(job_id)
        self.records[job_id] = replace(record, job_state="PENDING", bb_state="complete", restarts=record.restarts + 1)

    def end_stage_out(self, job_id: int) -> None:
        """Let a job in STAGE_OUT end."""
        self._called()
        record = self.records.get(job_id)
        if record is not None and record.job_state == "STAGE_OUT":
            self.records[job_id] = replace(record, job_state="COMPLETED", bb_state="complete")

    def tear_down_again(self, job_id: int) -> None:
        """Requeue a job whose teardown was lost, held and with its burst buffer gone, or cancel it then."""
        self._called()
        record = self.records.get(job_id)
        if record is not None and is_torn_down(record):
            if record.interactive or job_id in self.no_requeue:
                raise PermanentError(f"Slurm refuses to requeue job {job_id}")
            again = replace(record, job_state="PENDING", bb_state="complete", restarts=record.restarts + 1)
            self.records[job_id] = replace(again, held=True, reason="JobHeldUser", priority=0)
            raise TemporaryError(f"job {job_id} is requeued and held")
        if record is not None and record.job_state == "PENDING" and record.held:
            self.records[job_id] = replace(record, job_state="CANCELLED")

    def _pending(self, job_id: int) -> bool:
        return job_id not in self.records or self.records[job_id].job_state == "PENDING"

    def _called(self) -> None:
        if self.faults:
            raise self.faults.pop(0)
