"""Archives, faults and the pace of the emulated service, in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from memory_lustre import CLEAN, DIRTY
from memory_world import World

from slurm_amlfs.domain.view import ArchiveState
from slurm_amlfs.emulator.archiving import Exported, parents
from slurm_amlfs.emulator.faults import Fault, Faults, Name
from slurm_amlfs.emulator.rates import Pace


class TestPace:
    def test_each_thing_is_due_on_an_absolute_schedule(self) -> None:
        """Being late once does not make later things later."""
        now = [10.0]
        pace = Pace(100_000, lambda: now[0])
        assert pace.ahead_seconds(100_000) == pytest.approx(1.0)
        now[0] += 0.9
        assert pace.ahead_seconds(100_000) == pytest.approx(0.1)
        pace.postpone(5)
        assert pace.ahead_seconds(100_000) == pytest.approx(5.1)

    def test_zero_is_unlimited(self) -> None:
        """Nothing is ever ahead."""
        assert Pace(0).ahead_seconds(10**9) == 0


class TestArchive:
    def test_only_new_and_changed_files_under_a_string_prefix(self) -> None:
        """/out takes out2; clean files and what is elsewhere stay."""
        world = World()
        world.lustre.write("out/new")
        world.lustre.write("out2/dirty", flags=DIRTY)
        world.lustre.write("out/clean", flags=CLEAN)
        world.lustre.write("elsewhere")
        outcome, export = world.send("/out")
        assert outcome == Exported(ArchiveState.COMPLETED)
        files = {name for name, (_, attributes) in world.blobs.blobs.items() if "hdi_isfolder" not in attributes}
        assert files == {"out/new", "out2/dirty"}
        assert (export.found, export.done, export.percent) == (2, 2, 100)

    def test_directories_get_stubs(self) -> None:
        """Each parent is an empty blob with hdi_isfolder=true."""
        world = World()
        world.lustre.write("a/b/c")
        world.send("/a/b")
        stubs = {name for name, (_, attributes) in world.blobs.blobs.items() if attributes.get("hdi_isfolder")}
        assert stubs == {"a", "a/b"}
        assert parents("x") == []

    def test_a_file_that_changes_meanwhile_fails_the_archive(self) -> None:
        """The next archive takes only that one."""
        world = World()
        world.lustre.write("out/a")
        world.lustre.write("out/b")

        def touch(path: str) -> None:
            if path == "out/a":
                world.lustre.files[path] = replace(world.lustre.files[path], mtime_ns=99)

        world.lustre.while_archiving = touch
        outcome, export = world.send("/out")
        assert outcome.archive_state is ArchiveState.FAILED
        assert "/out/a" in outcome.error_message
        assert (export.done, export.failed) == (1, ["'/out/a'"])
        world.lustre.while_archiving = lambda _path: None
        outcome, export = world.send("/out")
        assert (outcome.archive_state, export.found) == (ArchiveState.COMPLETED, 1)

    def test_named_files_fail(self) -> None:
        """PARTIAL reaches stores; the others are exported."""
        world = World()
        world.lustre.write("a")
        world.lustre.write("b")
        world.faults.set(Fault(Name.PARTIAL, "archive", blobs=("a",)))
        world.lustre.contents = world.contents  # type: ignore[assignment]
        outcome, export = world.send("/")
        assert (outcome.archive_state, export.done, export.failed) == (ArchiveState.FAILED, 1, ["'/a'"])

    def test_nothing_to_export_is_completed(self) -> None:
        """With nothing written."""
        world = World()
        assert world.send("/out")[0] == Exported(ArchiveState.COMPLETED)
        assert world.blobs.blobs == {}


class TestFaults:
    def test_a_fault_happens_so_many_times(self) -> None:
        """And for its operation only."""
        faults = Faults()
        faults.set(Fault(Name.ERROR, "importJobs.*", times=2))
        assert faults.take(Name.ERROR, "archive.post") is None
        taken = [faults.take(Name.ERROR, "importJobs.put") is not None for _ in range(3)]
        assert (taken, faults.all()[0].hits) == ([True, True, False], 2)

    def test_clearing_takes_the_named_ones(self) -> None:
        """Or all."""
        faults = Faults()
        faults.set(Fault(Name.ERROR))
        faults.set(Fault(Name.REFUSE))
        faults.clear([Name.ERROR])
        assert [fault.name for fault in faults.all()] == [Name.REFUSE]
        faults.clear()
        assert faults.all() == ()

    def test_a_restore_fails_by_name(self, tmp_path: Path) -> None:
        """FAIL and PARTIAL for "restore" raise OSError below Lustre."""
        world = World()
        world.blobs.put("a", b"x")
        world.faults.set(Fault(Name.PARTIAL, "restore", times=1, blobs=("a",)))
        with (tmp_path / "f").open("wb") as into:
            with pytest.raises(OSError, match="asked to fail"):
                world.contents.fetch("a", into)
            world.contents.fetch("a", into)
        assert (tmp_path / "f").read_bytes() == b"x"
