"""Stage-ins of what other jobs are bringing out: they wait until Blob has all that those exports found.

A dependency is no guard. Slurm's afterok is fulfilled when a job has ended and its stage-out has only begun
(job_scheduler.c: _test_job_dependency_common), and one that is fulfilled is not shown any more. So whoever asks after a
job has ended waits for its exports of the same paths. They are a fixed number: what ends later is not waited for, so
that a prefix under which exports never cease is not waited for without end. Nor is an export that failed, since it may
never succeed; its files are on Lustre.
"""

from __future__ import annotations

from datetime import timedelta

from slurm_amlfs.domain import freshness, lease, riding
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease
from slurm_amlfs.domain.outgoing import Outgoing
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Life, Stage

_BEGUN = frozenset({Phase.WAITING, Phase.EXPORTING, Phase.COPYING})
_UNDER_WAY = _BEGUN | {Phase.DECLARED, Phase.FAILED}

_AS_ONE = timedelta(minutes=1)
"""The hooks of one job's end and of another's beginning are processes of their own, and come in any order."""


def awaits(draft: Draft, stage: Stage, *, surely: bool = False) -> Stage | None:
    """Find an export of another job that a stage-in has to wait for.

    One of a job that seems to run counts until Slurm was looked at since the stage-in's job is known, if not `surely`.
    """
    outgoing = _outgoing(draft, stage.fs)
    if not outgoing.by_prefix:
        return None
    keys = lease.keys(draft.namespace(stage.fs), stage.fs, stage.ask)
    exports = (out for key in keys for out in outgoing.over(key.prefix))
    return next((out for out in exports if _came_first(draft, out, stage, surely=surely)), None)


def why(out: Stage) -> str:
    """Say what a stage-in waits for."""
    return f"waiting for job {out.key.job_id}, whose export brings out what is to come in"


def not_out_yet(draft: Draft, held: Lease) -> str:
    """Say in words which job's files may be what a lease looks for in Blob in vain; empty if nobody's."""
    for out in _outgoing(draft, held.key.fs).over(held.key.prefix):
        if out.phase is Phase.FAILED:
            where = "its files are on Lustre only, and it is tried again"
            return f"no blobs under {held.key.prefix}: the export of job {out.key.job_id} has failed; {where}"
        if out.phase in _BEGUN:
            return why(out)
    awaited = (awaits(draft, stage) for stage in riding.waiting(draft, held))
    return next((why(out) for out in awaited if out is not None), "")


def doubt(draft: Draft, out: Stage) -> None:
    """Have what was proved before an export brought files out proved again."""
    for prefix in out.ask.prefixes:
        overlapping = draft.overlapping(out.fs, prefix)
        draft.change(it.doubted() for it in overlapping if it.proved is not None and not it.pinned)


def _outgoing(draft: Draft, fs: str) -> Outgoing:
    """Give the exports of jobs that have begun, as they were when a pass first asked."""
    if fs not in draft.outgoing:
        stages = [
            it
            for it in draft.stages.values()
            if it.key.direction is Direction.OUT and it.fs == fs and it.phase in _UNDER_WAY and _has_begun(draft, it)
        ]
        draft.outgoing[fs] = Outgoing.of(draft.namespace(fs), stages)
    return draft.outgoing[fs]


def _has_begun(draft: Draft, out: Stage) -> bool:
    job = draft.jobs.get(out.key.job_id)
    return job is not None and job.life is not Life.PENDING


def _are_of_one_array(draft: Draft, *job_ids: int) -> bool:
    """Say whether Slurm shows jobs as tasks of one array: submitted at once, they do not build on each other."""
    views = [(draft.seen.jobs or {}).get(it) for it in job_ids]
    arrays = {view.task.job_id if view is not None and view.task is not None else None for view in views}
    return len(arrays) == 1 and None not in arrays


def _came_first(draft: Draft, out: Stage, stage: Stage, *, surely: bool) -> bool:
    """Say whether an export's job had ended when a stage-in was asked for."""
    job_id = stage.key.job_id
    if out.key.job_id == job_id or _are_of_one_array(draft, out.key.job_id, job_id):
        return False
    if out.phase is Phase.DECLARED:
        looked = surely or (job_id in draft.seen.asked_jobs and job_id not in draft.spoken_for)
        return draft.jobs[out.key.job_id].life is Life.ENDED or not looked
    return out.phase in _BEGUN and (out.asked or out.since) <= freshness.heard_at(stage) + _AS_ONE
