"""What the integration tests look at: boards, Slurm, blobs, HSM states, the emulator's journal."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import ResourceNotFoundError

from sandbox.site import Site
from slurm_amlfs.adapters.lfs import Lfs
from slurm_amlfs.adapters.lustre import LustreMount
from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.wire import Board, Request, dump_request, load_board

LONG = 60.0
"""Seconds until a wait is called a failure; a wait ends as soon as what it watches is there."""


def new_name() -> str:
    """Make a name that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}"


def put_blob(site: Site, name: str, data: bytes) -> None:
    """Upload a blob."""
    site.blobs.upload_blob(name, data, overwrite=True)


def put_sparse(site: Site, name: str, size_bytes: int) -> None:
    """Make a blob of zeros that takes no room: a page blob nothing was written to."""
    site.blobs.get_blob_client(name).create_page_blob(size_bytes)


def blob(site: Site, name: str) -> bytes:
    """Download a blob."""
    return bytes(site.blobs.download_blob(name).readall())


def has_blob(site: Site, name: str) -> bool:
    """Say whether a blob is there."""
    try:
        site.blobs.get_blob_client(name).get_blob_properties()
    except ResourceNotFoundError:
        return False
    return True


def _board(site: Site, job: int) -> Board | None:
    """Read a job's board as the hooks do: `slurm-amlfs` takes a while to start."""
    try:
        return load_board((site.state_dir / "board" / str(job)).read_bytes())
    except OSError:
        return None


def words(site: Site, job: int) -> list[str]:
    """Read the words of a job's timeline."""
    if (board := _board(site, job)) is not None:
        return [line.split(" ", 1)[1].partition(": ")[0] for line in board.timeline]
    return [str(event["word"]) for event in site.status(job)["timeline"]]


def has_word(site: Site, job: int, word: str) -> bool:
    """Say whether a job's timeline has come to a word; a job without a board has no words yet."""
    try:
        return word in words(site, job)
    except RuntimeError:
        return False


def phase(site: Site, job: int, direction: str = "in") -> str:
    """Read a job's phase from its board, "" if it has none."""
    if (board := _board(site, job)) is not None:
        return board.phase_in if direction == "in" else board.phase_out
    try:
        return str(site.status(job)[f"phase_{direction}"])
    except RuntimeError:
        return ""


def wait_for_phase(site: Site, job: int, wanted: str, direction: str = "in") -> None:
    """Wait until a job's board has come to a phase."""
    site.wait(lambda: phase(site, job, direction) == wanted, LONG, f"stage-{direction} of job {job} is {wanted}")


def message(site: Site, job: int) -> str:
    """Read what a job's board says, "" if it has none."""
    try:
        return str(site.status(job)["message"])
    except RuntimeError:
        return ""


def wait_until_closed(site: Site, job: int) -> None:
    """Wait until everything for a job is done."""
    site.wait(lambda: has_word(site, job, "closed"), LONG, f"job {job} is closed")


def hasten(site: Site, job: int) -> bool:
    """Let a job begin at once that Slurm has put off: by a minute after its own restart, by two after a requeue."""
    try:
        off = site.job(job).get("Reason") == "BeginTime"
    except RuntimeError:
        return False  # Slurm has forgotten it
    if off:
        site.run(None, ["scontrol", "update", f"JobId={job}", "StartTime=now"])
    return off


def hasten_until_closed(site: Site, job: int) -> None:
    """Wait until everything for a job is done, without the minutes for which Slurm puts it off."""
    site.wait(lambda: not hasten(site, job) and has_word(site, job, "closed"), LONG, f"job {job} is closed")


def wait_for_burst_buffer(site: Site, job: int, state: str) -> None:
    """Wait until Slurm shows a state of a job's burst buffer ("staging-in", "staged-in", ...)."""
    site.wait(lambda: site.job(job).get("BurstBufferState") == state, LONG, f"job {job} is {state}")


def wait_for_reason(site: Site, job: int, reason: str) -> None:
    """Wait until Slurm gives a reason."""
    site.wait(lambda: site.job(job).get("Reason") == reason, LONG, f"job {job} has the reason {reason}")


def wait_for_state(site: Site, job: int, *states: str) -> dict[str, str]:
    """Wait until Slurm shows one of these job states."""
    site.wait(lambda: site.job(job).get("JobState") in states, LONG, f"job {job} is {' or '.join(states)}")
    return site.job(job)


def hsm_states(site: Site, paths: list[str]) -> dict[str, HsmState]:
    """Read HSM states by the product's own adapter."""
    return LustreMount(site.mount, Lfs(site.lfs)).hsm_states([f"/{path}" for path in paths])


def ask_again(site: Site, request: Request) -> None:
    """Put a request into the inbox as Slurm's hook does: as SlurmUser, whole, by rename."""
    name = f"{request.token}.{request.job_id}-{request.kind.value}"
    draft = site.state_dir / "inbox" / "tmp" / name
    draft.write_bytes(dump_request(request))
    shutil.chown(draft, "slurm", "slurm")
    draft.rename(site.state_dir / "inbox" / "new" / name)


@contextmanager
def held(site: Site, action: str) -> Iterator[None]:
    """Stall an action of the emulator ("import", "archive") meanwhile."""
    site.faults.set(Fault(Name.STALL, action))
    try:
        yield
    finally:
        site.faults.clear([Name.STALL])


def imports_of(site: Site, name: str) -> list[Any]:
    """List the emulator's import actions that carried a prefix with this text in it ("/NAME/" for just that one)."""
    return [it for it in site.faults.imports() if any(name in prefix for prefix in it.prefixes)]


def archives_of(site: Site, path: str) -> list[Any]:
    """List the emulator's archives of exactly this path."""
    actions = [it for it in site.faults.journal().actions if it.kind == "archive"]
    return [it for it in actions if path.rstrip("/") in {prefix.rstrip("/") for prefix in it.prefixes}]
