"""What every Lustre keeps, the fake and the real adapter alike.

A subclass gives the fixture `lustre`, and `world`, which does on the file system what jobs and copytools do.
"""

from __future__ import annotations

from typing import Protocol

import pytest

from slurm_amlfs.application.ports import Lustre
from slurm_amlfs.domain.view import FileKind, HsmState
from slurm_amlfs.errors import PermanentError, TemporaryError

ODD_NAMES = [
    "with blank",
    "quote'\"x",
    "new\nline",
    "a: (0x0000000d) released exists archived, archive_id:1\nb",
    "-rf",
    "--filelist",
    "\udcff\udcfe not utf-8",
    "é漢字😀",
    "x" * 255,
]


class LustreWorld(Protocol):
    """What others do on the file system. Paths are absolute in it."""

    def write(self, path: str, size_bytes: int) -> None:
        """Write a file as a job does."""

    def add_released(self, path: str, size_bytes: int) -> None:
        """Add a file as an import does."""

    def link(self, path: str) -> None:
        """Make a symlink to /etc at this path."""

    def hard_link(self, path: str, name: str) -> None:
        """Give a file another name."""

    def mark_archived(self, path: str) -> None:
        """Take a file as archived."""

    def lose(self, path: str) -> None:
        """Take an archived file's copy in the archive as lost."""

    def finish_restores(self) -> None:
        """Let queued restores happen."""

    def finish_archives(self) -> None:
        """Let queued archives happen."""

    def forbid(self, path: str) -> None:
        """Say that a file must not be archived (lfs hsm_set --noarchive)."""

    def unmount(self) -> None:
        """Take the mount away."""

    def receipts(self) -> dict[int, str]:
        """Read the texts of all receipts."""


