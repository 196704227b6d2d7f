"""The Slurm port by Slurm's own commands: squeue to look, scontrol to comment, to hold and to notify.

For one id squeue asks slurmctld for that job (REQUEST_JOB_INFO_SINGLE); for more, or for all that wait, it loads every
job of the cluster (REQUEST_JOB_INFO) and filters by itself (squeue/squeue.c). So a few ids are asked for one by one,
and only many in one call.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from slurm_amlfs.adapters.commands import Outcome, run
from slurm_amlfs.adapters.slurm_living import LIVING_FIELDS, LIVING_OPTIONS, parse_living
from slurm_amlfs.adapters.slurm_queue import (
    EACH_RECORD,
    EACH_TASK,
    JOB_ENVIRONMENT,
    JOB_FIELDS,
    QUEUE_ENVIRONMENT,
    QUEUE_FIELDS,
    QUEUE_OPTIONS,
    form,
    parse_jobs,
    parse_queue,
)
from slurm_amlfs.adapters.slurm_records import RECORD_FIELDS, RECORD_OPTIONS, parse_records
from slurm_amlfs.domain.lingering import is_torn_down
from slurm_amlfs.domain.view import Hold, JobRecord, JobView, LivingJob, QueuedJob
from slurm_amlfs.errors import PermanentError, TemporaryError

TIMEOUT_SECONDS = 30
"""slurm.conf's MessageTimeout is 10 s; the commands try a backup controller as well."""
LARGEST_ID = 2**31 - 1
"""squeue reads ids as int and refuses the whole list over one that is larger ("Invalid job id", squeue/opts.c)."""
FEW = 8
"""Ids that are asked for one by one: so many small requests are cheaper than a dump of a busy cluster's job table."""
MANY = 1000
"""More ids than this are picked out of the whole list here: squeue compares each of its jobs with each id."""
COMMENT_CHARACTERS = 1000
_VERSION: Final = re.compile(rb"slurm\S* ([0-9]+\.[0-9]+\S*)")
_TEARDOWN_TIME = timedelta(seconds=2)
_TURNS: Final[Mapping[Hold, str]] = {Hold.NONE: "release", Hold.OWNER: "uhold", Hold.ADMIN: "hold"}


