"""A model of Slurm: what burst_buffer_lua.c does with jobs, what its hooks ask and read, and what jobs do with files.

What a job may rely on is checked where Slurm or the job relies on it; a `Violation` says which invariant was broken.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from slurm_amlfs.adapters.slurm_living import LIVING_FIELDS
from slurm_amlfs.adapters.slurm_queue import JOB_FIELDS, QUEUE_FIELDS
from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.wire import Answer, Request, RequestKind
from tests.faults.ground import Ground
from tests.faults.programs import MARK

ALICE = 61001
_ASK_AGAIN_SECONDS = 2.0


class Violation(AssertionError):  # noqa: N818 - that is what it is
    """An invariant of architecture.md was broken."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"invariant {number}: {text}")
        self.number = number


@dataclass
class Job:
    """A job as Slurm has it.

    `place` is where it is: pending, staging, staged, held, running, out, over or purged. `fails` says that its stage-in
    is to fail. `files` are the bytes of what it wrote last, by path.
    """

    job_id: int
    lines: tuple[str, ...]
    run_seconds: float = 0.0
    code: int = 0
    fails: bool = False
    requeues: int = 0
    interactive: bool = False
    place: str = "pending"
    token: str = ""
    asked: float = 0.0
    until: float = 0.0
    again: bool = False
    held: bool = False
    runs: int = 0
    hurried: bool = False
    submitted: int = 0
    comment: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    inputs: dict[str, bytes] = field(default_factory=dict)

    def words(self, direction: str) -> list[str]:
        """List the prefixes of a direction."""
        lines = [line for line in self.lines if line.startswith(direction)]
        return [line.partition("prefix=")[2].split()[0] for line in lines]

    @property
    def imports(self) -> list[str]:
        """List the prefixes that come in."""
        return self.words("stage_in")

    @property
    def exports(self) -> list[str]:
        """List the prefixes that go out."""
        return self.words("stage_out")

    def wanted_out(self) -> bool:
        """Say whether this end of the job is one whose outputs go out."""
        text = " ".join(line for line in self.lines if line.startswith("stage_out"))
        return not ("on=success" in text and self.code) and not ("on=failure" in text and not self.code)