class LustreContract:
    """The promises of the Lustre port."""

    def test_look(self, lustre: Lustre, world: LustreWorld) -> None:
        """A file, a directory, a symlink and nothing are told apart."""
        world.write("/d/file", 5)
        world.link("/d/link")
        file = lustre.look("/d/file")
        assert file is not None
        assert (file.path, file.kind, file.size_bytes, file.mtime_ns > 0) == ("/d/file", FileKind.REGULAR, 5, True)
        assert file.links == 1
        kinds = {path: view.kind for path in ("/", "/d", "/d/link", "/d/no") if (view := lustre.look(path))}
        assert kinds == {"/": FileKind.DIRECTORY, "/d": FileKind.DIRECTORY, "/d/link": FileKind.SYMLINK}

    def test_hard_links(self, lustre: Lustre, world: LustreWorld) -> None:
        """Each name of a file tells how many there are."""
        world.write("/d/file", 5)
        world.hard_link("/d/file", "/d/other")
        assert {view.path: view.links for view in lustre.walk("/d/")} == {"/d/file": 2, "/d/other": 2}

    def test_looks(self, lustre: Lustre, world: LustreWorld) -> None:
        """Many paths at once are told as one by one; what is not there, or is no path, is absent."""
        world.write("/d/file", 5)
        world.write("/d/e/file", 6)
        world.link("/d/link")
        asked = [
            "/d/file",
            "/d/no",
            "/",
            "/d/e/file",
            "/no/no",
            "/d",
            "/d/link",
            "/d/../d/file",
            "/d/file",
            "/d/file/x",
        ]
        told = lustre.looks(asked)
        assert told == {path: view for path in asked if (view := lustre.look(path)) is not None}
        assert set(told) == {"/d/file", "/", "/d/e/file", "/d", "/d/link"}
        assert lustre.looks([]) == {}

    def test_looks_at_many_files_of_one_directory(self, lustre: Lustre, world: LustreWorld) -> None:
        """Links, directories, names of no file and what is not there are told apart there as well."""
        paths = [f"/d/{number}" for number in range(120)]
        for number, path in enumerate(paths):
            world.write(path, number)
        world.link("/d/link")
        world.write("/d/e/file", 5)
        told = lustre.looks([*paths, "/d/link", "/d/e", "/d/no", "/d/..", "/d/.", "/d/e/", "/d/7/"])
        assert {path: told.pop(path).size_bytes for path in paths} == {path: int(path[3:]) for path in paths}
        assert {path: view.kind for path, view in told.items()} == {
            "/d/link": FileKind.SYMLINK, "/d/e": FileKind.DIRECTORY, "/d/e/": FileKind.DIRECTORY,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "path", ["/../etc/passwd", "/d/../d/file", "/d//file", "/./d", "/d/file\0", f"/{'x' * 300}"]
    )
    def test_what_cannot_be_is_not_there(self, lustre: Lustre, world: LustreWorld, path: str) -> None:
        """A blob may have a name that no file can have."""
        world.write("/d/file", 5)
        assert lustre.look(path) is None
        assert lustre.hsm_states([path]) == {}

    def test_walk_takes_a_string_prefix(self, lustre: Lustre, world: LustreWorld) -> None:
        """/a/b also takes /a/bc, and all that is below either; /a/b/ takes less."""
        for path in ("/a/b/x", "/a/b/y/z", "/a/bc", "/a/bcd/x", "/a/c", "/b"):
            world.write(path, 1)
        assert {view.path for view in lustre.walk("/a/b")} == {"/a/b/x", "/a/b/y/z", "/a/bc", "/a/bcd/x"}
        assert {view.path for view in lustre.walk("/a/b/")} == {"/a/b/x", "/a/b/y/z"}
        assert {view.path for view in lustre.walk("/")} == {
            "/a/b/x", "/a/b/y/z", "/a/bc", "/a/bcd/x", "/a/c", "/b",
        }  # fmt: skip
        assert list(lustre.walk("/no/such")) == []

    def test_walk_follows_no_link(self, lustre: Lustre, world: LustreWorld) -> None:
        """A symlink is told as one, and what it points to is not walked."""
        world.link("/d/out")
        assert [(view.path, view.kind) for view in lustre.walk("/")] == [("/d/out", FileKind.SYMLINK)]
        assert list(lustre.walk("/d/out/")) == []
        assert lustre.look("/d/out/passwd") is None

    def test_walk_of_no_path(self, lustre: Lustre) -> None:
        """A prefix that leads out is refused."""
        with pytest.raises(PermanentError):
            list(lustre.walk("/../etc/"))

    def test_a_new_file_is_in_no_state(self, lustre: Lustre, world: LustreWorld) -> None:
        """What a job wrote is known to Lustre only."""
        world.write("/new", 1)
        assert lustre.hsm_states(["/new"]) == {"/new": HsmState.NONE}

    def test_states_of_many(self, lustre: Lustre, world: LustreWorld) -> None:
        """States come by path; what is gone, a directory or a link is absent."""
        world.add_released("/d/released", 9)
        world.write("/d/kept", 9)
        world.mark_archived("/d/kept")
        world.link("/d/link")
        asked = ["/d/released", "/gone", "/d/kept", "/d", "/d/link", "/d/released"]
        whole = HsmState.EXISTS | HsmState.ARCHIVED
        assert lustre.hsm_states(asked) == {"/d/released": whole | HsmState.RELEASED, "/d/kept": whole}

    def test_a_rewritten_file_is_dirty(self, lustre: Lustre, world: LustreWorld) -> None:
        """What was archived and written again is not clean."""
        world.write("/f", 1)
        world.mark_archived("/f")
        assert lustre.hsm_states(["/f"])["/f"].clean
        world.write("/f", 2)
        assert not lustre.hsm_states(["/f"])["/f"].clean

    def test_restore(self, lustre: Lustre, world: LustreWorld) -> None:
        """Asked for once or twice, released files become whole; whole and gone ones are success."""
        world.add_released("/d/a", 9)
        world.add_released("/d/b", 9)
        world.write("/d/new", 1)
        lustre.restore(["/d/a", "/d/b", "/d/new", "/gone"])
        lustre.restore(["/d/a"])
        world.finish_restores()
        states = lustre.hsm_states(["/d/a", "/d/b"])
        assert [state & HsmState.RELEASED for state in states.values()] == [HsmState.NONE] * 2
        lustre.restore(["/d/a"])

    def test_one_refused_restore_fails_no_other(self, lustre: Lustre, world: LustreWorld) -> None:
        """Among many, a file whose archive is lost is named, and the others come; alone it is an error."""
        paths = [f"/d/{number}" for number in range(7)]
        for path in paths:
            world.add_released(path, 9)
        world.lose("/d/3")
        assert lustre.restore(paths) == ("/d/3",)
        world.finish_restores()
        states = lustre.hsm_states(paths)
        assert {path for path, state in states.items() if state & HsmState.RELEASED} == {"/d/3"}
        with pytest.raises(PermanentError):
            lustre.restore(["/d/3"])

    def test_archive(self, lustre: Lustre, world: LustreWorld) -> None:
        """Asked for once or twice, new and dirty files become clean; clean and gone ones are success."""
        for path in ("/d/new", "/d/dirty", "/d/clean", "/d/untouched"):
            world.write(path, 4)
        for path in ("/d/dirty", "/d/clean"):
            world.mark_archived(path)
        world.write("/d/dirty", 5)
        assert lustre.archive(["/d/new", "/d/dirty", "/d/clean", "/gone"]) == ()
        assert lustre.archive(["/d/new"]) == ()
        world.finish_archives()
        states = lustre.hsm_states(["/d/new", "/d/dirty", "/d/clean"])
        assert states == dict.fromkeys(states, HsmState.EXISTS | HsmState.ARCHIVED)
        assert lustre.hsm_states(["/d/untouched"]) == {"/d/untouched": HsmState.NONE}
        assert lustre.archive(["/d/new"]) == ()

    def test_one_refused_archive_fails_no_other(self, lustre: Lustre, world: LustreWorld) -> None:
        """Among many, a file that must not be archived is named, and the others go; alone it is an error."""
        paths = [f"/d/{number}" for number in range(7)]
        for path in paths:
            world.write(path, 9)
        world.forbid("/d/3")
        assert lustre.archive(paths) == ("/d/3",)
        world.finish_archives()
        states = lustre.hsm_states(paths)
        assert {path for path, state in states.items() if not state.clean} == {"/d/3"}
        with pytest.raises(PermanentError):
            lustre.archive(["/d/3"])

    def test_what_has_ended_is_not_busy(self, lustre: Lustre, world: LustreWorld) -> None:
        """Whole files, archived ones, links and names without a file: nothing is under way for any."""
        world.write("/d/new", 4)
        world.write("/d/archived", 4)
        world.link("/d/link")
        lustre.archive(["/d/archived"])
        world.finish_archives()
        assert lustre.hsm_busy(["/d/new", "/d/archived", "/gone", "/d/link", "/d"]) == frozenset()

    def test_release(self, lustre: Lustre, world: LustreWorld) -> None:
        """Clean files are released; dirty and new ones beside them stay, without an error."""
        for path in ("/d/clean", "/d/dirty", "/d/new", "/d/clean2"):
            world.write(path, 4)
        for path in ("/d/clean", "/d/dirty", "/d/clean2"):
            world.mark_archived(path)
        world.write("/d/dirty", 5)
        lustre.release(["/d/dirty", "/d/clean", "/d/new", "/gone", "/d/clean2"])
        states = lustre.hsm_states(["/d/clean", "/d/dirty", "/d/new", "/d/clean2"])
        released = {path for path, state in states.items() if state & HsmState.RELEASED}
        assert released == {"/d/clean", "/d/clean2"}

    def test_nothing_to_ask(self, lustre: Lustre) -> None:
        """Empty lists are success."""
        lustre.restore([])
        lustre.archive([])
        lustre.release([])
        assert lustre.hsm_busy([]) == frozenset()
        assert lustre.hsm_states([]) == {}

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_names_are_taken_as_they_are(self, lustre: Lustre, world: LustreWorld, name: str) -> None:
        """No name is a word of a command, a line of a list or another name."""
        path = f"/d/{name}"
        world.add_released(path, 3)
        world.add_released("/d/other", 3)
        assert {view.path for view in lustre.walk("/d/")} == {path, "/d/other"}
        lustre.restore([path])
        world.finish_restores()
        states = lustre.hsm_states(["/d/other", path])
        assert {at for at, state in states.items() if state & HsmState.RELEASED} == {"/d/other"}
        lustre.release([path])
        assert lustre.hsm_states([path])[path] & HsmState.RELEASED
        world.write(f"{path[:200]}.new", 3)
        lustre.archive([f"{path[:200]}.new"])
        world.finish_archives()
        assert lustre.hsm_states([f"{path[:200]}.new"])[f"{path[:200]}.new"].clean
        assert lustre.hsm_busy([path, f"{path[:200]}.new"]) == frozenset()

    def test_space(self, lustre: Lustre) -> None:
        """There is no more free than there is."""
        space = lustre.space()
        assert 0 < space.free_bytes <= space.total_bytes

    def test_receipts(self, lustre: Lustre, world: LustreWorld) -> None:
        """A receipt is put, replaced and dropped; dropping again is success; walks do not see it."""
        lustre.put_receipt(7, 0, 0, "AMLFS_MOUNT=/lustre\n")
        lustre.put_receipt(7, 0, 0, "second\n")
        lustre.put_receipt(8, 0, 0, "other \udcff\n")
        assert world.receipts() == {7: "second\n", 8: "other \udcff\n"}
        assert list(lustre.walk("/")) == []
        lustre.drop_receipt(7)
        lustre.drop_receipt(7)
        assert world.receipts() == {8: "other \udcff\n"}

    def test_without_the_mount_nothing_is_said_to_be_gone(self, lustre: Lustre, world: LustreWorld) -> None:
        """The empty folder below a lost mount is not taken for the file system."""
        world.write("/f", 1)
        assert lustre.mounted()
        world.unmount()
        assert not lustre.mounted()
        for call in (
            lambda: lustre.look("/f"),
            lambda: lustre.looks(["/f"]),
            lambda: list(lustre.walk("/")),
            lambda: lustre.hsm_states(["/f"]),
            lambda: lustre.restore(["/f"]),
            lambda: lustre.archive(["/f"]),
            lambda: lustre.hsm_busy(["/f"]),
            lambda: lustre.release(["/f"]),
            lustre.space,
            lambda: lustre.put_receipt(1, 0, 0, ""),
            lambda: lustre.drop_receipt(1),
        ):
            with pytest.raises(TemporaryError):
                call()
