"""Do one errand by the ports, and say what came of it. Every error ends here as a `Trouble`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from slurm_amlfs.application.archiving import OutArchive
from slurm_amlfs.application.counting import Counting, is_bare, is_there
from slurm_amlfs.application.evicting import Eviction
from slurm_amlfs.application.exporting import Freeing, OutProof
from slurm_amlfs.application.judging import unsaved
from slurm_amlfs.application.ports import Arm, Blobs, Lustre, Slurm
from slurm_amlfs.application.proving import InProof
from slurm_amlfs.application.restore_room import RestoreRoom
from slurm_amlfs.application.slicing import Kept
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.errand import (
    ArchiveFiles,
    Behind,
    Clear,
    Comment,
    Count,
    DropReceipt,
    Errand,
    Evict,
    Free,
    Mend,
    Notify,
    Probe,
    ProveIn,
    ProveOut,
    Start,
    Stop,
    TurnGate,
    WriteReceipt,
    key_of,
)
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.records import StageKey, Transfer, TransferKind
from slurm_amlfs.domain.report import (
    Archived,
    Counted,
    Done,
    Examined,
    Exported,
    Fault,
    Freed,
    Probed,
    Report,
    Result,
    Started,
    Trouble,
)
from slurm_amlfs.errors import AmlfsError, FencedError, TemporaryError

log = logging.getLogger(__name__)

_MOST_NAMES = 3
"""Files named that keep an import from overwriting."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The ports of one configured file system."""

    arm: Arm
    blobs: Blobs
    lustre: Lustre
    namespace: Namespace

    def reached(self, name: str) -> Lustre:
        """Give the mount of the file system of this name.

        Raises:
            TemporaryError: it is not mounted, or does not answer.
        """
        if not self.lustre.mounted():
            raise TemporaryError(
                f"the file system {name} is not mounted on the daemon's host; mount it, it goes on by itself"
            )
        return self.lustre


