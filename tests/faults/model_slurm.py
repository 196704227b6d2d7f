"""A model of Slurm: what burst_buffer_lua.c does with jobs, what its hooks ask and read, and what jobs do with files.

What a job may rely on is checked where Slurm or the job relies on it; a `Violation` says which invariant was broken.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from slurm_amlfs.wire import Answer, Board, Request, RequestKind
from tests.faults.ground import Ground
from tests.faults.job import ALICE, Job
from tests.faults.promises import Violation, check_exported, check_inputs
from tests.faults.shown import show

_ASK_AGAIN_SECONDS = 2.0


class ModelSlurm:
    """All jobs. `go_on` lets each take the step that is due; `told` is what boards said to those that waited."""

    def __init__(self, ground: Ground, blobs: dict[str, bytes], clock: Callable[[], float] = time.monotonic) -> None:
        """Take the ground; `blobs` are the inputs by name, as they are now."""
        self.ground, self.blobs, self._clock = ground, blobs, clock
        self.jobs: dict[int, Job] = {}
        self.told: set[str] = set()
        self._tokens = 0

    def submit(self, job: Job) -> Job:
        """Put a job into the queue."""
        job.submitted = int(time.time())
        self.jobs[job.job_id] = job
        if job.interactive:
            (self.ground.folder / "slurm" / "terminals" / str(job.job_id)).touch()
        show(self.ground.folder, job)
        return job

    def go_on(self) -> None:
        """Let every job take its next step, if it is due."""
        self.obey()
        for job in list(self.jobs.values()):
            before = job.place, job.held
            self._step(job)
            if (job.place, job.held) != before:
                show(self.ground.folder, job)

    def obey(self) -> None:
        """Do what scancel and scontrol have asked for since."""
        for path in (self.ground.folder / "slurm" / "asks").iterdir():
            path.unlink()
            job = self.jobs[int(path.stem)]
            if path.suffix == ".hurry":
                self.cancel(job, hurry=True)
            elif job.place != "purged":
                # Cancelled before, it was torn down.
                self._drop(job, RequestKind.TEARDOWN, hurry=True)
                job.place = "pending"
                (self.ground.folder / "slurm" / "gates" / str(job.job_id)).unlink(missing_ok=True)
                show(self.ground.folder, job)

    @property
    def over(self) -> bool:
        """Say whether Slurm has forgotten all jobs."""
        return all(job.place == "purged" for job in self.jobs.values())

    def _step(self, job: Job) -> None:
        match job.place:
            case "pending":
                self.stage(job)
            case "staging" | "out":
                self._poll(job)
            case "staged":
                self._start(job)
            case "held":
                self.cancel(job)
            case "running" if self._clock() >= job.until:
                self._end(job)
            case "over":
                job.place = "purged"

    def stage(self, job: Job) -> None:
        """Begin to stage a pending job."""
        job.inputs = self.inputs_of(job)
        self._drop(job, RequestKind.SETUP)
        job.place, job.token = "staged", ""
        if job.imports:
            job.place = "staging"
            self._ask(job, RequestKind.DATA_IN)

    def inputs_of(self, job: Job) -> dict[str, bytes]:
        """List what a job brings in, by name."""
        return {n: data for n, data in self.blobs.items() if any(n.startswith(p[1:]) for p in job.imports)}

    def _poll(self, job: Job) -> None:
        """Let the hook that waits read the board, and ask again if nobody answers to what it asked."""
        board = self.ground.board(job.job_id)
        staging = job.place == "staging"
        token = None if board is None else board.token_in if staging else board.token_out
        if board is None or token != job.token:
            late = self._clock() - job.asked > _ASK_AGAIN_SECONDS
            if late and not self.ground.has_request(job.job_id, job.token):
                self._drop(job, RequestKind.DATA_IN if staging else RequestKind.DATA_OUT, token=job.token)
                job.asked = self._clock()
        elif staging:
            self._hear_in(job, board)
        else:
            self._hear_out(job, board)

    def _hear_in(self, job: Job, board: Board) -> None:
        self.told.add(board.message)
        if board.answer_in is Answer.DONE:
            if job.forbidden:
                raise Violation(7, f"job {job.job_id} got what nobody was granted")
            check_inputs(self.ground, job, "is called staged in")
            job.place = "staged"
        elif board.answer_in is Answer.ERROR:
            if not job.fails:
                raise Violation(9, f"job {job.job_id} was refused: {board.message}")
            job.place, job.held = "held", True
            self._drop(job, RequestKind.TEARDOWN, hurry=True)

    def _hear_out(self, job: Job, board: Board) -> None:
        if board.answer_out is Answer.BUSY:
            return
        if board.answer_out is not Answer.DONE:
            raise Violation(4, f"the export of job {job.job_id} failed: {board.message}")
        if not job.again and job.wanted_out(ended_well=not job.code):
            check_exported(self.ground, job)
        self._torn_down(job)

    def _start(self, job: Job) -> None:
        """Start a job on a node, through the gate."""
        if job.held:
            return
        if job.imports:
            board = self.ground.board(job.job_id)
            if board is None or board.token_in != job.token or board.answer_in is not Answer.DONE:
                # The daemon lost its database, or asks are being proved again: PrologSlurmctld sends the job back.
                job.again = True
                self._torn_down(job)
                return
            if not self._has_receipt(job):
                return
            if job.fails:
                raise Violation(1, f"job {job.job_id} was let go although its import fails")
            check_inputs(self.ground, job, "starts")
        job.place, job.until = "running", self._clock() + job.run_seconds
        job.runs += 1
        self._drop(job, RequestKind.PRE_RUN)
        self._write(job)

    def _has_receipt(self, job: Job) -> bool:
        return (self.ground.mount / ".amlfs" / "receipts" / str(job.job_id)).exists()

    def _end(self, job: Job) -> None:
        check_inputs(self.ground, job, "ends")
        again = job.requeues > 0
        job.requeues -= again
        self.end(job, job.code, again=again)

    def end(self, job: Job, code: int, *, again: bool = False) -> None:
        """Let a running job end, or be sent back to the queue."""
        job.place, job.code, job.again = "out", code, again
        self._drop(job, RequestKind.POST_RUN)
        if job.exports:
            self._ask(job, RequestKind.DATA_OUT)
        else:
            self._torn_down(job)

    def _torn_down(self, job: Job) -> None:
        self._drop(job, RequestKind.TEARDOWN)
        job.place = "pending" if job.again else "over"
        job.again = False

    def disturb(self, job: Job, how: str) -> None:
        """Do to a job what is named: cancel, hurry, vanish or rewrite."""
        match how:
            case "cancel" | "hurry":
                self.cancel(job, hurry=how == "hurry")
            case "vanish":
                self.vanish(job)
            case "rewrite":
                self.rewrite(job)

    def cancel(self, job: Job, *, hurry: bool = False) -> None:
        """Scancel a job."""
        if job.place == "running" and not hurry:
            self.end(job, code=15)
        elif job.place in {"running", "out"} and hurry:
            job.place, job.code, job.hurried = "over", 15, True
            self._drop(job, RequestKind.TEARDOWN, hurry=True)
        elif job.place in {"pending", "staging", "staged", "held"}:
            told = job.place != "pending"
            job.place, job.code = "over", 15
            if told:
                self._drop(job, RequestKind.TEARDOWN, hurry=True)
        show(self.ground.folder, job)

    def rewrite(self, job: Job) -> None:
        """Write an output again; once its export may have begun, that may bring out either version."""
        if not job.files:
            return
        path, before = next(iter(job.files.items()))
        if job.place == "out":
            job.older.setdefault(path, []).append(before)
        job.files[path] = before[::-1] + b"again\n"
        (self.ground.mount / path).write_bytes(job.files[path])

    def vanish(self, job: Job) -> None:
        """Let Slurm lose a job's record at once, without a word to anybody."""
        job.lost = "" if job.again else job.place
        job.place, job.hurried = "purged", True
        show(self.ground.folder, job)

    def restart(self) -> None:
        """Kill slurmctld and start it again (_recover_job_bb)."""
        for job in self.jobs.values():
            if job.place in {"staging", "staged"}:
                job.place = "pending"
                self._drop(job, RequestKind.TEARDOWN, hurry=True)
                show(self.ground.folder, job)
            elif job.place == "out":
                self._drop(job, RequestKind.POST_RUN)
                self._ask(job, RequestKind.DATA_OUT)

    def _ask(self, job: Job, kind: RequestKind) -> None:
        self._tokens += 1
        job.token, job.asked = f"{self._tokens}-1", self._clock()
        self._drop(job, kind, token=job.token)

    def _drop(self, job: Job, kind: RequestKind, *, token: str = "", hurry: bool = False) -> None:
        lines = job.lines if kind in {RequestKind.SETUP, RequestKind.DATA_IN, RequestKind.DATA_OUT} else ()
        code = job.code if kind in {RequestKind.POST_RUN, RequestKind.DATA_OUT} else -1
        # On 22.05 only setup knows the uid.
        uid = ALICE if kind is RequestKind.SETUP else -1
        job.unheard |= not self.ground.daemons.alive
        self.ground.drop(Request(kind, job.job_id, token, uid, uid, hurry, code, lines))

    def _write(self, job: Job) -> None:
        """Write the outputs, other ones at each run."""
        if not job.exports:
            return
        folder = self.ground.mount / job.exports[0].strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        job.older.clear()
        os.chown(folder, ALICE, ALICE)
        for name in ("out", f"run{job.runs}"):
            data = f"{name} of job {job.job_id} in run {job.runs}\n".encode() * 20
            with (folder / name).open("wb") as file:
                os.fchown(file.fileno(), ALICE, ALICE)
                file.write(data)
            job.files[f"{job.exports[0].strip('/')}/{name}"] = data
