"""A small model of Azure, Blob and Lustre around the desk: what errands do to them, and what they find there.

Imports are of names and take their time, restores bring bytes, archives take what is unsaved. What no schedule may do
is asserted where it would happen. Azure has a clock of its own: the desk's may be set forward and back.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from slurm_amlfs.domain.ask import OVERWRITES, Direction, Hydrate
from slurm_amlfs.domain.cutting import Cut
from slurm_amlfs.domain.errand import (
    Clear,
    Count,
    Errand,
    Evict,
    Free,
    Probe,
    ProveIn,
    ProveOut,
    Start,
    Stop,
)
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.prefix import overlaps
from slurm_amlfs.domain.records import Transfer, TransferKind
from slurm_amlfs.domain.report import Counted, Done, Examined, Exported, Freed, Probed, Result, Started
from slurm_amlfs.domain.view import ArchiveState, ArchiveView, ImportState, ImportView
from slurm_amlfs.domain.world import Rules
from tests.unit.domain.desk import BUSY, NOON, RULES, Desk

SLOT_SECONDS = 5.0
"""What an import takes, whatever it brings."""


class World(Desk):
    """Azure, Blob with these blobs in it, and Lustre.

    Blobs under `bad` make an import fail, those under `lacking` are counted as errors and do not come. `troubles` are
    how many of the next errands of a kind fail. `place` is where each job is. `files` are those on Lustre, and whether
    they are whole.
    """

    def __init__(self, blobs: Mapping[str, int], rules: Rules = RULES, total_bytes: int = 10**12) -> None:
        super().__init__(rules)
        self.blobs = dict(blobs)
        self.files: dict[str, bool] = {}
        self.sizes = dict(blobs)
        self.unsaved: set[str] = set()
        self.bad: tuple[str, ...] = ()
        self.lacking: tuple[str, ...] = ()
        self.total_bytes = total_bytes
        self.troubles: Counter[type[Errand]] = Counter()
        self.restores = 4
        self.evicts_in_a_slice = 1
        self.passed = 0.0
        self.place: dict[int, str] = {}
        self.ends: dict[int | str, float] = {}
        self.turns: list[Transfer] = []
        self.done: Counter[type[Errand]] = Counter()

    @property
    def free_bytes(self) -> int:
        """Give the free space on Lustre."""
        return self.total_bytes - sum(self.sizes[path] for path, whole in self.files.items() if whole)

    def under(self, prefix: str, some: Iterable[str] | None = None) -> list[str]:
        """List the blobs, or some paths, that a prefix takes in."""
        return [path for path in (self.blobs if some is None else some) if path.startswith(prefix)]

    # Errands.

    def do(self, errand: Errand) -> Result:
        """Do an errand at once."""
        self.done[type(errand)] += 1
        if self.troubles[type(errand)] > 0:
            self.troubles[type(errand)] -= 1
            return BUSY
        match errand:
            case Start(transfer):
                result = self._start(transfer)
            case Stop(transfer):
                result = self._stop(transfer)
            case Clear(_, name):
                self.imports.pop(name, None)
                result = Done()
            case _:
                result = self._look(errand)
        return result

    def _look(self, errand: Errand) -> Result:
        result: Result = Done()
        match errand:
            case Count(key, whole=whole):
                found = self._count(key, errand.target_blobs, whole=whole)
                result = replace(found, wanted=errand.wanted)
            case Probe(key):
                result = Probed(all(path in self.files for path in self.under(key.prefix)))
            case ProveIn(key, hydrate=hydrate):
                result = self._prove(key, whole=hydrate is Hydrate.ALL)
            case ProveOut(prefixes=prefixes):
                result = self._prove_out(prefixes)
            case Free(stage, prefixes=prefixes, spare=spare):
                result = self._release(prefixes, spare, stage.job_id)
            case Evict(key, spare=spare):
                result = self._release((key.prefix,), spare, 0, most=self.evicts_in_a_slice)
        return result

    def _count(self, key: LeaseKey, target_blobs: int, *, whole: bool) -> Counted:
        found = self.under(key.prefix)
        folders = Counter(path[: path.rindex("/") + 1] for path in found)
        cuts = [Cut(it, number, number) for it, number in folders.items()]
        cut = len(found) > target_blobs and not any(overlaps_any(it.prefix, cuts) for it in cuts)
        here = sum(self.sizes[path] for path in found if self.files.get(path))
        return Counted(
            len(found),
            sum(self.sizes[path] for path in found),
            tuple(cuts) if cut else (),
            there=bool(found) and all(path in self.files for path in found),
            whole_bytes=here,
            room_bytes=self.total_bytes if whole else 0,
        )

    def _prove(self, key: LeaseKey, *, whole: bool) -> Examined:
        found = self.under(key.prefix)
        released = [path for path in found if self.files.get(path) is False] if whole else []
        for path in released[: self.restores]:
            assert self.sizes[path] <= self.free_bytes, f"no room for {path}"
            self.files[path] = True
        there = [path for path in found if self.files.get(path, False) or (not whole and path in self.files)]
        missing = tuple(path[1:] for path in found if path not in self.files)
        here, total = (sum(self.sizes[path] for path in some) for some in (there, found))
        return Examined(len(released) <= self.restores, len(found), len(there), total, here, missing)

    def _prove_out(self, prefixes: Iterable[str]) -> Exported:
        files = [path for prefix in prefixes for path in self.under(prefix, self.files)]
        todo = {prefix: self.under(prefix, self.unsaved) for prefix in prefixes}
        left = sum(map(len, todo.values()))
        parts = tuple(Cut(prefix, len(its), len(its)) for prefix, its in todo.items() if its)
        names = tuple(path for its in todo.values() for path in its)
        return Exported(len(files), len(files) - left, len(files), len(files) - left, todo=parts, names=names)

    def _release(self, prefixes: Iterable[str], spare: tuple[str, ...], job_id: int, most: int = 1 << 30) -> Freed:
        files = [path for prefix in prefixes for path in self.under(prefix, self.files)]
        gone = [it for it in files if self.files[it] and it not in self.unsaved and not it.startswith(spare or "\0")]
        now = gone[:most]
        for path in now:
            self._assert_unused(path, job_id)
            self.files[path] = False
        return Freed(len(now), sum(self.sizes[path] for path in now), settled=len(gone) <= most)

    def _assert_unused(self, path: str, but: int = 0) -> None:
        users = [it for it, where in self.place.items() if where == "running" and it != but]
        for stage in (it for user in users for it in self.records.of_job(user, Direction.IN)):
            assert not path.startswith(stage.ask.prefixes), f"{path} is lost under job {stage.key.job_id}"

    # Azure.

    def azure_now(self) -> datetime:
        """Read Azure's clock."""
        return NOON + timedelta(seconds=self.passed)

    def holder(self) -> str:
        """Name what holds the slot; "" if it is free."""
        names = [it.name for it in self.imports.values() if not it.import_state.over]
        names += [it.path for it in self.archives if not it.archive_state.over]
        return next(iter([*names, *self.auto_jobs]), "")

    def _start(self, transfer: Transfer) -> Result:
        name, prefixes = transfer.transfer_id, transfer.prefixes
        if name in self.imports:
            return Started("corr-1", self.imports[name])
        if self.holder():
            return BUSY
        self.turns.append(transfer)
        self.ends[name] = self.passed + SLOT_SECONDS
        if transfer.kind is TransferKind.ARCHIVE:
            self.archives = (ArchiveView(prefixes[0], ArchiveState.IN_PROGRESS, started=self.azure_now()),)
            return Started("corr-1")
        assert re.fullmatch(r"[0-9a-zA-Z][-0-9a-zA-Z_]{0,78}[0-9a-zA-Z]", name)
        assert 1 <= len(prefixes) <= self.rules.prefixes_per_import
        assert not any(overlaps_any(it, [Cut(other, 0, 0) for other in prefixes if other != it]) for it in prefixes)
        self.imports[name] = ImportView(name, ImportState.IN_PROGRESS, prefixes, started=self.azure_now())
        return Started("corr-1", self.imports[name])

    def _stop(self, transfer: Transfer) -> Result:
        view = self.imports.get(transfer.transfer_id)
        if view is not None and not view.import_state.over:
            self.imports[view.name] = replace(view, import_state=ImportState.CANCELLING)
        self.archives = tuple(
            replace(it, archive_state=ArchiveState.CANCELLING) if not it.archive_state.over else it
            for it in self.archives
            if transfer.kind is TransferKind.ARCHIVE
        )
        return Done()

    def azure_goes_on(self) -> None:
        """End what is through by now."""
        for name, view in list(self.imports.items()):
            if not view.import_state.over and self.passed >= self.ends.get(name, float("inf")):
                self.imports[name] = replace(self._imported(view), completed=self.azure_now())
        for transfer in [it for it in self.turns if it.kind is TransferKind.ARCHIVE]:
            if self.passed >= self.ends.get(transfer.transfer_id, float("inf")):
                del self.ends[transfer.transfer_id]
                saved = set(self.under(transfer.prefixes[0], self.unsaved))
                self.blobs |= {path: self.sizes[path] for path in saved}
                self.unsaved -= saved
                self.archives = tuple(replace(it, archive_state=ArchiveState.COMPLETED) for it in self.archives)

    def _imported(self, view: ImportView) -> ImportView:
        if view.import_state is ImportState.CANCELLING:
            return replace(view, import_state=ImportState.CANCELED)
        found = [path for prefix in view.prefixes for path in self.under(prefix)]
        bad = [path for path in found if path.startswith(self.bad or "\0")]
        if bad:
            return replace(view, import_state=ImportState.FAILED, errors=len(bad), message=f"cannot read {bad[0]}")
        comes = [path for path in found if not path.startswith(self.lacking or "\0")]
        # A clock that was put back may make the same import again, under its name.
        transfer = [it for it in self.turns if it.transfer_id == view.name][-1]
        for path in comes:
            if transfer.conflict in OVERWRITES and self.files.get(path):
                self._assert_unused(path)
                self.files[path] = False
            self.files.setdefault(path, False)
        errors = len(found) - len(comes)
        ended = ImportState.COMPLETED_PARTIAL if errors else ImportState.COMPLETED
        return replace(view, import_state=ended, errors=errors, blobs_imported=len(comes))


def overlaps_any(prefix: str, cuts: Iterable[Cut]) -> bool:
    """Say whether a prefix overlaps with that of another cut."""
    namespace = RULES.file_systems["amlfs"].namespace
    return any(it.prefix != prefix and overlaps(namespace, it.prefix, prefix) for it in cuts)
