"""What a job's board says: the answers that hooks give Slurm, and how far it is for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from slurm_amlfs.domain.ask import Direction, Hydrate
from slurm_amlfs.domain.phases import Phase
from slurm_amlfs.domain.records import Job, Life, Records, Stage
from slurm_amlfs.domain.world import Rules
from slurm_amlfs.wire import Answer, Board

_GIB = 1 << 30

_ORDER = list(Phase)
_BEGUN = frozenset({Phase.RUNNING, Phase.RELEASING, Phase.SETTLED})
_SOON = frozenset({Phase.RESTORING})
_ETA_STEP_SECONDS = 5
"""ETAs are rounded up to this, so that a board changes when there is news and not with the clock."""


def compose(records: Records, rules: Rules, job: Job, now: datetime, timeline: Sequence[str]) -> Board:
    """Write a job's board."""
    ins = list(records.of_job(job.job_id, Direction.IN))
    outs = list(records.of_job(job.job_id, Direction.OUT))
    current = _current(job, ins, outs)
    return Board(
        job_id=job.job_id,
        uid=job.uid,
        epoch=rules.epoch,
        token_in=job.token_in,
        answer_in=answer_in(job, ins),
        phase_in=_least(ins),
        token_out=job.token_out,
        answer_out=answer_out(job, outs),
        phase_out=_least(outs),
        message=job.refusal or job.alarm or _with_release(_with_excess(_message(job, current), current), job, ins),
        files_done=sum(it.files_done for it in current),
        files_total=sum(it.files_total for it in current),
        bytes_done=sum(it.bytes_done for it in current),
        bytes_total=sum(it.bytes_total for it in current),
        eta=_eta(current, now),
        updated=int(now.timestamp()),
        poll_seconds=0 if any(it.phase in _SOON for it in current) else 1,
        charge_bytes=sum(max(it.ask.capacity_bytes, _measured_bytes(it)) for it in ins if it.ask.capacity_bytes),
        env=environment(rules, ins, outs),
        directives=job.directives if rules.holds else (),
        timeline=tuple(timeline),
    )


def _current(job: Job, ins: list[Stage], outs: list[Stage]) -> list[Stage]:
    """Choose the direction that people ask about now."""
    return outs if outs and (job.token_out or not ins) else ins


def _message(job: Job, current: list[Stage]) -> str:
    """Choose what to say: what failed before what waits."""
    failed = (it.message for it in current if it.phase is Phase.FAILED)
    others = (it.message for it in current if it.message)
    return next(failed, "") or next(others, "") or job.trouble


def _measured_bytes(stage: Stage) -> int:
    """Give the bytes that a stage-in brings; of names alone it is not known how many a job will read."""
    return stage.bytes_total if stage.ask.hydrate is Hydrate.ALL else 0


def _with_excess(message: str, current: list[Stage]) -> str:
    """Add that a stage-in is larger than what its job had Slurm charge for it; it is staged all the same."""
    for it in current:
        if it.ask.capacity_bytes and not it.phase.over and _measured_bytes(it) > it.ask.capacity_bytes:
            measured, asked = _measured_bytes(it) / _GIB, it.ask.capacity_bytes / _GIB
            note = f"{measured:,.1f} GiB are measured, more than the capacity= of {asked:,.1f} GiB"
            return f"{message}; {note}" if message else note
    return message


def _with_release(message: str, job: Job, ins: list[Stage]) -> str:
    """Add what to do where Slurm tore a job down that waits: its StageInTimeout holds it, though nothing has failed.

    A restart of slurmctld does so too, and asks again by itself.
    """
    if job.life is not Life.PENDING or not job.torn_down or not any(not it.phase.over for it in ins):
        return message
    note = "Slurm has stopped waiting for this, and it goes on; if the job is held, an admin can release it"
    return f"{message}; {note}" if message else note


