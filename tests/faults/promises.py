"""What a job of the model Slurm may rely on, looked at where it does."""

from __future__ import annotations

from slurm_amlfs.domain.view import HsmState
from tests.faults.ground import Ground
from tests.faults.job import Job


class Violation(AssertionError):  # noqa: N818 - that is what it is
    """An invariant was broken, by its number, or a promise of bad days, by its letter (docs/reliability.md)."""

    def __init__(self, number: int | str, text: str) -> None:
        super().__init__(f"{called(number)}: {text}")
        self.number = number


def called(number: int | str) -> str:
    """Name an invariant or a promise as a violation does."""
    return f"invariant {number}" if isinstance(number, int) else f"promise {number}"


def check_inputs(ground: Ground, job: Job, when: str) -> None:
    """All that a job imports is whole on Lustre, as it was in Blob when it was staged."""
    paths = {f"/{name}": data for name, data in job.inputs.items()}
    states = ground.lustre.hsm_states(list(paths))
    for path, data in paths.items():
        if path not in states:
            raise Violation(1, f"job {job.job_id} {when} without {path}")
        if states[path] & HsmState.RELEASED:
            raise Violation(1 if when != "ends" else 2, f"job {job.job_id} {when} and {path} is released")
        if (ground.mount / path[1:]).read_bytes() != data:
            raise Violation(1, f"job {job.job_id} {when} and {path} holds other bytes")


def check_exported(ground: Ground, job: Job) -> None:
    """All that a job has written is in Blob, as it was when its export could begin, or newer."""
    for path, data in job.files.items():
        blob = ground.blobs.get_blob_client(path)
        if not blob.exists():
            raise Violation(5, f"the export of job {job.job_id} is called done and {path} is not in Blob")
        if bytes(blob.download_blob().readall()) not in {data, *job.older.get(path, ())}:
            raise Violation(5, f"the export of job {job.job_id} is called done and {path} is older in Blob")


def check_lost(ground: Ground, job: Job) -> None:
    """What a job has written that Slurm has lost with its record is in Blob too: nobody else would fetch it.

    Of one that was lost while it ran nobody knows how it ended, so that counts as a failure.
    """
    if job.lost not in {"running", "out"} or not job.wanted_out(ended_well=job.lost == "out" and not job.code):
        return
    if ground.holds and job.lost == "running" and not any(it.word == "started" for it in ground.events(job.job_id)):
        return  # no hook tells of a start there, and nobody has looked at Slurm between that and the loss
    number = 10 if job.unheard else 4
    for path, data in job.files.items():
        blob = ground.blobs.get_blob_client(path)
        if not blob.exists():
            raise Violation(number, f"{path} of job {job.job_id}, which Slurm lost, was never exported")
        if bytes(blob.download_blob().readall()) not in {data, *job.older.get(path, ())}:
            raise Violation(number, f"{path} of job {job.job_id}, which Slurm lost, is older in Blob")
