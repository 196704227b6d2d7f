"""Imports of the emulated service, on a Lustre and a container in memory."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from memory_lustre import CLEAN, DIRTY, RELEASED
from memory_world import AT_ONCE, World

from slurm_amlfs.domain.view import FileKind, ImportState
from slurm_amlfs.emulator.conflict import Mode
from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.emulator.importing import Importer, Outcome, Run

DONE = Outcome(ImportState.COMPLETED)


class TestImport:
    def test_names_and_attributes_come_and_contents_do_not(self) -> None:
        """A released file has the blob's size and the metadata's attributes."""
        world = World()
        world.blobs.put("run7/a b", b"12345", owner="1000", group="100", permissions="0640")
        assert world.bring()[0] == DONE
        seen = world.lustre.files["run7/a b"]
        assert (seen.size, seen.uid, seen.gid, seen.mode, seen.flags) == (5, 1000, 100, 0o640, RELEASED)

    def test_prefixes_are_strings(self) -> None:
        """/data takes data2 as well, and other blobs stay out."""
        world = World()
        for name in ("data/x", "data2/x", "dat/x"):
            world.blobs.put(name)
        world.bring("/data")
        assert world.released() == {"data/x", "data2/x"}

    def test_hierarchical_prefixes_are_directories(self) -> None:
        """/data does not take data2."""
        world = World(hierarchical=True)
        for name in ("data/x", "data2/x"):
            world.blobs.put(name)
        world.bring("/data")
        assert world.released() == {"data/x"}

    def test_overlapping_prefixes_fail_the_job(self) -> None:
        """/data and /data2, as documented."""
        assert World().bring("/data", "/data2")[0].import_state is ImportState.FAILED

    def test_a_prefix_of_nothing_completes_with_nothing(self) -> None:
        """Recorded: Completed with 0 blobs."""
        outcome, run = World().bring("/path1", "/path2")
        assert (outcome, run.tally.walked, run.tally.imported) == (DONE, 0, 0)

    def test_stubs_become_directories_and_links_become_links(self) -> None:
        """Of hdi_isfolder, is_symlink (content is the target) and ftype=LNK."""
        world = World()
        world.blobs.put("d", hdi_isfolder="true", permissions="0700", owner="7")
        world.blobs.put("l", b"d/file", is_symlink="true")
        world.blobs.put("m", ftype="LNK", symlink="d")
        _, run = world.bring()
        assert (world.lustre.files["d"].kind, world.lustre.files["d"].mode) == (FileKind.DIRECTORY, 0o700)
        assert (world.lustre.files["l"].target, world.lustre.files["m"].target) == ("d/file", "d")
        assert (run.tally.files, run.tally.directories, run.tally.symlinks) == (0, 1, 2)

    def test_a_second_import_finds_everything_there(self) -> None:
        """Preexisting files are neither conflicts nor errors, whatever the mode."""
        world = World()
        for number in range(10):
            world.blobs.put(f"a/{number}")
        world.bring()
        for mode in Mode:
            outcome, run = world.bring(mode=mode)
            assert outcome == DONE
            assert (run.tally.preexisting_files, run.tally.conflicts) == (10, 0)

    def test_skip_leaves_the_file_and_ends_partial(self) -> None:
        """The conflict is counted."""
        world = World()
        world.blobs.put("a", b"12")
        world.lustre.write("a", size=9)
        outcome, run = world.bring(mode=Mode.SKIP)
        assert outcome.import_state is ImportState.COMPLETED_PARTIAL
        assert (world.lustre.files["a"].size, run.tally.conflicts, run.tally.imported) == (9, 1, 0)

    def test_fail_stops_at_the_first_conflict(self) -> None:
        """What comes after it is not imported."""
        world = World()
        for name in ("a", "b", "c"):
            world.blobs.put(name)
        world.lustre.write("b", size=9)
        outcome, _ = world.bring(mode=Mode.FAIL)
        assert outcome.import_state is ImportState.FAILED
        assert "/b" in outcome.message
        assert world.released() == {"a"}

    @pytest.mark.parametrize("mode", [Mode.OVERWRITE_IF_DIRTY, Mode.OVERWRITE_ALWAYS])
    def test_overwriting_brings_the_blob(self, mode: Mode) -> None:
        """A dirty file is deleted and imported again; all blobs are there, so the job is Completed."""
        world = World()
        world.blobs.put("a", b"12")
        world.lustre.write("a", size=9, flags=DIRTY)
        outcome, run = world.bring(mode=mode)
        assert (outcome, world.lustre.files["a"].size, run.tally.conflicts) == (DONE, 2, 1)

    def test_only_overwrite_always_shows_a_changed_blob(self) -> None:
        """Behind a clean file."""
        world = World()
        world.blobs.put("a", b"12")
        world.lustre.write("a", size=9, flags=CLEAN, mtime_ns=1)
        world.bring(mode=Mode.OVERWRITE_IF_DIRTY)
        assert world.lustre.files["a"].size == 9
        world.bring(mode=Mode.OVERWRITE_ALWAYS)
        assert world.lustre.files["a"].size == 2

    @pytest.mark.parametrize("mode", Mode)
    def test_a_file_where_a_directory_should_be_is_a_conflict(self, mode: Mode) -> None:
        """A file "a" on Lustre and the blob "a/b": resolved as every conflict."""
        world = World()
        world.blobs.put("a/b")
        world.lustre.write("a", flags=DIRTY)
        outcome, run = world.bring(mode=mode)
        overwritten = mode in {Mode.OVERWRITE_ALWAYS, Mode.OVERWRITE_IF_DIRTY}
        assert ("a/b" in world.released()) is overwritten
        assert run.tally.conflicts == 1
        assert (outcome == DONE) is overwritten

    @pytest.mark.parametrize(
        ("max_errors", "state"),
        [
            (0, ImportState.FAILED),
            (1, ImportState.FAILED),
            (2, ImportState.COMPLETED_PARTIAL),
            (-1, ImportState.COMPLETED_PARTIAL),
        ],
    )
    def test_maximum_errors(self, max_errors: int, state: ImportState) -> None:
        """0 fails at the first, N after one more than N, -1 never."""
        world = World()
        for name in ("../x", "a//b", "good"):
            world.blobs.put(name)
        outcome, run = world.bring(max_errors=max_errors)
        assert outcome.import_state is state
        if state is ImportState.COMPLETED_PARTIAL:
            assert (run.tally.errors, world.released()) == (2, {"good"})

    def test_a_listing_that_breaks_off_fails_the_job(self) -> None:
        """Never Completed with less than there is."""
        world = World()
        for name in ("a", "b", "c"):
            world.blobs.put(name)
        world.blobs.broken_after = 2
        outcome, _ = world.bring()
        assert outcome.import_state is ImportState.FAILED
        assert "broke off" in outcome.message

    def test_partial_and_fail_faults(self) -> None:
        """Named blobs fail; the whole job fails after N."""
        world = World()
        for number in range(5):
            world.blobs.put(f"a/{number}")
        world.faults.set(Fault(Name.PARTIAL, "import", blobs=("a/1", "a/3")))
        outcome, run = world.bring(max_errors=-1)
        assert (outcome.import_state, run.tally.errors) == (ImportState.COMPLETED_PARTIAL, 2)
        world.lustre.files.clear()
        world.faults.set(Fault(Name.FAIL, "import", after=1, message="boom"))
        outcome, run = world.bring(max_errors=-1)
        assert (outcome, run.tally.imported) == (Outcome(ImportState.FAILED, "boom"), 1)

    def test_a_stall_holds_until_it_is_let_go(self) -> None:
        """And the job then completes; meanwhile nothing is imported."""
        world = World()
        world.blobs.put("a")
        world.faults.set(Fault(Name.STALL, "import"))
        outcomes: list[Outcome] = []
        thread = threading.Thread(target=lambda: outcomes.append(world.bring()[0]))
        thread.start()
        while not any(fault.hits for fault in world.faults.all()):
            time.sleep(0.001)
        assert world.released() == set()
        world.faults.clear()
        thread.join(5)
        assert (outcomes, world.released()) == ([DONE], {"a"})

    def test_a_stall_of_some_seconds_ends_by_itself(self) -> None:
        """And happens once."""
        world = World()
        world.blobs.put("a")
        world.faults.set(Fault(Name.STALL, "import", seconds=0.1))
        started = time.monotonic()
        assert world.bring()[0] == DONE
        assert time.monotonic() - started >= 0.1
        assert world.faults.hold("import", threading.Event()) == 0

    def test_a_stopped_run_has_no_outcome(self) -> None:
        """Cancelled, or the emulator ends."""
        world = World()
        world.blobs.put("a")
        run = Run(("/",), Mode.FAIL, 0)
        run.stop.set()
        importer = Importer(world.lustre, world.contents, world.faults, world.rates, hierarchical=False)
        assert importer.run(run).import_state is ImportState.IN_PROGRESS

    @pytest.mark.parametrize("rate", [2_000.0, 20_000.0])
    def test_the_rate_is_kept(self, rate: float) -> None:
        """0.3 seconds' worth of blobs take 0.3 seconds, and not more than a tenth longer."""
        world = World(replace(AT_ONCE, import_per_second=rate))
        count = int(rate * 0.3)
        for number in range(count):
            world.blobs.put(f"a/{number:06}")
        started = time.monotonic()
        _, run = world.bring()
        took = time.monotonic() - started
        assert run.tally.imported == count
        assert took >= 0.29
        assert took <= 1.0  # a loaded machine may be late, never early
