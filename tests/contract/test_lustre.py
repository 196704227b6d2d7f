from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_amlfs.adapters.lfs import Lfs
from slurm_amlfs.adapters.lustre import LustreMount
from slurm_amlfs.adapters.lustre_apart import LustreApart
from slurm_amlfs.config import Limits
from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.entrypoints.reaching import reach_lustre
from slurm_amlfs.errors import PermanentError, TemporaryError
from tests.contract.lustre_contract import LustreContract
from tests.fakes import lfs_program, lustre_process
from tests.fakes.lustre import FakeLustre


class FakeLustreWorld:
    def __init__(self, lustre: FakeLustre) -> None:
        self.write = lustre.write
        self.add_released = lustre.add_released
        self.link = lustre.link
        self.hard_link = lustre.hard_link
        self.mark_archived = lustre.mark_archived
        self.finish_restores = lustre.finish_restores
        self.finish_archives = lustre.finish_archives
        self.forbid = lustre.forbid
        self.lose = lustre.lose
        self._lustre = lustre

    def unmount(self) -> None:
        """Take the mount away."""
        self._lustre.is_mounted = False

    def receipts(self) -> dict[int, str]:
        """Read the texts of all receipts."""
        return {job_id: receipt.text for job_id, receipt in self._lustre.receipts.items()}


class FolderWorld:
    """A plain folder for a mount, with states in extended attributes."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.is_mounted = True

    def write(self, path: str, size_bytes: int) -> None:
        """Write a file; dirty if it was archived."""
        place = self.place(path)
        known = lfs_program.read(str(place)) if place.exists() else 0
        place.write_bytes(b"x" * size_bytes)
        self._set(place, known | lfs_program.DIRTY if known else 0)

    def add_released(self, path: str, size_bytes: int) -> None:
        """Add a file as an import does."""
        place = self.place(path)
        place.write_bytes(b"x" * size_bytes)
        self._set(place, lfs_program.EXISTS | lfs_program.ARCHIVED | lfs_program.RELEASED)

    def link(self, path: str) -> None:
        """Make a symlink to /etc."""
        self.place(path).symlink_to("/etc")

    def hard_link(self, path: str, name: str) -> None:
        """Give a file another name."""
        self.place(name).hardlink_to(self.place(path))

    def mark_archived(self, path: str) -> None:
        """Take a file as archived."""
        self._set(self.place(path), lfs_program.EXISTS | lfs_program.ARCHIVED)

    def lose(self, path: str) -> None:
        """Mark a file's archive as lost."""
        place = self.place(path)
        self._set(place, lfs_program.read(str(place)) | lfs_program.LOST)

    def finish_restores(self) -> None:
        """The program ends them at once."""

    def finish_archives(self) -> None:
        """The program ends them at once."""

    def forbid(self, path: str) -> None:
        """Say that a file must not be archived."""
        place = self.place(path)
        self._set(place, lfs_program.read(str(place)) | lfs_program.NOARCHIVE)

    def unmount(self) -> None:
        """Take the mount away."""
        self.is_mounted = False

    def receipts(self) -> dict[int, str]:
        """Read the texts of all receipts."""
        folder = self.mount / ".amlfs" / "receipts"
        return {int(path.name): path.read_text(errors="surrogateescape") for path in folder.iterdir()}

    def place(self, path: str) -> Path:
        """Find a path in the folder, with its parents made."""
        place = self.mount / path.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _set(self, place: Path, state: int) -> None:
        os.setxattr(place, lfs_program.ATTRIBUTE, str(state).encode())


class TestFakeLustre(LustreContract):
    @pytest.fixture
    def lustre(self) -> FakeLustre:
        """Make the port."""
        return FakeLustre()

    @pytest.fixture
    def world(self, lustre: FakeLustre) -> FakeLustreWorld:
        """Stand behind it."""
        return FakeLustreWorld(lustre)


@pytest.fixture(scope="module")
def lfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("bin") / "lfs"
    program.write_text(f"#!{sys.executable} -SE\n{Path(lfs_program.__file__).read_text()}")
    program.chmod(0o755)
    return program


