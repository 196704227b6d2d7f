"""Faults that are planted in a daemon, to see that the checks of a run catch them. Only the forked daemon has them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from slurm_amlfs.adapters.apart import Apart
from slurm_amlfs.adapters.arm import ArmFileSystem
from slurm_amlfs.adapters.database_file import DatabaseFile
from slurm_amlfs.adapters.inbox import MaildirInbox
from slurm_amlfs.adapters.lustre_apart import LustreApart
from slurm_amlfs.adapters.tenure import Tenure
from slurm_amlfs.application.exporting import OutProof
from slurm_amlfs.application.performing import Performer
from slurm_amlfs.application.proving import InProof
from slurm_amlfs.domain import landing, policy, riding, runs
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.errand import Errand, WriteReceipt
from slurm_amlfs.domain.records import Transfer
from slurm_amlfs.domain.report import Examined, Exported, Result
from slurm_amlfs.domain.view import ImportView
from slurm_amlfs.errors import AmlfsError
from slurm_amlfs.wire import Request

VARIABLE = "AMLFS_FAULTS_PLANT"
FOLDER_VARIABLE = "AMLFS_FAULTS_FOLDER"


def _start_before_the_proof() -> None:
    """Call a stage-in done as soon as its names are there."""

    def at_once(_self: InProof, _urgency: float = 0.0) -> Examined:
        return Examined(settled=True, files=3, files_done=3, total_bytes=3, bytes_done=3)

    _replace(InProof, "slice", at_once)


def _export_without_a_proof() -> None:
    """Call an export done before anything was archived."""

    def at_once(_self: OutProof) -> Exported:
        return Exported(files=2, files_done=2, total_bytes=2, bytes_done=2)

    _replace(OutProof, "slice", at_once)


def _release_what_is_needed() -> None:
    """Give the inputs back as soon as their job is told that they are there."""
    put = LustreApart.put_receipt

    def and_release(self: LustreApart, job_id: int, uid: int, gid: int, text: str) -> None:
        put(self, job_id, uid, gid, text)
        self.release([file.path for file in self.walk("/in/")])

    _replace(LustreApart, "put_receipt", and_release)


def _destroy_what_is_released() -> None:
    """Let a file lose its bytes with its room."""
    release = LustreApart.release

    def and_truncate(self: LustreApart, paths: Sequence[str]) -> None:
        release(self, paths)
        for path in paths:
            os.truncate(_mount() + path, 1)

    _replace(LustreApart, "release", and_truncate)


def _take_the_slot_twice() -> None:
    """Ask for an import while another one of ours runs."""
    create = ArmFileSystem.create_import

    def and_another(self: ArmFileSystem, name: str, prefixes: Sequence[str], conflict: Conflict, most: int) -> object:
        began = create(self, name, prefixes, conflict, most)
        with suppress(AmlfsError):
            create(self, f"{name}-b", prefixes, conflict, most)
        return began

    _replace(ArmFileSystem, "create_import", and_another)


def _overlook_others() -> None:
    """See only our own imports."""
    look = ArmFileSystem.imports

    def ours(self: ArmFileSystem) -> tuple[ImportView, ...]:
        return tuple(it for it in look(self) if it.name.startswith("amlfs-"))

    _replace(ArmFileSystem, "imports", ours)


def _import_twice() -> None:
    """Bring in again what has come in, when the record of the import is cleared away."""
    delete, create, known = ArmFileSystem.delete_import, ArmFileSystem.create_import, {}

    def noted(self: ArmFileSystem, name: str, prefixes: Sequence[str], conflict: Conflict, max_errors: int) -> object:
        known[name] = prefixes
        return create(self, name, prefixes, conflict, max_errors)

    def and_create(self: ArmFileSystem, name: str) -> None:
        delete(self, name)
        if name in known:
            create(self, f"{name}-b", known.pop(name), Conflict.SKIP, 0)

    _replace(ArmFileSystem, "create_import", noted)
    _replace(ArmFileSystem, "delete_import", and_create)


def _fail_the_others() -> None:
    """Take it out on all who wait when an import fails."""

    def on_all(draft: Draft, transfer: Transfer, *_: object) -> None:
        for held in list(draft.leases.values()):
            riding.fail(draft, held, f"the import {transfer.transfer_id} failed")

    _replace(landing, "_halve", on_all)
    _replace(landing, "_failed_alone", on_all)


def _forget_what_came() -> None:
    """Begin with an empty inbox."""
    make = MaildirInbox.__init__

    def and_empty(self: MaildirInbox, folder: Path, hook_uids: Iterable[int]) -> None:
        make(self, folder, hook_uids)
        for path in (folder / "new").iterdir():
            path.unlink()

    _replace(MaildirInbox, "__init__", and_empty)


def _grant_everything() -> None:
    """Let everybody move anything."""
    _replace(policy, "check", lambda *_: None)


def _use_a_shell() -> None:
    """Show a shell the names of the files that are asked for."""
    restore = LustreApart.restore

    def by_shell(self: LustreApart, paths: Sequence[str]) -> tuple[str, ...]:
        for path in paths:
            subprocess.run(f": {path}", shell=True, check=False)  # noqa: S602 - that is the fault
        return restore(self, paths)

    _replace(LustreApart, "restore", by_shell)


def _forget_receipts() -> None:
    """Leave what was written for nodes behind."""
    _replace(LustreApart, "drop_receipt", lambda *_: None)


def _break_inside() -> None:
    """Stumble where the first receipt is written, and go on at the next try."""
    do = Performer._do  # noqa: SLF001 - where errands are done
    broken: list[Errand] = []

    def breaks(self: Performer, errand: Errand) -> Result:
        if isinstance(errand, WriteReceipt) and not broken:
            broken.append(errand)
            raise KeyError(errand.job_id)
        return do(self, errand)

    _replace(Performer, "_do", breaks)


def _act_on_and_on() -> None:
    """Go on to act when another has taken over, and write into its database."""
    _replace(Tenure, "check", lambda _: None)
    _replace(DatabaseFile, "claim", lambda _: None)


def _wait_for_lustre() -> None:
    """Wait for whatever Lustre is asked, however long it takes."""
    ask = Apart.ask

    def patiently(self: Apart, method: str, args: tuple[object, ...], _seconds: float) -> object:
        return ask(self, method, args, 3600.0)

    _replace(Apart, "ask", patiently)


def _believe_records_alone() -> None:
    """Pass over the note of an end of which Slurm has no record."""
    stands = runs.stands

    def shown(draft: Draft, request: Request) -> bool | None:
        return stands(draft, request) and request.job_id in (draft.seen.jobs or {})

    _replace(runs, "stands", shown)


def _mount() -> str:
    return f"{os.environ[FOLDER_VARIABLE]}/lustre"


def _replace(owner: object, name: str, by: Callable[..., Any]) -> None:
    with suppress(AttributeError):
        getattr(owner, name)
        setattr(owner, name, by)
        return
    raise LookupError(f"{owner} has no {name} any more; plant the fault elsewhere")


PLANTS: dict[str, tuple[Callable[[], None], int | str]] = {
    "start before the proof": (_start_before_the_proof, 1),
    "open a gate before the proof": (_start_before_the_proof, 1),
    "release what is needed": (_release_what_is_needed, 1),
    "destroy what is released": (_destroy_what_is_released, 2),
    "take the slot twice": (_take_the_slot_twice, 3),
    "overlook others": (_overlook_others, 3),
    "import twice": (_import_twice, 4),
    "forget receipts": (_forget_receipts, 4),
    "break inside": (_break_inside, 4),
    "believe records alone": (_believe_records_alone, 4),
    "export without a proof": (_export_without_a_proof, 5),
    "grant everything": (_grant_everything, 7),
    "use a shell": (_use_a_shell, 8),
    "fail the others": (_fail_the_others, 9),
    "forget what came": (_forget_what_came, 10),
    "act on and on": (_act_on_and_on, "a"),
    "wait for Lustre": (_wait_for_lustre, "g"),
}
"""Each with the invariant, or the promise of bad days, that it breaks."""


def plant(name: str) -> None:
    """Plant a fault in this process."""
    PLANTS[name][0]()