class Performer:
    """Does errands, each in whatever thread calls. What walks trees goes on from slice to slice."""

    def __init__(  # noqa: PLR0913 - the ports, and what a site decides
        self,
        file_systems: Mapping[str, FileSystem],
        slurm: Slurm,
        restore_window: int,
        archive_window: int = 2000,
        *,
        clock: Callable[[], float] = time.monotonic,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the ports; the windows are how many restores and how many archives may be in flight on a file system.

        `check` raises if nothing may be done any more.
        """
        self._check = check
        self._clock = clock
        self._file_systems = file_systems
        self._slurm = slurm
        self._window = restore_window
        self._rooms = {name: RestoreRoom(restore_window, clock) for name in file_systems}
        self._archive_window = archive_window
        self._archive_rooms = {name: RestoreRoom(archive_window, clock) for name in file_systems}
        self._counts: Kept[LeaseKey, Counting] = Kept()
        self._ins: Kept[LeaseKey, InProof] = Kept()
        self._outs: Kept[StageKey, OutProof] = Kept()
        self._archives: Kept[StageKey, OutArchive] = Kept()
        self._frees: Kept[StageKey, Freeing] = Kept()
        self._evictions: Kept[LeaseKey, Eviction] = Kept()

    def perform(self, errand: Errand) -> Report:
        """Do an errand; never raises."""
        try:
            self._check()
            return Report(errand, self._do(errand))
        except TemporaryError as error:
            return Report(errand, _trouble(Fault.TEMPORARY, error, error.retry_after))
        except FencedError as error:
            return Report(errand, _trouble(Fault.TEMPORARY, error))
        except AmlfsError as error:
            return Report(errand, _trouble(Fault.PERMANENT, error))
        except Exception as error:
            # A fault of ours must not stop everybody's staging: say it loudly, and try again as after any outage.
            log.exception("errand-broke", extra={"amlfs_pairs": {"errand": key_of(errand)}})
            return Report(errand, Trouble(Fault.TEMPORARY, f"internal error, see the daemon's log: {error!r}"))

    def keep(self, counts: Collection[LeaseKey], leases: Collection[LeaseKey], stages: Collection[StageKey]) -> None:
        """Forget counts and proofs of all other leases, and proofs, archives and releases of all other stages.

        An eviction is forgotten that has not gone on for long.
        """
        self._counts.keep(counts)
        self._ins.keep(leases)
        self._outs.keep(stages)
        self._archives.keep(stages)
        self._frees.keep(stages)
        self._evictions.keep_only(lambda it: it.fresh)

    def _do(self, errand: Errand) -> Result:
        result: Result = Done()
        match errand:
            case Count():
                result = self._count(errand)
            case Probe(key):
                result = self._probe(key)
            case ProveIn():
                result = self._prove_in(errand)
            case ProveOut():
                result = self._prove_out(errand)
            case ArchiveFiles():
                result = self._archive(errand)
            case Free():
                result = self._free(errand)
            case Evict():
                result = self._evict(errand)
            case Start(transfer):
                result = self._start(transfer)
            case _:
                self._do_quietly(errand)
        return result

    def _do_quietly(self, errand: Errand) -> None:
        match errand:
            case Stop(transfer):
                arm = self._file_systems[transfer.fs].arm
                if transfer.kind is TransferKind.IMPORT:
                    arm.cancel_import(transfer.transfer_id)
                else:
                    arm.cancel_archive()
            case Clear(fs, transfer_id):
                self._file_systems[fs].arm.delete_import(transfer_id)
            case WriteReceipt():
                for name in errand.file_systems:
                    self._fs(name).lustre.put_receipt(errand.job_id, errand.uid, errand.gid, errand.text)
            case DropReceipt(job_id, names):
                for name in names:
                    self._fs(name).lustre.drop_receipt(job_id)
            case Comment() | Notify() | TurnGate() | Mend():
                self._tell_slurm(errand)

    def _tell_slurm(self, errand: Comment | Notify | TurnGate | Mend) -> None:
        match errand:
            case Comment(job_id, text):
                self._slurm.comment(job_id, text)
            case Notify(job_id, text):
                self._slurm.notify(job_id, text)
            case TurnGate(job_id, hold, name):
                self._slurm.turn_gate(job_id, hold, name)
            case Mend(job_id, Behind.IN):
                self._slurm.restage(job_id)
            case Mend(job_id, Behind.OUT):
                self._slurm.end_stage_out(job_id)
            case Mend(job_id, Behind.TEARDOWN):
                self._slurm.tear_down_again(job_id)

    def _fs(self, name: str) -> FileSystem:
        fs = self._file_systems[name]
        fs.reached(name)
        return fs

    def _count(self, errand: Count) -> Counted:
        key = errand.lease
        fs = self._file_systems[key.fs]
        if errand.whole or errand.overwrites:
            self._fs(key.fs)
        looks = fs.lustre.mounted() and (key.conflict is Conflict.SKIP or bool(errand.known))

        def begin() -> Counting:
            return Counting(fs.blobs, fs.lustre if looks else None, fs.namespace, errand, time.monotonic)

        # How it will be cut, what is asked beside, and what is known by now is no reason to begin again.
        same = replace(errand, target_blobs=0, whole=False, overwrites=False, known=frozenset())
        counted = self._counts.go_on(key, same, begin, Counting.slice) if errand.lists else Counted(0, 0)
        if not counted.settled:
            return counted
        remembers = counted.digest and not counted.there and key.conflict is not Conflict.OVERWRITE_ALWAYS
        if remembers and fs.lustre.mounted():
            # After the listing: what appears on Lustre from now on is of blobs as they were listed, or changed since.
            counted = replace(counted, bare=is_bare(fs.lustre, fs.namespace, key.prefix))
        if errand.whole:
            counted = replace(counted, room_bytes=fs.lustre.space().total_bytes)
        # What is the same is not imported, and so not overwritten.
        return self._count_unsaved(key, counted) if errand.overwrites and not counted.same else counted

    def _count_unsaved(self, key: LeaseKey, counted: Counted) -> Counted:
        fs = self._fs(key.fs)
        number = 0
        names: list[str] = []
        for path in unsaved(fs.lustre, key.prefix, fs.namespace):
            number += 1
            if len(names) < _MOST_NAMES:
                names.append(path)
        return replace(counted, unsaved_files=number, unsaved=tuple(names))

    def _probe(self, key: LeaseKey) -> Probed:
        fs = self._fs(key.fs)
        return Probed(is_there(fs.blobs, fs.lustre, fs.namespace, key.prefix))

    def _prove_in(self, errand: ProveIn) -> Examined:
        fs = self._fs(errand.fs)

        def begin() -> InProof:
            room = self._rooms[errand.fs]
            return InProof(fs.blobs, fs.lustre, errand, fs.namespace, window=self._window, clock=self._clock, room=room)

        return self._ins.go_on(errand.lease, errand, begin, lambda it: it.slice(-errand.rank.priority))

    def _prove_out(self, errand: ProveOut) -> Exported:
        fs = self._fs(errand.fs)

        def begin() -> OutProof:
            return OutProof(fs.blobs, fs.lustre, errand, fs.namespace, self._clock)

        return self._outs.go_on(errand.stage, errand, begin, OutProof.slice)

    def _archive(self, errand: ArchiveFiles) -> Archived:
        fs = self._fs(errand.fs)

        def begin() -> OutArchive:
            room, window = self._archive_rooms[errand.fs], self._archive_window
            return OutArchive(
                fs.blobs, fs.lustre, errand.prefixes, fs.namespace, window=window, clock=self._clock, room=room
            )

        archived = self._archives.go_on(errand.stage, errand, begin, lambda it: it.slice(errand.urgency))
        if archived.settled:
            pairs = {
                "job": errand.stage.job_id,
                "fs": errand.fs,
                "files": archived.files,
                "done": archived.files_done,
                "failed": archived.failed,
                "changed": archived.changed,
            }
            log.info("archived", extra={"amlfs_pairs": pairs})
        return archived

    def _free(self, errand: Free) -> Freed:
        fs = self._fs(errand.fs)

        def begin() -> Freeing:
            return Freeing(fs.blobs, fs.lustre, errand.prefixes, fs.namespace, self._clock)

        # What others need changes from slice to slice, and is no reason to begin again.
        same = replace(errand, spare=())
        return self._frees.go_on(errand.stage, same, begin, lambda it: it.slice(errand.spare))

    def _evict(self, errand: Evict) -> Freed:
        fs = self._fs(errand.lease.fs)

        def begin() -> Eviction:
            freeing = Freeing(fs.blobs, fs.lustre, (errand.lease.prefix,), fs.namespace, self._clock)
            return Eviction(freeing, self._clock)

        same = replace(errand, spare=())
        freed = self._evictions.go_on(errand.lease, same, begin, lambda it: it.slice(errand.spare))
        if freed.files or freed.settled:
            pairs = {"fs": errand.lease.fs, "prefix": errand.lease.prefix, "files": freed.files}
            pairs |= {"bytes": freed.freed_bytes, "all": freed.settled}
            log.info("evicted", extra={"amlfs_pairs": pairs})
        return freed

    def _start(self, transfer: Transfer) -> Started:
        arm = self._file_systems[transfer.fs].arm
        if transfer.kind is TransferKind.ARCHIVE:
            return Started(arm.archive(transfer.prefixes[0]))
        view = arm.create_import(transfer.transfer_id, transfer.prefixes, transfer.conflict, transfer.max_errors)
        return Started(view.correlation_id, view)


def _trouble(fault: Fault, error: AmlfsError, retry_after: timedelta = timedelta(0)) -> Trouble:
    """Say what went wrong, as text that can be stored: a path on Lustre need not be UTF-8."""
    message = error.message.encode("utf-8", "backslashreplace").decode("utf-8")
    return Trouble(fault, message, retry_after, error.correlation_id)
