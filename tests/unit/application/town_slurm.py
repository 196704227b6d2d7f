"""The model town's Slurm: what burst_buffer_lua.c does with jobs, and what its hooks ask and read.

What a job may rely on is checked here, where Slurm relies on it.
"""

from __future__ import annotations

from datetime import datetime

from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.wire import Answer, Board, Request, RequestKind
from tests.fakes.arm import FakeArm
from tests.unit.application.town_job import ALICE, BAD, TownJob


class TownSlurm:
    """Jobs, the requests of their hooks, and the boards that these read."""

    now: datetime

    def __init__(self, arm: FakeArm) -> None:
        self.arm, self.blobs, self.lustre = arm, arm.blobs, arm.lustre
        self.jobs: dict[int, TownJob] = {}
        self.inbox: dict[int, Request] = {}
        self.boards: dict[int, Board] = {}
        self.failed: set[int] = set()
        # While it is, hooks that only tell cannot; those that wait for an answer ask again.
        self.deaf = False
        self.size = 100
        self._arrived = 0

    def submit(self, *lines: str) -> TownJob:
        """Put a job into the queue."""
        job_id = len(self.jobs) + 1
        job = TownJob(job_id, tuple(line.replace("OWN", f"/jobs/{job_id}/") for line in lines))
        job.submitted = self.now.replace(microsecond=0)
        self.jobs[job_id] = job
        self._see_blobs(job)
        return job

    def _see_blobs(self, job: TownJob) -> None:
        job.blobs = {blob.name: blob.last_modified for prefix in job.imports for blob in self.blobs.walk(prefix)}

    def _drop(self, job: TownJob, kind: RequestKind, *, token: str = "", hurry: bool = False) -> None:
        if self.deaf and kind not in {RequestKind.DATA_IN, RequestKind.DATA_OUT}:
            return
        self._arrived += 1
        lines = job.lines if kind in {RequestKind.SETUP, RequestKind.DATA_IN, RequestKind.DATA_OUT} else ()
        code = job.code if kind in {RequestKind.POST_RUN, RequestKind.DATA_OUT} else -1
        # On 22.05 only setup knows the uid.
        uid = ALICE if kind is RequestKind.SETUP else -1
        self.inbox[self._arrived] = Request(kind, job.job_id, token, uid, uid, hurry, code, lines)

    def _token(self) -> str:
        return f"{self._arrived + 1}-1"

    def stage(self, job: TownJob) -> None:
        """Let Slurm begin to stage a pending job."""
        if job.runs:
            self._see_blobs(job)
        self._drop(job, RequestKind.SETUP)
        job.place, job.token = "staged", ""
        if job.imports:
            job.place, job.token = "staging", self._token()
            self._drop(job, RequestKind.DATA_IN, token=job.token)

    def poll(self, job: TownJob) -> None:
        """Let the hook that waits read the board."""
        board = self.boards.get(job.job_id)
        if job.place == "staging":
            if board is None or board.token_in != job.token:
                self._again(job, RequestKind.DATA_IN)
            elif board.answer_in is Answer.DONE:
                self._check_staged(job)
                job.place = "staged"
            elif board.answer_in is Answer.ERROR:
                assert BAD in job.imports, f"job {job.job_id} failed: {board.message}"
                self.failed.add(job.job_id)
                job.place, job.held = "held", True
                self._drop(job, RequestKind.TEARDOWN, hurry=True)
        elif job.place == "out":
            if board is None or board.token_out != job.token:
                self._again(job, RequestKind.DATA_OUT)
            elif board.answer_out is not Answer.BUSY:
                assert board.answer_out is Answer.DONE, board.message
                if not job.again:
                    self.check_exported(job)
                self._torn_down(job)

    def _again(self, job: TownJob, kind: RequestKind) -> None:
        if not any(request.token == job.token for request in self.inbox.values()):
            self._drop(job, kind, token=job.token)

    def start(self, job: TownJob) -> None:
        """Let Slurm start a job on a node, through PrologSlurmctld's gate."""
        if job.held:
            return
        if job.imports:
            board = self.boards.get(job.job_id)
            if board is None or board.token_in != job.token or board.answer_in is not Answer.DONE:
                job.again = True
                self._torn_down(job)
                return
            self._check_staged(job)
            assert job.job_id in self.lustre.receipts, "a node would not find the receipt"
        job.place = "running"
        job.runs += 1
        self._drop(job, RequestKind.PRE_RUN)

    def end(self, job: TownJob, code: int, *, again: bool = False) -> None:
        """Let a running job end, or be sent back; it has written by then."""
        if not job.forgotten:
            self.check_inputs(job)
        job.forgotten = False
        self.write(job)
        job.place, job.code, job.again = "out", code, again
        self._drop(job, RequestKind.POST_RUN)
        if job.exports:
            job.token = self._token()
            self._drop(job, RequestKind.DATA_OUT, token=job.token)
        else:
            self._torn_down(job)

    def write(self, job: TownJob) -> None:
        """Write a file, and another version of one that was there."""
        for name in ("out", f"run{job.runs}"):
            self.size += 1
            self.lustre.write(f"{job.folder}{name}", self.size)
            job.written.add(f"{job.folder}{name}")

    def _torn_down(self, job: TownJob) -> None:
        self._drop(job, RequestKind.TEARDOWN)
        job.place = "pending" if job.again else "over"
        job.again = False

    def release(self, job: TownJob) -> None:
        """Let an operator release a job whose stage-in failed; Slurm stages it again."""
        job.held = False
        if job.place == "held":
            self.stage(job)

    def cancel(self, job: TownJob, *, hurry: bool = False) -> None:
        """Scancel a job."""
        if job.place == "running" and not hurry:
            self.end(job, code=15)
        elif job.place in {"running", "out"} and hurry:
            job.place, job.code, job.dropped = "over", 15, True
            self._drop(job, RequestKind.TEARDOWN, hurry=True)
        elif job.place in {"pending", "staging", "staged", "held"}:
            told = job.place != "pending"
            job.place, job.code = "over", 15
            if told:
                self._drop(job, RequestKind.TEARDOWN, hurry=True)

    def restart_slurmctld(self) -> None:
        """Kill slurmctld and start it again (_recover_job_bb)."""
        for job in self.jobs.values():
            if job.place in {"staging", "staged"}:
                job.place = "pending"
                self._drop(job, RequestKind.TEARDOWN, hurry=True)
            elif job.place == "out":
                self._drop(job, RequestKind.POST_RUN)
                job.token = self._token()
                self._drop(job, RequestKind.DATA_OUT, token=job.token)

    def go_on(self, job: TownJob) -> None:
        """Let a job take the next step of an undisturbed life."""
        match job.place:
            case "pending":
                self.stage(job)
            case "staging" | "out":
                self.poll(job)
            case "staged":
                job.held = False
                self.start(job)
            case "held":
                self.cancel(job)
            case "running":
                self.end(job, code=0)
            case "over":
                job.place = "purged"

    # What has to be true.

    def _check_staged(self, job: TownJob) -> None:
        assert BAD not in job.imports, "a job was let go although its import fails"
        self.check_inputs(job)

    def check_inputs(self, job: TownJob) -> None:
        """A job that was let go has whole what was there when it was submitted; with a fresh look as it was then."""
        for prefix in job.imports:
            for blob in self.blobs.walk(prefix):
                if blob.name not in job.blobs:
                    continue
                file = self.lustre.files.get(f"/{blob.name}")
                assert file is not None, f"job {job.job_id} misses {blob.name}"
                assert not self.lustre.states[file.path] & HsmState.RELEASED, (
                    f"{file.path} is released under job {job.job_id}"
                )
                if job.fresh:
                    seen = self.arm.brought[file.path].last_modified
                    assert seen >= job.blobs[blob.name], f"job {job.job_id} has an old {blob.name}"

    def check_exported(self, job: TownJob) -> None:
        """A job whose export is called done has every file of its own in Blob, as it is on Lustre."""
        if job.wanted_out():
            for path in job.written:
                self._check_blob(path)

    def _check_blob(self, path: str) -> None:
        blob = self.blobs.find(path)
        assert blob is not None, f"{path} is called exported and has no blob"
        assert blob.size_bytes == self.lustre.files[path].size_bytes, f"{path} is older in Blob"

    def check_jobs(self) -> None:
        """Whoever was let go has its inputs whole."""
        for job in self.jobs.values():
            if job.place in {"staged", "running"} and not job.forgotten and self._let_go(job):
                self.check_inputs(job)

    def _let_go(self, job: TownJob) -> bool:
        board = self.boards.get(job.job_id)
        return job.place == "running" or bool(
            job.imports and board and board.token_in == job.token and board.answer_in is Answer.DONE
        )
