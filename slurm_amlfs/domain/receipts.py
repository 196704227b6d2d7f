"""The receipt by which nodes see that a job's stage-ins are proved: written when they are, gone when they are not.

Nodes only test that the file is there, so one of an earlier ask has to go before a new one is worked on.
"""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain import riding
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.bulletin import environment
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import DropReceipt, WriteReceipt
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Life, Stage
from slurm_amlfs.domain.report import Done, Result, Trouble
from slurm_amlfs.escaping import escape


def want(draft: Draft, job: Job) -> None:
    """Have a job's receipt dropped or written, as its stages ask for it."""
    if job.receipt and not job.stale_receipt:
        return
    stages = _told_of(draft, job)
    systems = tuple(sorted({it.fs for it in stages if it.fs in draft.rules.file_systems}))
    if job.stale_receipt and not systems:
        draft.jobs[job.job_id] = replace(job, stale_receipt=False)
    elif job.stale_receipt and draft.job_ready(job):
        draft.want(DropReceipt(job.job_id, systems))
    elif not job.stale_receipt and _is_proved(draft, job) and draft.job_ready(job):
        ins, outs = (list(draft.of_job(job.job_id, direction)) for direction in (Direction.IN, Direction.OUT))
        leases = [held for stage in ins for held in riding.serving(draft, stage)]
        text = _text(environment(draft.rules, ins, outs), leases)
        draft.want(WriteReceipt(job.job_id, job.generation, job.uid, job.gid, systems, text))


def leaves_receipt(draft: Draft, stage: Stage) -> bool:
    """Say whether a receipt of its job is about a stage, too."""
    return draft.rules.holds or stage.key.direction is Direction.IN


def _told_of(draft: Draft, job: Job) -> list[Stage]:
    """List what a receipt is about: stage-ins, and in hold mode, where no hook tells a job its variables, all else."""
    return [stage for stage in draft.of_job(job.job_id) if leaves_receipt(draft, stage)]


def _is_proved(draft: Draft, job: Job) -> bool:
    ins = list(draft.of_job(job.job_id, Direction.IN))
    asked = bool(ins) or (job.run is not None and job.token_in == job.run.token and bool(_told_of(draft, job)))
    return asked and job.life is Life.PENDING and all(stage.phase is Phase.STAGED_IN for stage in ins)


def _text(env: tuple[str, ...], leases: list[Lease]) -> str:
    lines = [*env]
    for held in leases:
        lines += [f"missing {escape(name)}" for name in held.missing]
        lines += [f"kept {escape(name)}" for name in held.kept]
        for word, names, number in (
            ("missing", held.missing, held.missing_count),
            ("kept", held.kept, held.kept_count),
        ):
            if number > len(names):
                lines.append(f"# {number - len(names)} more are {word} under {escape(held.key.prefix)}")
    return "".join(f"{line}\n" for line in lines)


def written(draft: Draft, job_id: int, generation: int, result: Result) -> None:
    """Take that the nodes can see the receipt, if it is still true."""
    job = draft.jobs.get(job_id)
    if job is None or job.generation != generation:
        return
    if isinstance(result, Trouble):
        draft.job_waits(job, result)
    elif isinstance(result, Done) and not job.stale_receipt and _is_proved(draft, job):
        draft.jobs[job_id] = replace(draft.job_goes_on(job), receipt=True)
        draft.note(job_id, "staged in")


def dropped(draft: Draft, job_id: int, result: Result) -> None:
    """Take that no receipt lies there; none can have been written meanwhile, as both are errands of one key."""
    job = draft.jobs.get(job_id)
    if job is None:
        return
    if isinstance(result, Trouble):
        draft.job_waits(job, result)
    elif isinstance(result, Done):
        draft.jobs[job_id] = replace(draft.job_goes_on(job), stale_receipt=False)
