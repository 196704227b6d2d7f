"""Whatever users, engine and administrators do in whatever order: no byte is lost, and the space adds up."""

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from archive_of_bytes import ArchiveOfBytes
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from slurm_amlfs.emulator.hsm import Hsm, HsmAction
from slurm_amlfs.emulator.hsm_rules import ARCHIVED, DIRTY, EXISTS, RELEASED
from tests.examples import examples

UID, GID = os.getuid(), os.getgid()
CAPACITY_BYTES = 1_000_000

names = st.tuples(st.sampled_from(["", "d/", "e/"]), st.sampled_from("abc")).map("".join)
contents = st.binary(max_size=300)


class FilesAndTheirBytes(RuleBasedStateMachine):
    """`expected` is what each name must read as."""

    paths = Bundle("paths")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.archive = ArchiveOfBytes()
        self.hsm = Hsm(self.folder, self.archive, CAPACITY_BYTES)
        for name in ("d", "e"):
            self.hsm.add_directory(name, UID, GID, 0o755)
        self.expected: dict[str, bytes] = {}
        self.once: set[str] = set()
        self.again: set[str] = set()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.hsm.close()
        shutil.rmtree(self.folder)

    @rule(target=paths, path=names, data=contents)
    def import_blob(self, path: str, data: bytes) -> str:
        """Bring a blob in, in place of what was there."""
        self.hsm.remove(path)
        self.archive.blobs[path] = data
        self.hsm.add_released(path, len(data), 0, UID, GID, 0o644)
        self._settle_others(path)
        self.expected[path] = data
        return path

    @rule(target=paths, path=names, data=contents)
    def write_file(self, path: str, data: bytes) -> str:
        """Write a file anew, or over what is there."""
        if path in self.expected:
            fd = self.hsm.files.open(path, os.O_WRONLY)
            self.expected[path] = data + self.expected[path][len(data) :]
        else:
            fd = self.hsm.files.create(path, os.O_WRONLY, 0o644, UID, GID)
            self.expected[path] = data
        if data:
            self.hsm.files.write(fd, data, 0)
        self.hsm.files.release(fd)
        return path

    def _settle_others(self, path: str) -> None:
        (self.again if path in self.once else self.once).add(path)
        # A blob that is replaced is what released files of that blob become; such files exist after renames.
        for other in self.expected:
            info = self.hsm.look(other)
            assert info is not None
            if other != path and info.flags & RELEASED:
                blob = self.hsm.tree.blob(other, self.hsm.record(other))
                self.expected[other] = self.archive.blobs[blob]

    @rule(path=paths, size=st.integers(0, 400))
    def truncate(self, path: str, size: int) -> None:
        """Cut or extend."""
        if path in self.expected:
            self.hsm.files.truncate(path, size)
            self.expected[path] = self.expected[path][:size].ljust(size, b"\0")

    @rule(path=paths)
    def archive_it(self, path: str) -> None:
        """Copy out; then it is clean."""
        if path in self.expected:
            assert self.hsm.archive(path)
            assert not self.hsm.record(path).flags & DIRTY
            self._settle_others(path)

    @rule(path=paths)
    def release_it(self, path: str) -> None:
        """Free the space, which only clean archived files allow."""
        if path in self.expected:
            flags = self.hsm.record(path).flags
            clean = flags & (ARCHIVED | EXISTS | DIRTY) == ARCHIVED | EXISTS
            try:
                self.hsm.request(path, HsmAction.RELEASE, 0)
            except PermissionError:
                assert not clean
            else:
                assert clean
                blob = self.hsm.tree.blob(path, self.hsm.record(path))
                assert blob in self.again or self.archive.blobs[blob] == self.expected[path]
                self.expected[path] = self.archive.blobs[blob]

    @rule(old=consumes(paths), new=names)
    def rename(self, old: str, new: str) -> None:
        """Give it another name, over what had it."""
        if old in self.expected:
            self.hsm.files.rename(old, new)
            self.expected[new] = self.expected.pop(old)

    @rule()
    def swap_directories(self) -> None:
        """Rename directories around."""
        for old, new in (("d", "t"), ("e", "d"), ("t", "e")):
            self.hsm.files.rename(old, new)
        swap = {"d": "e", "e": "d"}
        self.expected = {
            f"{swap[path[0]]}{path[1:]}" if path[1:2] == "/" else path: data for path, data in self.expected.items()
        }

    @rule(path=consumes(paths))
    def unlink(self, path: str) -> None:
        """Remove."""
        if path in self.expected:
            self.hsm.files.unlink(path)
            del self.expected[path]

    @rule()
    def restart(self) -> None:
        """End the process and start it again."""
        self.hsm.close()
        self.hsm = Hsm(self.folder, self.archive, CAPACITY_BYTES)

    @rule(path=paths)
    def read(self, path: str) -> None:
        """See what must be there."""
        if path in self.expected:
            fd = self.hsm.files.open(path, os.O_RDONLY)
            assert self.hsm.files.read(fd, 1000, 0) == self.expected[path]
            self.hsm.files.release(fd)

    @invariant()
    def space_adds_up(self) -> None:
        """Used is the size of all that is not released; what is released has no blocks."""
        held = 0
        for path in self.expected:
            info = self.hsm.look(path)
            assert info is not None
            if info.flags & RELEASED:
                assert not info.flags & DIRTY
                assert os.lstat(self.hsm.tree.at(path)).st_blocks == 0
            else:
                held += info.size
        assert self.hsm.used_bytes == held

    @invariant()
    def changed_names_what_the_archive_lacks(self) -> None:
        """Exactly the new and the dirty files."""
        lacking = {path for path in self.expected if self.hsm.record(path).flags & (ARCHIVED | DIRTY) != ARCHIVED}
        assert set(self.hsm.changed("")) == lacking


TestFilesAndTheirBytes = FilesAndTheirBytes.TestCase
TestFilesAndTheirBytes.settings = examples(40, stateful_step_count=30)
