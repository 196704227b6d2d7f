"""What the stand-ins of Slurm's commands show of a job."""

from __future__ import annotations

import os
from pathlib import Path

from slurm_amlfs.adapters.slurm_living import LIVING_FIELDS
from slurm_amlfs.adapters.slurm_queue import JOB_FIELDS, QUEUE_FIELDS
from slurm_amlfs.adapters.slurm_records import RECORD_FIELDS
from tests.faults.job import ALICE, Job
from tests.faults.programs import MARK


def show(folder: Path, job: Job) -> None:
    """Let squeue and scontrol know a job as it is; what commands may change of it stands between two `@`."""
    there = folder / "slurm"
    if job.place == "purged":
        for part in ("jobs", "living", "queue", "records", "gates"):
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
        "State": f"@S:{job_state}@",
        "BurstBufferState": f"@B:{ {'staging': 'staging-in', 'staged': 'staged-in'}.get(job.place, 'N/A') }@",
        "exit_code": f"{job.code if job.place in {'out', 'over'} and not job.again else 0}:0",
        "RestartCnt": str(max(job.runs - 1, job.restarts)),
        "PriorityLong": f"@P:{0 if job.held else 1000}@",
        "BatchFlag": "0" if job.interactive else "1",
        "SubmitTime": str(job.submitted),
        "ArrayJobID": str(job.job_id),
        "Account": "lab",
        "UserName": "alice",
        "Reason": "@R:None@",
        "HetJobID": "0",
        "Dependency": "(null)",
        "BurstBuffer": "\n".join(f"#AMLFS {line}" for line in job.lines),
    }
    _replace(there / "jobs" / str(job.job_id), [told.get(name, "N/A") for name in JOB_FIELDS])
    _replace(there / "living" / str(job.job_id), [told.get(name, "N/A") for name in LIVING_FIELDS])
    _replace(there / "records" / str(job.job_id), [told.get(name, "N/A") for name in RECORD_FIELDS])
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
