"""What helps a job that Slurm has left behind, by scontrol and scancel, where Slurm's own state allows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from slurm_amlfs.adapters.commands import Outcome
from slurm_amlfs.domain.lingering import is_torn_down
from slurm_amlfs.domain.view import JobView
from slurm_amlfs.errors import PermanentError, TemporaryError

_TEARDOWN_TIME = timedelta(seconds=2)


class Mending:
    """The three mends.

    Args:
        look: Reads a job's record, None if Slurm no longer knows it.
        run: Runs a command.
        scontrol: Where it is, absolute.
        scancel: Where it is, absolute.
    """

    def __init__(
        self,
        look: Callable[[int], JobView | None],
        run: Callable[[Sequence[str]], Outcome],
        scontrol: str,
        scancel: str,
    ) -> None:
        self._look = look
        self._run = run
        self._scontrol = scontrol
        self._scancel = scancel

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
        view = self._look(job_id)
        if view is None or view.job_state not in {"PENDING", "CANCELLED"} or view.bb_state == "staged-in":
            return None
        return view

    def end_stage_out(self, job_id: int) -> None:
        """Have Slurm done with a job's stage-out, in a hurry. A job that is over or gone is success.

        Raises:
            TemporaryError: slurmctld does not answer, or does not do it.
        """
        view = self._look(job_id)
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
        view = self._look(job_id)
        if view is not None and is_torn_down(view):
            outcome = self._run([self._scontrol, "requeuehold", view.called])
            if outcome.code == 0:
                raise TemporaryError(
                    f"job {job_id} is requeued and held for the teardown of its burst buffer; next it is cancelled",
                    retry_after=_TEARDOWN_TIME,
                )
            if self._look(job_id) is not None:
                raise PermanentError(
                    f"Slurm refuses to requeue job {job_id} ({outcome.complaint}); restart slurmctld to have its burst"
                    " buffer torn down"
                )
        elif view is not None and view.job_state == "PENDING" and view.held:
            outcome = self._run([self._scancel, "--state=PENDING", view.called])
            if outcome.code != 0:
                raise TemporaryError(f"Slurm does not cancel job {job_id} ({outcome.complaint}); see slurmctld's log")