class ModelSlurm:
    """All jobs. `go_on` lets each take the step that is due."""

    def __init__(self, ground: Ground, blobs: dict[str, bytes], clock: Callable[[], float] = time.monotonic) -> None:
        """Take the ground; `blobs` are the inputs by name, as they are now."""
        self.ground, self.blobs, self._clock = ground, blobs, clock
        self.jobs: dict[int, Job] = {}
        self._tokens = 0

    def submit(self, job: Job) -> Job:
        """Put a job into the queue."""
        job.submitted = int(time.time())
        self.jobs[job.job_id] = job
        if job.interactive:
            (self.ground.folder / "slurm" / "terminals" / str(job.job_id)).touch()
        self._show(job)
        return job

    def go_on(self) -> None:
        """Let every job take its next step, if it is due."""
        for job in list(self.jobs.values()):
            before = job.place, job.held
            self._step(job)
            if (job.place, job.held) != before:
                self._show(job)

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
        job.inputs = {n: data for n, data in self.blobs.items() if any(n.startswith(p[1:]) for p in job.imports)}
        self._drop(job, RequestKind.SETUP)
        job.place, job.token = "staged", ""
        if job.imports:
            job.place = "staging"
            self._ask(job, RequestKind.DATA_IN)

    def _poll(self, job: Job) -> None:
        board = self.ground.board(job.job_id)
        kind = RequestKind.DATA_IN if job.place == "staging" else RequestKind.DATA_OUT
        token = None if board is None else board.token_in if job.place == "staging" else board.token_out
        if board is None or token != job.token:
            late = self._clock() - job.asked > _ASK_AGAIN_SECONDS
            if late and not self.ground.has_request(job.job_id, job.token):
                self._drop(job, kind, token=job.token)
                job.asked = self._clock()
            return
        if job.place == "staging":
            if board.answer_in is Answer.DONE:
                self._check_inputs(job, "is called staged in")
                job.place = "staged"
            elif board.answer_in is Answer.ERROR:
                if not job.fails:
                    raise Violation(9, f"job {job.job_id} was refused: {board.message}")
                job.place, job.held = "held", True
                self._drop(job, RequestKind.TEARDOWN, hurry=True)
        elif board.answer_out is not Answer.BUSY:
            if board.answer_out is not Answer.DONE:
                raise Violation(4, f"the export of job {job.job_id} failed: {board.message}")
            if not job.again and job.wanted_out():
                self._check_exported(job)
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
            self._check_inputs(job, "starts")
        job.place, job.until = "running", self._clock() + job.run_seconds
        job.runs += 1
        self._drop(job, RequestKind.PRE_RUN)
        self._write(job)

    def _has_receipt(self, job: Job) -> bool:
        return (self.ground.mount / ".amlfs" / "receipts" / str(job.job_id)).exists()

    def _end(self, job: Job) -> None:
        self._check_inputs(job, "ends")
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
        self._show(job)

    def vanish(self, job: Job) -> None:
        """Let Slurm lose a job's record at once, without a word to anybody."""
        job.place, job.hurried = "purged", True
        self._show(job)

    def restart(self) -> None:
        """Kill slurmctld and start it again (_recover_job_bb)."""
        for job in self.jobs.values():
            if job.place in {"staging", "staged"}:
                job.place = "pending"
                self._drop(job, RequestKind.TEARDOWN, hurry=True)
                self._show(job)
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
        self.ground.drop(Request(kind, job.job_id, token, uid, uid, hurry, code, lines))

    def _write(self, job: Job) -> None:
        """Write the outputs, other ones at each run."""
        if not job.exports:
            return
        folder = self.ground.mount / job.exports[0].strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, ALICE, ALICE)
        for name in ("out", f"run{job.runs}"):
            data = f"{name} of job {job.job_id} in run {job.runs}\n".encode() * 20
            with (folder / name).open("wb") as file:
                os.fchown(file.fileno(), ALICE, ALICE)
                file.write(data)
            job.files[f"{job.exports[0].strip('/')}/{name}"] = data

    # What has to be true.

    def _check_inputs(self, job: Job, when: str) -> None:
        """All that the job imports is whole on Lustre, as it was in Blob when it was staged."""
        paths = {f"/{name}": data for name, data in job.inputs.items()}
        states = self.ground.lustre.hsm_states(list(paths))
        for path, data in paths.items():
            if path not in states:
                raise Violation(1, f"job {job.job_id} {when} without {path}")
            if states[path] & HsmState.RELEASED:
                raise Violation(1 if when != "ends" else 2, f"job {job.job_id} {when} and {path} is released")
            if (self.ground.mount / path[1:]).read_bytes() != data:
                raise Violation(1, f"job {job.job_id} {when} and {path} holds other bytes")

    def _check_exported(self, job: Job) -> None:
        for path, data in job.files.items():
            blob = self.ground.blobs.get_blob_client(path)
            if not blob.exists():
                raise Violation(5, f"the export of job {job.job_id} is called done and {path} is not in Blob")
            if bytes(blob.download_blob().readall()) != data:
                raise Violation(5, f"the export of job {job.job_id} is called done and {path} is older in Blob")

    # What squeue shows.

    def _show(self, job: Job) -> None:
        there = self.ground.folder / "slurm"
        if job.place == "purged":
            for part in ("jobs", "living", "queue"):
                (there / part / str(job.job_id)).unlink(missing_ok=True)
            return
        # A requeue drops STAGE_OUT, and data_out waits nonetheless (seen on 22.05).
        out = "PENDING" if job.again else "STAGE_OUT"
        over = "CANCELLED" if job.hurried else "FAILED" if job.code else "COMPLETED"
        job_state = {"running": "RUNNING", "out": out, "over": over}.get(job.place, "PENDING")
        told = {
            "JobID": str(job.job_id),
            "UserID": str(ALICE),
            "GroupID": str(ALICE),
            "State": job_state,
            "BurstBufferState": {"staging": "staging-in", "staged": "staged-in"}.get(job.place, "N/A"),
            "exit_code": f"{job.code if job.place in {'out', 'over'} and not job.again else 0}:0",
            "RestartCnt": str(max(job.runs - 1, 0)),
            "PriorityLong": "0" if job.held else "1000",
            "BatchFlag": "0" if job.interactive else "1",
            "SubmitTime": str(job.submitted),
            "ArrayJobID": str(job.job_id),
            "Account": "lab",
            "UserName": "alice",
            "Reason": "None",
            "Dependency": "(null)",
            "BurstBuffer": "\n".join(f"#AMLFS {line}" for line in job.lines),
        }
        _replace(there / "jobs" / str(job.job_id), [told.get(name, "N/A") for name in JOB_FIELDS])
        _replace(there / "living" / str(job.job_id), [told.get(name, "N/A") for name in LIVING_FIELDS])
        if job_state == "PENDING":
            _replace(there / "queue" / str(job.job_id), [told.get(name, "N/A") for name in QUEUE_FIELDS])
        else:
            (there / "queue" / str(job.job_id)).unlink(missing_ok=True)


def _replace(path: os.PathLike[str], fields: list[str]) -> None:
    # The draft is no file that squeue's stand-in would list.
    draft = f"{os.path.dirname(os.path.dirname(path))}/draft"  # noqa: PTH120 - of any path
    with open(draft, "w") as file:  # noqa: PTH123 - as above
        file.write("".join(f"{it}{MARK}" for it in fields) + "\n")
    os.rename(draft, path)  # noqa: PTH104 - as above
