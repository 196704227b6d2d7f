"""Jobs that use their files though this daemon has never heard of them: its memory was lost, or is an older one.

Slurm asks again for what it still waits for, but not for jobs that are staged in or run. Until it has told which do,
nothing is given back (Draft.want) and nothing overwritten; then their stages are made where they must be by now, which
is no move of the table of phases: the moves were made, and are forgotten.
"""

from __future__ import annotations

from dataclasses import replace

from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.declaring import stages_of
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Life
from slurm_amlfs.domain.view import LivingJob
from slurm_amlfs.errors import UserError

_LIVES = {"PENDING": Life.PENDING, "STAGE_OUT": Life.ENDED}
"""All others run, or are about to."""


def adopt(draft: Draft) -> None:
    """Know all jobs that use their files. Seen again, a job that is known is left as it is."""
    for living in draft.seen.living:
        if living.job_id not in draft.jobs and living.uses_files:
            _adopt(draft, living)


def _adopt(draft: Draft, living: LivingJob) -> None:
    life = _LIVES.get(living.job_state, Life.RUNNING)
    directives = tuple(line.encode("utf-8", "backslashreplace").decode("utf-8") for line in living.directives)
    job = Job(living.job_id, living.uid, living.gid, directives, draft.now, life=life, token_in=living.token_in)
    try:
        stages = stages_of(draft, job)
    except UserError as error:
        # It was granted once; what it needs is not known any more, and its owner is told when Slurm asks for it.
        draft.remark("not-adopted", f"job {living.job_id}: {error.message}")
        return
    # A pending one is proved again while it waits for its nodes; its receipt stays, since it may start at any moment.
    phase = Phase.WAITING if life is Life.PENDING else Phase.RUNNING
    for stage in stages:
        draft.put(replace(stage, phase=phase, asked=draft.now) if stage.key.direction is Direction.IN else stage)
    draft.jobs[job.job_id] = job
    draft.note(job.job_id, "adopted", "; ".join(directives))
    draft.speak_for(job.job_id)
