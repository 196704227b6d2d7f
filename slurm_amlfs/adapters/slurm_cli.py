"""The Slurm port by Slurm's own commands: squeue to look, scontrol to comment and to notify.

squeue tells jobs in named fields (`-O`), which are alike from 22.05 to 26.05. Fields are parted by a word that is drawn
anew for each call, so no text in a job's record can pass for another field or another job.

For one id squeue asks slurmctld for that job (REQUEST_JOB_INFO_SINGLE); for more it loads every job of the cluster and
filters by itself (squeue/squeue.c). So a few ids are asked for one by one, and only many in one call.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from slurm_amlfs.adapters.commands import Outcome, run
from slurm_amlfs.domain.view import JobView
from slurm_amlfs.errors import PermanentError, TemporaryError

TIMEOUT_SECONDS = 30
"""slurm.conf's MessageTimeout is 10 s; the commands try a backup controller as well."""
IDS_IN_A_CALL = 5000
"""Ids of up to ten digits and a comma: below the kernel's 128 KiB for one argument (MAX_ARG_STRLEN)."""
LARGEST_ID = 2**31 - 1
"""squeue reads ids as int and refuses the whole list over one that is larger ("Invalid job id", squeue/opts.c)."""
FEW = 8
"""Ids that are asked for one by one: so many small requests are cheaper than a dump of a busy cluster's job table."""
COMMENT_CHARACTERS = 1000

_FIELDS = {
    "JobID": 12,
    "UserID": 12,
    "State": 24,
    "BurstBufferState": 24,
    "exit_code": 12,
    "RestartCnt": 12,
    "PriorityLong": 12,
    "BatchFlag": 4,
    "Account": 256,
    "UserName": 256,
    "Reason": 1024,
}
"""squeue's field names and the widths that it cuts them at. Reason comes last: it may be a text (state_desc)."""


class SlurmCommands:
    """The Slurm port.

    Args:
        bin_dir: Where squeue and scontrol are, absolute.
        conf: SLURM_CONF for them, None for Slurm's default.
    """

    def __init__(self, bin_dir: Path, conf: Path | None = None) -> None:
        self._squeue = str(bin_dir / "squeue")
        self._scontrol = str(bin_dir / "scontrol")
        self._env = {"SLURM_CONF": str(conf)} if conf else {}

    def jobs(self, job_ids: Iterable[int]) -> dict[int, JobView]:
        """Read the records of these jobs; a job that Slurm no longer knows is absent.

        Raises:
            TemporaryError: slurmctld does not answer.
            PermanentError: squeue speaks otherwise than we know.
        """
        wanted = sorted({job_id for job_id in job_ids if 0 < job_id <= LARGEST_ID})
        if len(wanted) <= FEW:
            return self._one_by_one(wanted)
        jobs: dict[int, JobView] = {}
        for at in range(0, len(wanted), IDS_IN_A_CALL):
            jobs |= self._list(wanted[at : at + IDS_IN_A_CALL])
        return jobs

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

    def _one_by_one(self, job_ids: Sequence[int]) -> dict[int, JobView]:
        jobs: dict[int, JobView] = {}
        for at, job_id in enumerate(job_ids):
            outcome, mark = self._squeue_for([job_id])
            if outcome.code != 0:
                # The job is unknown, or slurmctld does not answer: only a list, where an unknown id is no error, tells
                # which without reading squeue's text. It tells of the jobs that are left as well.
                return jobs | self._list(job_ids[at:])
            jobs |= _only([job_id], outcome, mark)
        return jobs

    def _list(self, job_ids: Sequence[int]) -> dict[int, JobView]:
        # squeue/opts.c: params.job_id is set when the list holds one id, so one that stands alone is given twice.
        outcome, mark = self._squeue_for(job_ids if len(job_ids) > 1 else [*job_ids, *job_ids])
        if outcome.code != 0:
            raise TemporaryError(f"Slurm does not answer: {outcome.complaint}; start slurmctld, it goes on by itself")
        return _only(job_ids, outcome, mark)

    def _squeue_for(self, job_ids: Sequence[int]) -> tuple[Outcome, str]:
        mark = f"|{secrets.token_hex(8)}|"
        fields = ",".join(f"{name}:{width}{mark}" for name, width in _FIELDS.items())
        argv = [self._squeue, "--local", "--noheader", "--all", "--states=all", f"--jobs={','.join(map(str, job_ids))}"]
        return self._run([*argv, f"--Format={fields}"]), mark

    def _run(self, argv: Sequence[str]) -> Outcome:
        return run(argv, timeout_seconds=TIMEOUT_SECONDS, env=self._env)


def parse_jobs(output: str, mark: str) -> dict[int, JobView]:
    """Read squeue's records; `mark` stands behind each field, and a record ends with a line end behind the last.

    Raises:
        PermanentError: not the records that were asked for.
    """
    *texts, rest = output.split(mark)
    if len(texts) % len(_FIELDS) or rest.strip():
        raise PermanentError(
            f"squeue prints {len(texts)} fields, no multiple of {len(_FIELDS)}; report Slurm's version"
        )
    records = [texts[at : at + len(_FIELDS)] for at in range(0, len(texts), len(_FIELDS))]
    return {job.job_id: job for job in map(_job, records)}


def _only(job_ids: Sequence[int], outcome: Outcome, mark: str) -> dict[int, JobView]:
    """Read the answer; an array's or a heterogeneous job's other parts, which come along, were not asked for."""
    asked = set(job_ids)
    jobs = parse_jobs(outcome.stdout.decode("utf-8", "replace"), mark)
    return {job_id: job for job_id, job in jobs.items() if job_id in asked}


def one_line(text: str) -> str:
    """Write a text for AdminComment or a terminal: one line of printable characters, cut, without scontrol's quotes."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain.replace('"', "'")[:COMMENT_CHARACTERS]


def _job(record: Sequence[str]) -> JobView:
    job_id, uid, job_state, bb_state, exit_code, restarts, priority, batch, *texts = map(str.strip, record)
    account, user, reason = texts
    try:
        code, signal = _exit(exit_code)
        return JobView(
            job_id=int(job_id),
            uid=int(uid),
            job_state=job_state,
            reason=reason,
            bb_state=_none(bb_state),
            exit_code=code,
            exit_signal=signal,
            account=_none(account),
            user="" if user == _NO_NAME else user,
            restarts=int(restarts),
            held=int(priority) == 0,
            interactive=int(batch) == 0,
        )
    except ValueError as error:
        raise PermanentError(f"squeue prints a record of another form ({error}); report Slurm's version") from error


_NO_NAME = "nobody"
"""What squeue prints for a uid that has no name on its host (uid_to_string_cached)."""


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


def _none(text: str) -> str:
    return "" if text in {"N/A", "(null)", "n/a"} else text