def answer_in(job: Job, ins: list[Stage]) -> Answer:
    """Answer the hook that waits for the stage-ins."""
    if job.refusal or any(it.phase in {Phase.FAILED, Phase.CANCELLED} for it in ins):
        return Answer.ERROR
    if job.run is not None and job.life in {Life.ENDED, Life.GONE}:
        # Whoever asks again by this run's name is another run, of a slurmctld that has forgotten the first.
        return Answer.BUSY
    if all(it.phase in _BEGUN for it in ins):
        return Answer.DONE
    proved = all(it.phase is Phase.STAGED_IN or it.phase in _BEGUN for it in ins)
    return Answer.DONE if proved and job.receipt else Answer.BUSY


def answer_out(job: Job, outs: list[Stage]) -> Answer:
    """Answer when every stage-out is over: after the answer Slurm tears the job down."""
    if job.refusal:
        return Answer.ERROR
    if not all(it.phase.over for it in outs):
        return Answer.BUSY
    return Answer.ERROR if any(it.phase is Phase.FAILED for it in outs) else Answer.DONE


def _least(stages: list[Stage]) -> str:
    """Name the phase of the stage that is farthest from its end; a failure is the first thing to say."""
    phases = [it.phase for it in stages]
    if Phase.FAILED in phases:
        return Phase.FAILED.value
    return min(phases, key=_ORDER.index).value if phases else ""


def _eta(stages: list[Stage], now: datetime) -> int:
    """Guess when the slowest stage's files are done, from its own rate in this phase; 0 where there is none yet."""
    latest = 0
    for it in stages:
        elapsed = now - it.since
        if it.phase in {Phase.IMPORTING, Phase.RESTORING} and 0 < it.files_done < it.files_total and elapsed:
            left = elapsed * ((it.files_total - it.files_done) / it.files_done)
            moment = now + min(left, timedelta(days=365))
            latest = max(latest, -int(-moment.timestamp() // _ETA_STEP_SECONDS) * _ETA_STEP_SECONDS)
    return latest


def environment(rules: Rules, ins: Sequence[Stage], outs: Sequence[Stage]) -> tuple[str, ...]:
    """Name the job's directories, as NAME=value lines."""
    ins = [it for it in ins if it.fs in rules.file_systems]
    outs = [it for it in outs if it.fs in rules.file_systems]
    stages = [*ins, *outs]
    if not stages:
        return ()
    lines = [f"AMLFS_MOUNT={rules.file_systems[stages[0].fs].mount}"]
    for word, some in (("IMPORT", ins), ("EXPORT", outs)):
        places = [_place(rules, it, prefix) for it in some for prefix in it.ask.prefixes]
        places = list(dict.fromkeys(places))
        if places:
            lines += [f"AMLFS_{word}_DIR={places[0]}", f"AMLFS_{word}_DIRS={':'.join(places)}"]
    return tuple(lines)


def _place(rules: Rules, stage: Stage, prefix: str) -> str:
    """Give the directory to look in: of a prefix that only begins names, the one that those names are in."""
    if prefix in stage.beginnings:
        prefix = prefix.rpartition("/")[0]
    return rules.file_systems[stage.fs].mount.rstrip("/") + (prefix.rstrip("/") or "/")


def missing_note(stages: Iterable[Stage]) -> str:
    """Count blobs that did not come in, and files that differ from theirs, for a sentence's end; nothing if none."""
    stages = list(stages)
    missing = sum(stage.missing_count for stage in stages)
    kept = sum(stage.kept_count for stage in stages)
    text = f"; {missing:,} blobs are missing, named in the receipt" if missing else ""
    return text + (f"; {kept:,} files differ from their blobs and were kept, named in the receipt" if kept else "")


def progress(board: Board) -> str:
    """Say how far a job is in one line for its AdminComment."""
    phase = board.phase_out if board.token_out else board.phase_in
    if not phase:
        return f"amlfs: {board.message.removeprefix('amlfs: ')}"
    text = f"amlfs: {phase.replace('_', ' ')}"
    if board.files_total and phase not in {Phase.WAITING.value, Phase.SETTLED.value}:
        text += f", {board.files_done:,} of {board.files_total:,} files"
    if board.eta:
        text += f", ETA {datetime.fromtimestamp(board.eta).astimezone():%H:%M:%S}"
    return f"{text}; {board.message}" if board.message else text
