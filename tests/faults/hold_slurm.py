"""A model of Slurm in hold mode: jobs wait held, and both programs of slurmctld's are the hooks."""

from __future__ import annotations

from slurm_amlfs.wire import Answer, Board, Request, RequestKind
from tests.faults.job import ALICE, Job
from tests.faults.model_slurm import ModelSlurm
from tests.faults.promises import Violation, check_inputs
from tests.faults.shown import show

_WAITS_AGAIN_SECONDS = 0.5
"""What a requeued job waits for by itself; Slurm's two minutes would be half of all the time."""

_KEPT_SECONDS = 2.0
"""How long the record of a job that is over is kept (MinJobAge), at least."""


class HoldSlurm(ModelSlurm):
    """All jobs; `gates/ID` has whose hold a job is in, or "open"."""

    def submit(self, job: Job) -> Job:
        """Put a job into the queue, held by job_submit."""
        self._turn(job, "owner")
        job.inputs = self.inputs_of(job)
        return super().submit(job)

    def restart(self) -> None:
        """Kill slurmctld and start it again: it comes back as it last saved, without the releases since."""
        for job in self.jobs.values():
            if job.place == "pending" and self._gate(job) == "open":
                self._turn(job, "admin")

    def cancel(self, job: Job, *, hurry: bool = False) -> None:
        """Scancel a job; there is no stage-out that a hurry could leave out."""
        if job.place == "running":
            self.end(job, code=15)
        elif job.place == "pending":
            job.place, job.code, job.until = "over", 15, self._clock() + _KEPT_SECONDS
        job.hurried |= hurry or job.code > 0
        show(self.ground.folder, job)

    def end(self, job: Job, code: int, *, again: bool = False) -> None:
        """Let a running job end, or be sent back to the queue, and EpilogSlurmctld leave its note."""
        job.code = code
        if again:
            self._send_back(job)
        else:
            job.place, job.lost, job.until = "over", "out", self._clock() + _KEPT_SECONDS
            if job.forgotten:
                job.place = "purged"
        known = self.ground.board(job.job_id) is not None
        note = Request(
            RequestKind.DATA_OUT, job.job_id, _token(job), ALICE, ALICE, exit_code=code,
            directives=job.lines if known else (),
        )  # fmt: skip
        self.ground.drop(note)

    def _step(self, job: Job) -> None:
        match job.place:
            case "pending":
                self._wait(job)
            case "running" if self._clock() >= job.until:
                self._end(job)
            case "over" if self._clock() >= job.until:
                job.place = "purged"

    def _wait(self, job: Job) -> None:
        board = self.ground.board(job.job_id)
        if board is not None and board.answer_in is Answer.ERROR and board.token_in in {"", _token(job)}:
            if not job.fails:
                raise Violation(9, f"job {job.job_id} was refused: {board.message}")
            self.cancel(job)
        elif self._gate(job) == "open" and self._clock() >= job.until:
            self._begin(job, board)

    def _begin(self, job: Job, board: Board | None) -> None:
        """Start a job on a node, unless PrologSlurmctld sends it back."""
        if board is None or board.token_in != _token(job) or board.answer_in is not Answer.DONE:
            self._send_back(job)
            return
        if job.fails:
            raise Violation(7 if job.forbidden else 1, f"job {job.job_id} was let go although its import fails")
        if job.imports and not self._has_receipt(job):
            raise Violation(1, f"job {job.job_id} was let go without a receipt")
        check_inputs(self.ground, job, "starts")
        job.place, job.until = "running", self._clock() + job.run_seconds
        job.runs += 1
        self._write(job)

    def _send_back(self, job: Job) -> None:
        job.restarts += 1
        job.place, job.until = "pending", self._clock() + _WAITS_AGAIN_SECONDS
        show(self.ground.folder, job)

    def _gate(self, job: Job) -> str:
        return (self.ground.folder / "slurm" / "gates" / str(job.job_id)).read_text().strip()

    def _turn(self, job: Job, hold: str) -> None:
        gates = self.ground.folder / "slurm" / "gates"
        draft = gates / f"draft-{job.job_id}"
        draft.write_text(f"{hold}\n")
        draft.rename(gates / str(job.job_id))


def _token(job: Job) -> str:
    return f"run-{job.restarts}"
