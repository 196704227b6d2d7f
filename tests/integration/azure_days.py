"""A daemon's loop on a clock that tests move, with the real SDK before the emulator; only Slurm is a fake."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from emulator_bed import PLACE, SUBSCRIPTION, Bed

from slurm_amlfs.adapters.arm import ArmFileSystem
from slurm_amlfs.adapters.retry import Retry, RetryingArm
from slurm_amlfs.application.looking import Pace
from slurm_amlfs.application.loop import Loop, Outside
from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.view import BlobView, FileKind, FileView, HsmState, JobView, SpaceView
from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.emulator.hsm import Hsm
from slurm_amlfs.emulator.hsm_rules import HsmAction
from slurm_amlfs.wire import Answer, RequestKind
from tests.fakes.blobs import FakeBlobs
from tests.fakes.counting import Time, counted
from tests.unit.application.loop_site import ALICE, RULES, FlakyStore, Site

BUDGET = 200
"""Repeated calls that the daemon may make in an hour."""


def no_credential() -> NoReturn:
    """Fail: http on loopback needs none."""
    raise AssertionError


class FolderBlobs(FakeBlobs):
    """The Blobs port over the folder that the emulator has for its container."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    @property
    def by_name(self) -> dict[str, BlobView]:
        """List what lies there now."""
        found = {}
        for path in (it for it in self._folder.rglob("*") if it.is_file()):
            seen = path.stat()
            moment = datetime.fromtimestamp(seen.st_mtime, UTC)
            name = str(path.relative_to(self._folder))
            found[name] = BlobView(name, seen.st_size, moment, str(seen.st_mtime_ns))
        return found

    @by_name.setter
    def by_name(self, _: dict[str, BlobView]) -> None:
        """Leave the folder as it is."""


class EmulatedFiles:
    """The Lustre port over the emulator's files, without a mount."""

    def __init__(self, hsm: Hsm) -> None:
        self._hsm = hsm
        self.receipts: dict[int, str] = {}

    def mounted(self) -> bool:
        """Say that it is there."""
        return True

    def look(self, path: str) -> FileView | None:
        """Look at one path."""
        found = self._hsm.look(path[1:])
        return None if found is None else FileView(path, _KINDS[found.kind.value], found.size, found.mtime_ns)

    def looks(self, paths: Sequence[str]) -> dict[str, FileView]:
        """Look at many."""
        return {path: view for path in paths if (view := self.look(path)) is not None}

    def walk(self, prefix: str) -> Iterator[FileView]:
        """Stream the files that begin so."""
        for path, _ in self._hsm.tree.files(prefix[1:]):
            if (view := self.look(f"/{path}")) is not None:
                yield view

    def hsm_states(self, paths: Sequence[str]) -> dict[str, HsmState]:
        """Read states."""
        return {path: HsmState(self._hsm.record(path[1:]).flags) for path in self.looks(paths)}

    def restore(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Have files restored."""
        for path in paths:
            self._hsm.request(path[1:], HsmAction.RESTORE, 0)
        return ()

    def release(self, paths: Sequence[str]) -> None:
        """Have files released."""
        for path in paths:
            with contextlib.suppress(OSError):
                self._hsm.request(path[1:], HsmAction.RELEASE, 0)

    def archive(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Fail: Azure archives here."""
        raise AssertionError(paths)

    def hsm_busy(self, paths: Sequence[str]) -> frozenset[str]:
        """Fail: nobody asks."""
        raise AssertionError(paths)

    def space(self) -> SpaceView:
        """Give much room."""
        return SpaceView(10**15, 10**15)

    def put_receipt(self, job_id: int, uid: int, gid: int, text: str) -> None:
        """Keep a receipt."""
        del uid, gid
        self.receipts[job_id] = text

    def drop_receipt(self, job_id: int) -> None:
        """Drop a receipt."""
        self.receipts.pop(job_id, None)


_KINDS = {it.value: it for it in FileKind}


class Day(Site):
    """A daemon's day, before an emulator on which a test sets faults. The job imports /a/ and exports /jobs/7/."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self.budget = BUDGET
        self.bed = bed
        bed.put("a/x", "a/y")
        self.time = Time()
        self.count = folder
        super().__init__(folder, RULES)

    def begin(self) -> None:
        """Start the daemon."""
        self.time.now = self.now
        repeats = counted(self.budget, self.count, self.time)
        arm = ArmFileSystem(self.bed.emulator.url, SUBSCRIPTION, *PLACE, no_credential, repeats=repeats)
        # Waits between two quick tries are not waited: the clock is the test's.
        retrying = RetryingArm(arm, Retry(repeats.is_ample, lambda _: None))
        self.files = EmulatedFiles(self.bed.emulator.hsm)
        systems = {
            "amlfs": FileSystem(retrying, FolderBlobs(self.bed.blobs), self.files, Namespace.FLAT)  # type: ignore[arg-type]
        }
        self.store = FlakyStore(self.path)
        outside = Outside(systems, self.slurm, self.inbox, self.board, self.store)
        self.loop = Loop(outside, self.rules, Pace(), workers=2, restore_window=10)
        self.loop.start()

    def turn(self, seconds: float = 5.0) -> None:
        """Make a turn, as much later."""
        self.time.now = self.now
        super().turn(seconds)

    def set(self, name: Name, operation: str = "*", **more: object) -> None:
        """Let something go wrong."""
        self.bed.control.set(Fault(name, operation, **more))  # type: ignore[arg-type]

    def message(self) -> str:
        """Read what the board says."""
        board = self.board.boards.get(7)
        return "" if board is None else board.message

    def is_staged_in(self) -> bool:
        """Say whether the hook would let the job start."""
        return self.answer("1-1") is Answer.DONE

    def run_and_end(self) -> None:
        """Let the job run, write a file and end."""
        self.slurm.records[7] = JobView(7, ALICE, "RUNNING", bb_state="running")
        self.ask(RequestKind.PRE_RUN)
        self.turn()
        self.bed.write("jobs/7/out", b"result")
        self.slurm.records[7] = JobView(7, ALICE, "STAGE_OUT", bb_state="staging-out")
        self.ask(RequestKind.POST_RUN)
        self.ask(RequestKind.DATA_OUT, "2-1")

    def calls(self) -> int:
        """Count the requests that ARM was sent."""
        return sum(self.bed.emulator.journal.page().requests.values())

    def asked(self, operation: str) -> int:
        """Count the requests of one kind."""
        requests = self.bed.emulator.journal.page().requests
        return sum(number for (one, _), number in requests.items() if one == operation)

    def ran(self, kind: str) -> int:
        """Count the imports or archives that ran."""
        return sum(it.kind == kind for it in self.bed.emulator.journal.page().actions)
