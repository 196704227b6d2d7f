"""How a run ends: that everything has settled, what is then where, and what has to be true of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.errors import AmlfsError
from tests.faults.ground import Ground
from tests.faults.model_slurm import ModelSlurm
from tests.faults.promises import Violation, check_lost
from tests.faults.until import LONG


@dataclass(frozen=True)
class Ending:
    """What a run comes to.

    `stages` are the phases of jobs that are still known, `words` those of timelines that are said once a life,
    `imports` how often each prefix was imported, `leases` how many bytes are held of each once it is proved: one that
    is dropped before is forgotten sooner or later.
    """

    stages: dict[str, str]
    words: dict[int, dict[str, int]]
    blobs: dict[str, bytes]
    hsm_states: dict[str, HsmState]
    imports: dict[str, int]
    leases: dict[str, int]


_ONCE = ("refused", "closed", "failed", "exported", "not exported", "export dropped", "import dropped")


def settle(slurm: ModelSlurm, step: Callable[[], None], seconds: float = LONG) -> None:
    """Go on until Slurm has forgotten all jobs and the daemon has nothing left to do.

    Raises:
        Violation: that is not so in time.
    """
    end = time.monotonic() + seconds
    left = "the daemon never came up"
    while time.monotonic() < end:
        step()
        slurm.go_on()
        if slurm.over:
            left = _left(slurm.ground)
            if not left:
                return
        else:
            left = ", ".join(f"job {it.job_id} is {it.place}" for it in slurm.jobs.values() if it.place != "purged")
        time.sleep(0.02)
    raise Violation(4, f"not settled after {seconds:g} s: {left}")


def _left(ground: Ground) -> str:
    """Say what is left to do, "" if nothing is."""
    try:
        records = ground.records()
    except AmlfsError as error:
        return error.message
    left = [f"job {it.job_id} is not closed" for it in records.jobs.values() if it.closed is None or it.stale_receipt]
    left += [f"{key} is {it.phase.value}" for key, it in records.stages.items() if not it.phase.over]
    left += [f"transfer {it.transfer_id} is {it.phase.value}" for it in records.transfers.values()]
    left += [f"request {name} lies in the inbox" for name in ground.requests_left()]
    boards = {int(path.name) for path in (ground.state_dir / "board").iterdir() if path.name.isdecimal()}
    left += [f"the board of job {job_id} is there" for job_id in boards - set(records.jobs)]
    return "; ".join(left[:5])


def ending(slurm: ModelSlurm) -> Ending:
    """Read how a settled run ended."""
    ground = slurm.ground
    records = ground.records()
    paths = [view.path for view in ground.lustre.walk("/")]
    words = {job_id: Counter(it.word for it in ground.events(job_id)) for job_id in slurm.jobs}
    return Ending(
        stages={str(key): stage.phase.value for key, stage in sorted(records.stages.items())},
        words={job_id: {word: counts[word] for word in _ONCE if counts[word]} for job_id, counts in words.items()},
        blobs=ground.all_blobs(),
        hsm_states=_hsm_states(ground, paths),
        imports=imports_of(ground),
        leases={str(it.key): it.held_bytes for it in records.all_leases() if it.proved},
    )


def _hsm_states(ground: Ground, paths: list[str]) -> dict[str, HsmState]:
    # Each import leaves a marker of its own name.
    return {path: it for path, it in ground.lustre.hsm_states(paths).items() if "/IMPORT_" not in path}


def imports_of(ground: Ground) -> dict[str, int]:
    """Count how often each prefix was imported to the end by us."""
    ended = [it for it in ground.control.imports() if it.outcome == "Completed" and it.name.startswith("amlfs-")]
    return dict(Counter(prefix for it in ended for prefix in it.prefixes))


def check(slurm: ModelSlurm, *, once: bool = True) -> None:
    """Check a settled run; `once` where nothing but deaths could make anybody import a prefix again.

    Raises:
        Violation: an invariant was broken.
    """
    ground = slurm.ground
    most = ground.control.journal().most_at_once
    if most > 1:
        raise Violation(3, f"{most} actions were on the slot at once")
    if once and (twice := [prefix for prefix, times in imports_of(ground).items() if times > 1]):
        raise Violation(4, f"{', '.join(twice)} came in more than once")
    for job_id in slurm.jobs:
        _check_files(slurm, job_id)
    if ground.forgot:
        # Nobody knows any more what was done, nor what was left lying by it.
        return
    for job_id, job in slurm.jobs.items():
        _check_life(slurm, job_id)
        check_lost(ground, job)
    litter = ground.mount / ".amlfs" / "receipts"
    if litter.exists() and (left := sorted(it.name for it in litter.iterdir())):
        raise Violation(4, f"receipts are left of {', '.join(left)}")


def _check_life(slurm: ModelSlurm, job_id: int) -> None:
    ground, job = slurm.ground, slurm.jobs[job_id]
    events = ground.events(job_id)
    closed, lives = sum(it.word == "closed" for it in events), 1 + job.runs
    # What is cancelled before Slurm has called a hook for it, the daemon never hears of.
    if events and not 1 <= closed <= lives:
        raise Violation(4, f"job {job_id} was closed {closed} times in {lives} lives")


def _check_files(slurm: ModelSlurm, job_id: int) -> None:
    ground, job = slurm.ground, slurm.jobs[job_id]
    for path, data in job.files.items():
        try:
            found = (ground.mount / path).read_bytes()
        except OSError as error:
            raise Violation(2, f"{path} of job {job_id} cannot be read any more: {error.strerror}") from error
        if found != data:
            raise Violation(2, f"{path} of job {job_id} holds other bytes than the job wrote")