class SlurmCommands:
    """The Slurm port.

    Args:
        bin_dir: Where squeue, scontrol and scancel are, absolute.
        conf: SLURM_CONF for them, None for Slurm's default.
    """

    def __init__(self, bin_dir: Path, conf: Path | None = None) -> None:
        self._squeue = str(bin_dir / "squeue")
        self._scontrol = str(bin_dir / "scontrol")
        self._scancel = str(bin_dir / "scancel")
        self._env = {"SLURM_CONF": str(conf)} if conf else {}
        self._apart = ""

    def version(self) -> str:
        """Tell the installed Slurm's version, "22.05.8"; slurmctld is not asked.

        Raises:
            TemporaryError: squeue does not tell it.
        """
        outcome = self._run([self._squeue, "--version"])
        found = _VERSION.search(outcome.stdout)
        if outcome.code != 0 or found is None:
            raise TemporaryError(f"{self._squeue} --version does not tell Slurm's version: {outcome.complaint}")
        return found[1].decode("ascii")

    def jobs(self, job_ids: Iterable[int]) -> dict[int, JobView]:
        """Read the records of these jobs; a job that Slurm no longer knows is absent.

        Raises:
            TemporaryError: slurmctld does not answer.
            PermanentError: squeue speaks otherwise than we know.
        """
        wanted = sorted({job_id for job_id in job_ids if 0 < job_id <= LARGEST_ID})
        if len(wanted) <= FEW:
            return self._one_by_one(wanted)
        return self._list(wanted)

    def queue(self) -> tuple[QueuedJob, ...]:
        """Read every pending job that has directives, in no promised order, by one squeue.

        On 22.05.8 a thousand pending jobs with two directives each cost slurmctld 4 ms, most of it under its job read
        lock, squeue 7 ms and us 8 ms, and ten thousand ten times that. `scontrol show job` makes the same request but
        takes 37 ms to write four times as much, `squeue --json` 140 ms; sacct does not know burst buffers.

        Raises:
            TemporaryError: slurmctld does not answer.
            PermanentError: squeue speaks otherwise than we know.
        """
        outcome, mark = self._ask_apart(QUEUE_FIELDS, QUEUE_OPTIONS, QUEUE_ENVIRONMENT)
        return parse_queue(outcome.stdout.decode("utf-8", "surrogateescape"), mark)

    def declared(self) -> dict[int, JobRecord]:
        """Read every job with directives that Slurm still knows, over or not, by one squeue.

        Raises:
            TemporaryError: slurmctld does not answer.
            PermanentError: squeue speaks otherwise than we know.
        """
        outcome, mark = self._ask_apart(RECORD_FIELDS, RECORD_OPTIONS, QUEUE_ENVIRONMENT)
        return parse_records(outcome.stdout.decode("utf-8", "surrogateescape"), mark)

    def living(self) -> tuple[LivingJob, ...]:
        """Read the jobs with directives that use their files now, or may begin to at any moment, by one squeue.

        Raises:
            TemporaryError: slurmctld does not answer.
            PermanentError: squeue speaks otherwise than we know.
        """
        outcome, mark = self._ask_apart(LIVING_FIELDS, LIVING_OPTIONS, QUEUE_ENVIRONMENT)
        return parse_living(outcome.stdout.decode("utf-8", "surrogateescape"), mark)

    def comment(self, job_id: int, text: str) -> None:
        """Set a job's AdminComment: one line, cut at 1,000 characters. A job that is gone is success.

        Raises:
            TemporaryError: slurmctld does not answer.
            PermanentError: Slurm refuses although the job is there: the daemon is neither root nor SlurmUser.
        """
        argv = [self._scontrol, "update", f"JobId={job_id}", f"AdminComment={one_line(text)}"]
        outcome = self._run(argv)
        # scontrol's exit code is 1 for every failure, so what is there is looked up instead of reading its text.
        if outcome.code != 0 and job_id in self.jobs([job_id]):
            raise PermanentError(
                f"Slurm refuses a comment on job {job_id} ({outcome.complaint}); run the daemon as root or SlurmUser"
            )

    def turn_gate(self, job_id: int, hold: Hold, name: str = "") -> None:
        """Make a pending job's hold this one, by scontrol hold, uhold or release, as an operator.

        Told to hold a held job, slurmctld changes but who may release it (job_mgr.c: _update_job, "setting priority to
        current value"). By the id of an array it would take every task, so a task's or a record's `name` goes first.

        Raises:
            TemporaryError: slurmctld does not answer.
            PermanentError: Slurm refuses although the job is pending: the daemon is neither root nor an operator.
        """
        outcome = self._run([self._scontrol, _TURNS[hold], name or str(job_id)])
        if outcome.code == 0:
            return
        job = self.jobs([job_id]).get(job_id)
        if job is not None and job.job_state == "PENDING" and job.hold is not hold:
            raise PermanentError(
                f"Slurm refuses to {_TURNS[hold]} job {job_id} ({outcome.complaint});"
                " run the daemon as root, SlurmUser or an operator"
            )

    def notify(self, job_id: int, text: str) -> None:
        """Say one line at the terminal of the srun or salloc that waits for a job; whether it arrives is not told.

        A pending job's message goes to the port that its srun or salloc listens on (slurmctld: srun_user_message).

        Raises:
            TemporaryError: slurmctld does not answer, or nobody waits for the job.
        """
        outcome = self._run([self._scontrol, "notify", str(job_id), one_line(text)])
        if outcome.code != 0:
            raise TemporaryError(
                f"nobody who waits for job {job_id} can be told ({outcome.complaint}); its board says it"
            )

    def restage(self, job_id: int) -> None:
        """Have a pending batch job that Slurm has left behind staged from the start: cancelled, and then requeued.

        Only a cancel ends a stage-in that slurmctld believes to be under way (burst_buffer_lua.c: bb_p_job_cancel),
        and a job that is pending, or of `--no-requeue`, is not requeued (job_mgr.c: _job_requeue_op): so the second is
        ended before anything is cancelled. Slurm lets the job begin two minutes later.

        One that meanwhile is staged in, or has begun, is left alone.

        Raises:
            TemporaryError: slurmctld does not answer, or does not cancel or requeue it.
            PermanentError: Slurm refuses to make the job one that can be requeued; nothing was cancelled.
        """
        view = self._left_behind(job_id)
        if view is not None and view.job_state == "PENDING":
            # Of one that is cancelled nothing can be changed any more (_update_job).
            view = self._cancel_pending(view) if self._let_requeue(view) else None
        if view is not None:  # else a requeue would end what runs
            self._requeue(view)

    def _let_requeue(self, view: JobView) -> bool:
        """Make a pending job one that may be requeued; False if it has begun, or is gone."""
        outcome = self._run([self._scontrol, "update", f"JobId={view.called}", "Requeue=1"])
        if outcome.code == 0:
            return True
        if self._left_behind(view.job_id) is None:
            return False
        raise PermanentError(
            f"Slurm refuses to let job {view.job_id} be requeued ({outcome.complaint}), so it is not cancelled;"
            " run the daemon as root, SlurmUser or an operator, or see slurmctld's log"
        )

    def _cancel_pending(self, view: JobView) -> JobView | None:
        """Cancel a pending job; None if it has begun, or is gone."""
        outcome = self._run([self._scancel, "--state=PENDING", view.called])
        now = self._left_behind(view.job_id)
        if now is not None and now.job_state != "CANCELLED":
            raise TemporaryError(f"Slurm does not cancel job {now.job_id} ({outcome.complaint}); see slurmctld's log")
        return now

    def _requeue(self, view: JobView) -> None:
        outcome = self._run([self._scontrol, "requeue", view.called])
        if outcome.code != 0:
            raise TemporaryError(f"Slurm does not requeue job {view.job_id} ({outcome.complaint}); see slurmctld's log")

    def _left_behind(self, job_id: int) -> JobView | None:
        """Read a job that may be staged anew; None if it has begun, is over in another way, is gone or staged in."""
        view = self.jobs([job_id]).get(job_id)
        if view is None or view.job_state not in {"PENDING", "CANCELLED"} or view.bb_state == "staged-in":
            return None
        return view

    def end_stage_out(self, job_id: int) -> None:
        """Have Slurm done with a job's stage-out, in a hurry. A job that is over or gone is success.

        Raises:
            TemporaryError: slurmctld does not answer, or does not do it.
        """
        view = self.jobs([job_id]).get(job_id)
        if view is None or view.job_state != "STAGE_OUT":
            return
        outcome = self._run([self._scancel, "--hurry", view.called])
        if outcome.code != 0:
            raise TemporaryError(f"Slurm does not end the stage-out of job {job_id} ({outcome.complaint})")

    def tear_down_again(self, job_id: int) -> None:
        """Have the burst buffer of a batch job that is over torn down again: requeued and held, and then cancelled.

        A job that is over takes no second cancel (job_mgr.c: job_signal), and the requeue tears down itself
        (job_completion_logger), unless the job has had nodes; then the cancel does. That kills what runs for the job,
        so it is left to a later call. One that is released in between is left to run.

        Raises:
            TemporaryError: slurmctld does not answer or does not cancel it; or it is requeued, and to be cancelled yet.
            PermanentError: Slurm refuses to requeue it.
        """
        view = self.jobs([job_id]).get(job_id)
        if view is not None and is_torn_down(view):
            outcome = self._run([self._scontrol, "requeuehold", view.called])
            if outcome.code == 0:
                raise TemporaryError(
                    f"job {job_id} is requeued and held for the teardown of its burst buffer; next it is cancelled",
                    retry_after=_TEARDOWN_TIME,
                )
            if job_id in self.jobs([job_id]):
                raise PermanentError(
                    f"Slurm refuses to requeue job {job_id} ({outcome.complaint}); restart slurmctld to have its burst"
                    " buffer torn down"
                )
        elif view is not None and view.job_state == "PENDING" and view.held:
            outcome = self._run([self._scancel, "--state=PENDING", view.called])
            if outcome.code != 0:
                raise TemporaryError(f"Slurm does not cancel job {job_id} ({outcome.complaint}); see slurmctld's log")

    def _one_by_one(self, job_ids: Sequence[int]) -> dict[int, JobView]:
        jobs: dict[int, JobView] = {}
        for at, job_id in enumerate(job_ids):
            outcome, mark = self._ask(JOB_FIELDS, _named([job_id]), JOB_ENVIRONMENT)
            if outcome.code != 0:
                # The job is unknown, or slurmctld does not answer: only a list, where an unknown id is no error, tells
                # which without reading squeue's text. It tells of the jobs that are left as well.
                return jobs | self._list(job_ids[at:])
            jobs |= _only([job_id], outcome, mark)
        return jobs

    def _list(self, job_ids: Sequence[int]) -> dict[int, JobView]:
        # squeue/opts.c: params.job_id is set when the list holds one id, so one that stands alone is given twice.
        named = job_ids if len(job_ids) > 1 else [*job_ids, *job_ids]
        outcome, mark = self._ask_apart(JOB_FIELDS, _named(named), JOB_ENVIRONMENT)
        return _only(job_ids, outcome, mark)

    def _ask_apart(self, fields: Sequence[str], options: Sequence[str], env: Mapping[str, str]) -> tuple[Outcome, str]:
        """Ask for many jobs, each task that has a record of its own apart from its array's.

        Which option says so is remembered until squeue fails, since Slurm may be another then.

        Raises:
            TemporaryError: slurmctld does not answer.
        """
        if not self._apart:
            known = self._run([self._squeue, EACH_RECORD, "--version"]).code == 0  # asks no slurmctld
            self._apart = EACH_RECORD if known else EACH_TASK
        outcome, mark = self._ask(fields, [*options, self._apart], env)
        if outcome.code != 0:
            self._apart = ""
            raise _silent(outcome)
        return outcome, mark

    def _ask(
        self, fields: Sequence[str], options: Sequence[str], env: Mapping[str, str] | None = None
    ) -> tuple[Outcome, str]:
        """Run squeue for these fields; return what it printed and the mark behind each field."""
        mark = f"|{secrets.token_hex(8)}|"
        argv = [self._squeue, "--local", "--noheader", *options, f"--Format={form(fields, mark)}"]
        return self._run(argv, env), mark

    def _run(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Outcome:
        return run(argv, timeout_seconds=TIMEOUT_SECONDS, env={**self._env, **(env or {})})


def _named(job_ids: Sequence[int]) -> list[str]:
    named = [f"--jobs={','.join(map(str, job_ids))}"] if len(job_ids) <= MANY else []
    return ["--all", "--states=all", *named]


def _only(job_ids: Sequence[int], outcome: Outcome, mark: str) -> dict[int, JobView]:
    """Read the answer; an array's or a heterogeneous job's other parts, which come along, were not asked for."""
    asked = set(job_ids)
    jobs = parse_jobs(outcome.stdout.decode("utf-8", "replace"), mark)
    return {job_id: job for job_id, job in jobs.items() if job_id in asked}


def one_line(text: str) -> str:
    """Write a text for AdminComment or a terminal: one line of printable characters, cut, without scontrol's quotes."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain.replace('"', "'")[:COMMENT_CHARACTERS]


def _silent(outcome: Outcome) -> TemporaryError:
    return TemporaryError(f"Slurm does not answer: {outcome.complaint}; start slurmctld, it goes on by itself")