class ApartWorld(FolderWorld):
    """The same, told to another process by a mark beside the folder."""

    def __init__(self, mount: Path) -> None:
        super().__init__(mount)
        self._mark = Path(f"{mount}{lustre_process.MARK}")
        self._mark.touch()

    def unmount(self) -> None:
        """Take the mount away."""
        self._mark.unlink()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one folder for all, because to start processes takes most of the time."""
    return tmp_path_factory.mktemp("apart") / "mount"


@pytest.fixture(scope="module")
def apart(folder: Path, lfs: Path) -> Iterator[LustreApart]:
    lustre = reach_lustre("lustre", folder, lfs, Limits(), program=lustre_process.__name__)
    yield lustre
    lustre.close()


class TestLustreApart(LustreContract):
    @pytest.fixture
    def world(self, folder: Path) -> ApartWorld:
        """Stand behind it, with nothing there."""
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        return ApartWorld(folder)

    @pytest.fixture
    def lustre(self, apart: LustreApart) -> LustreApart:
        """Give the port."""
        return apart

    def test_a_long_walk_and_another_within(self, lustre: LustreApart, world: ApartWorld) -> None:
        """A walk comes whole in pieces, others go on in between, and one that is left is nobody's burden."""
        paths = {f"/d{number % 3}/f{number}" for number in range(1500)}
        for path in paths:
            world.write(path, 1)
        told = set()
        for view in lustre.walk("/d"):
            told.add(view.path)
            if len(told) % 500 == 0:
                assert next(iter(lustre.walk("/d1/"))).path.startswith("/d1/")
        assert told == paths


