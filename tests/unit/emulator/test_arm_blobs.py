"""Names, metadata and conflicts of the emulated ARM: values in, values out."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_lustre import CLEAN, DIRTY, RELEASED

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator import metadata, names
from slurm_amlfs.emulator.conflict import Decision, Mode, Step, Wanted, decide
from slurm_amlfs.emulator.tree import FileInfo

SEGMENT = st.text("ab1.", min_size=1, max_size=3).filter(lambda text: text not in {".", ".."})
PATH = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)


class TestNames:
    @pytest.mark.parametrize("name", ["a b", "q\"uo'te", "new\nline", "日本/ñ", "pct%20x", "a" * 255, "x/" * 512 + "f"])
    def test_an_odd_name_is_a_path(self, name: str) -> None:
        """Spaces, quotes, newlines, percent escapes and Unicode are no obstacle."""
        assert names.why_no_path(name) == ""

    @pytest.mark.parametrize(
        "name", ["", "/a", "a//b", "a/", "a/./b", "../a", "..", "nul\0", "x" * 256, "é" * 128, "a/" * 2048, "\ud800"]
    )
    def test_a_name_that_cannot_be_a_path_is_told_why(self, name: str) -> None:
        """Empty and dot segments, NUL, long components and long paths have a reason."""
        assert names.why_no_path(name)

    def test_a_flat_prefix_is_a_string(self) -> None:
        """/data takes /data2 as well; /data/ does not."""
        assert names.taken("/data", "data2/x", hierarchical=False)
        assert not names.taken("/data/", "data2/x", hierarchical=False)

    def test_a_hierarchical_prefix_is_a_directory(self) -> None:
        """/data takes what is under data/ and nothing beside it."""
        assert names.taken("/data", "data/x", hierarchical=True)
        assert not names.taken("/data", "data2/x", hierarchical=True)

    def test_the_documented_overlap(self) -> None:
        """/data and /data2 overlap on a flat namespace and not on a hierarchical one."""
        assert names.overlap(["/data", "/data2"], hierarchical=False) == ("/data", "/data2")
        assert names.overlap(["/data", "/data2"], hierarchical=True) is None

    @given(st.lists(PATH.map(lambda path: "/" + path), min_size=2, max_size=4), PATH, st.booleans())
    def test_prefixes_without_overlap_share_no_blob(self, prefixes: list[str], blob: str, hierarchical: bool) -> None:  # noqa: FBT001 - both kinds of namespace
        """If two prefixes take the same blob, they overlap."""
        takers = [prefix for prefix in prefixes if names.taken(prefix, blob, hierarchical=hierarchical)]
        if names.overlap(prefixes, hierarchical=hierarchical) is None:
            assert len(takers) <= 1


class TestMetadata:
    @given(st.sampled_from(FileKind), st.integers(0, 2**32 - 2), st.integers(0, 0o7777), st.integers(0, 2**40))
    def test_what_is_written_is_read_back(self, kind: FileKind, owner: int, mode: int, mtime_ns: int) -> None:
        """Owner, group, permissions with the sticky bit, whole seconds of mtime."""
        written = metadata.write(kind=kind, uid=owner, gid=owner, mode=mode, mtime_ns=mtime_ns)
        seen = metadata.read(written)
        assert (seen.uid, seen.gid, seen.mode) == (owner, owner, mode & 0o1777)
        assert seen.mtime_ns == mtime_ns // 10**9 * 10**9
        assert seen.kind is (FileKind.REGULAR if kind in {FileKind.OTHER, FileKind.UNREADABLE} else kind)

    @pytest.mark.parametrize(
        ("text", "mode"),
        [
            ("0644", 0o644),
            ("755", 0o755),
            ("rwxr-x--t", 0o750 | stat.S_ISVTX | 1),
            ("rw-r--r-T", 0o644 | stat.S_ISVTX),
            ("4755", 0o755),
        ],
    )
    def test_permissions_in_both_forms(self, text: str, mode: int) -> None:
        """Octal and letters; setuid is dropped."""
        assert metadata.read_permissions(text) == mode

    def test_symlinks_of_both_tools(self) -> None:
        """AzCopy's is_symlink and LustreAzureSync's ftype=LNK."""
        assert metadata.read({"is_symlink": "true"}).kind is FileKind.SYMLINK
        assert metadata.read({"Ftype": "LNK", "symlink": "to"}).target == "to"

    @pytest.mark.parametrize(
        "bad", [{"owner": "me"}, {"group": "-1"}, {"permissions": "rwxrwxrwz"}, {"modtime": "now"}]
    )
    def test_unreadable_metadata_is_an_error(self, bad: dict[str, str]) -> None:
        """A blob with it counts as an error of the import."""
        with pytest.raises(ValueError, match=r"owner|literal|permissions|time data"):
            metadata.read(bad)


def there(kind: FileKind = FileKind.REGULAR, size: int = 5, flags: int = RELEASED, uid: int = 0) -> FileInfo:
    return FileInfo(kind, size, 7 * 10**9 + 1, uid, 0, 0o644, flags)


WANT = Wanted(FileKind.REGULAR, 5, 7 * 10**9, 0, 0, 0o644)
SAME = Decision(Step.KEEP, preexisting=True)


class TestConflicts:
    @pytest.mark.parametrize("mode", Mode)
    def test_nothing_there_is_no_conflict(self, mode: Mode) -> None:
        """The file is made."""
        assert decide(None, WANT, mode) == Decision(Step.CREATE)

    @pytest.mark.parametrize("mode", Mode)
    def test_the_expected_file_is_preexisting(self, mode: Mode) -> None:
        """Same size, whole second, owner and mode, archived and clean."""
        assert decide(there(), WANT, mode) == SAME

    @pytest.mark.parametrize(
        "other", [there(size=6), there(uid=1), there(flags=DIRTY), there(flags=0), there(kind=FileKind.DIRECTORY)]
    )
    def test_fail_and_skip_leave_it(self, other: FileInfo) -> None:
        """Type, data or metadata differ, or the file is dirty or new."""
        assert decide(other, WANT, Mode.FAIL) == Decision(Step.ABORT, conflict=True)
        assert decide(other, WANT, Mode.SKIP) == Decision(Step.SKIP, conflict=True)

    def test_overwrite_if_dirty_does_not_refresh_a_clean_file(self) -> None:
        """A blob that changed behind a clean file stays unseen; only attributes are updated."""
        assert decide(there(size=6, flags=CLEAN), WANT, Mode.OVERWRITE_IF_DIRTY) == SAME
        assert decide(there(uid=9), WANT, Mode.OVERWRITE_IF_DIRTY) == Decision(Step.REFRESH, preexisting=True)

    @pytest.mark.parametrize("flags", [DIRTY, 0])
    def test_overwrite_if_dirty_replaces_what_is_dirty_or_was_not_imported(self, flags: int) -> None:
        """Deleted and imported again."""
        assert decide(there(flags=flags), WANT, Mode.OVERWRITE_IF_DIRTY) == Decision(Step.REPLACE, conflict=True)

    def test_overwrite_always_shows_changed_blobs(self) -> None:
        """A clean file whose blob changed is brought again, and a clean one whose blob did not is released."""
        assert decide(there(size=6), WANT, Mode.OVERWRITE_ALWAYS).step is Step.REPLACE
        assert decide(there(flags=CLEAN), WANT, Mode.OVERWRITE_ALWAYS) == Decision(Step.REPLACE, preexisting=True)

    def test_a_directory_is_never_a_conflict_with_a_directory(self) -> None:
        """Parents that an import made are met again by their stub."""
        want = Wanted(FileKind.DIRECTORY, 0, 0, 5, 5, 0o700)
        seen = there(kind=FileKind.DIRECTORY)
        assert decide(seen, want, Mode.FAIL) == SAME
        assert decide(seen, want, Mode.OVERWRITE_ALWAYS) == Decision(Step.REFRESH, preexisting=True)