class TestLustreMount(LustreContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> FolderWorld:
        """Stand behind it."""
        mount = tmp_path / "mount"
        mount.mkdir()
        return FolderWorld(mount)

    @pytest.fixture
    def lustre(self, world: FolderWorld, lfs: Path) -> LustreMount:
        """Make the port."""
        return LustreMount(world.mount, Lfs(lfs), lambda _: world.is_mounted)

    def test_more_files_than_fit_one_request(self, lustre: LustreMount, world: FolderWorld) -> None:
        """Batches stay below the 52 files of one request, whatever their number and their directories'."""
        paths = [f"/d{number % 230}/f{number}" for number in range(240)]
        for path in paths:
            world.add_released(path, 1)
        lustre.restore(paths)
        assert set(lustre.hsm_states(paths).values()) == {HsmState.EXISTS | HsmState.ARCHIVED}
        assert sum(1 for _ in Path("/proc/self/fd").iterdir()) < 100

    def test_more_files_than_fit_one_archive(self, lustre: LustreMount, world: FolderWorld) -> None:
        """A request takes 52 files at most (E2BIG), so archives are batched as restores are."""
        paths = [f"/d/{number}" for number in range(130)]
        for path in paths:
            world.write(path, 1)
        assert lustre.archive(paths) == ()
        assert set(lustre.hsm_states(paths).values()) == {HsmState.EXISTS | HsmState.ARCHIVED}

    def test_files_that_spoil_requests_of_restores_cost_few_runs_of_lfs(
        self, world: FolderWorld, lfs: Path, tmp_path: Path
    ) -> None:
        """Dirty, gone and lost ones among released ones: to find them by taking requests apart takes 54."""
        runs, program = tmp_path / "runs", tmp_path / "counting"
        program.write_text(f'#!/bin/sh\necho "$1" >>{runs}\nexec {lfs} "$@"\n')
        program.chmod(0o755)
        paths = [f"/d/{number}" for number in range(200)]
        for path in paths:
            world.add_released(path, 1)
        dirty, gone, lost = paths[3::40], paths[7::80], paths[11::80]
        for path in dirty:
            world.mark_archived(path)
            world.write(path, 2)
        for path in gone:
            world.place(path).unlink()
        for path in lost:
            world.lose(path)
        lustre = LustreMount(world.mount, Lfs(program), lambda _: True)

        assert sorted(lustre.restore(paths)) == sorted(lost)
        states = lustre.hsm_states(paths)
        assert {path for path, state in states.items() if HsmState.RELEASED in state} == set(lost)
        assert set(paths) - set(states) == set(gone)
        assert len(runs.read_text().splitlines()) <= 20

    def test_what_is_under_way(self, world: FolderWorld, tmp_path: Path) -> None:
        """Whatever waits or runs is busy; a file that goes while it is asked about is not."""
        program = tmp_path / "lfs"
        program.write_text(
            '#!/bin/sh\nshift\nfor path; do case "$path" in'
            " */gone) exit 2;;"
            ' */waits) echo "$path: ARCHIVE waiting (from 0 to EOF)";;'
            ' */runs) echo "$path: ARCHIVE running (12 bytes moved)";;'
            ' *) echo "$path: NOOP";; esac; done\n'
        )
        program.chmod(0o755)
        paths = ["/a/rests", "/a/waits", "/a/gone", "/a/NOOP", "/b/runs"]
        for path in paths:
            world.write(path, 1)
        lustre = LustreMount(world.mount, Lfs(program), lambda _: True)
        assert lustre.hsm_busy(paths) == {"/a/waits", "/b/runs"}

    def test_a_directory_that_became_a_link_is_not_followed(self, lustre: LustreMount, world: FolderWorld) -> None:
        """A user who swaps a directory for a link gets nothing of another's released."""
        world.write("/theirs/f", 1)
        world.mark_archived("/theirs/f")
        (world.mount / "mine").symlink_to("theirs")
        lustre.release(["/mine/f"])
        assert lustre.hsm_states(["/mine/f", "/theirs/f"]) == {"/theirs/f": HsmState.EXISTS | HsmState.ARCHIVED}

    def test_receipt_modes(self, lustre: LustreMount, world: FolderWorld) -> None:
        """Only its owner reads a receipt; everybody passes to see that it is there."""
        lustre.put_receipt(7, os.geteuid(), os.getegid(), "x")
        folder = world.mount / ".amlfs" / "receipts"
        modes = [path.stat().st_mode & 0o7777 for path in (folder.parent, folder, folder / "7")]
        assert modes == [0o711, 0o711, 0o400]

    def test_a_link_in_place_of_our_folder(self, lustre: LustreMount, world: FolderWorld, tmp_path: Path) -> None:
        """Nobody redirects receipts to another place."""
        (world.mount / ".amlfs").symlink_to(tmp_path)
        with pytest.raises(PermanentError, match="somebody else's"):
            lustre.put_receipt(7, 0, 0, "x")
        assert not (tmp_path / "receipts").exists()

    def test_trailing_slash_asks_for_a_directory(self, lustre: LustreMount, world: FolderWorld) -> None:
        """A stub blob "d/" is there as the directory d, and never as a file."""
        world.write("/d/f", 1)
        assert lustre.look("/d/") is not None
        assert lustre.look("/d/f/") is None

    def test_not_lustre(self, world: FolderWorld, tmp_path: Path) -> None:
        """A mount that has no HSM is told as what it is."""
        program = tmp_path / "lfs"
        program.write_text('#!/bin/sh\necho "can\'t get hsm state: Inappropriate ioctl for device" >&2\nexit 25\n')
        program.chmod(0o755)
        world.write("/f", 1)
        lustre = LustreMount(world.mount, Lfs(program), lambda _: True)
        with pytest.raises(PermanentError, match="has to be Lustre"):
            lustre.hsm_states(["/f"])

    def test_no_lfs(self, world: FolderWorld, tmp_path: Path) -> None:
        """A missing command names itself and the mend."""
        world.write("/f", 1)
        lustre = LustreMount(world.mount, Lfs(tmp_path / "none"), lambda _: True)
        with pytest.raises(TemporaryError, match=r"none cannot be started .*; install it"):
            lustre.hsm_states(["/f"])
