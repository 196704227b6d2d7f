"""Names, metadata, conflicts, routes, checks, bodies and URLs of the emulated ARM: values in, values out."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_lustre import CLEAN, DIRTY, LONG_AGO, RELEASED

from slurm_amlfs.domain.view import ArchiveState, FileKind, ImportState
from slurm_amlfs.emulator import bodies, checks, metadata, names, routes, signing
from slurm_amlfs.emulator.conflict import Decision, Mode, Step, Wanted, decide
from slurm_amlfs.emulator.jobs import Archive, Counts, ImportJob, Operation
from slurm_amlfs.emulator.refusal import RefusalError
from slurm_amlfs.emulator.throttle import Limit, Throttle
from slurm_amlfs.emulator.tree import FileInfo

SEGMENT = st.text("ab1.", min_size=1, max_size=3).filter(lambda text: text not in {".", ".."})
PATH = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
NOW = datetime(2026, 5, 12, 3, 55, 23, 32552, tzinfo=UTC)
PLACE = bodies.Place("sub", "Group-1", "fs1")


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
        assert seen.kind is (FileKind.REGULAR if kind is FileKind.OTHER else kind)

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


BASE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.StorageCache/amlFilesystems/f"


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path", "operation"),
        [
            ("GET", BASE, "amlFilesystems.get"),
            ("GET", BASE + "/importJobs", "importJobs.list"),
            ("PUT", BASE + "/importJobs/j1", "importJobs.put"),
            ("PATCH", BASE + "/importjobs/j1", "importJobs.patch"),
            ("DELETE", BASE.upper() + "/IMPORTJOBS/j1", "importJobs.delete"),
            ("POST", BASE + "/archive", "archive.post"),
            ("POST", BASE + "/cancelArchive", "cancelArchive.post"),
            ("GET", BASE + "/autoExportJobs", "autoExportJobs.list"),
            ("GET", "/subscriptions/s/providers/Microsoft.StorageCache/amlFilesystems", "amlFilesystems.list"),
            (
                "GET",
                "/subscriptions/s/providers/Microsoft.StorageCache/locations/l/ascOperations/o",
                "ascOperations.get",
            ),
            ("GET", BASE + "/archive", "unknown"),
            ("POST", BASE + "/importJobs/j1", "unknown"),
            ("GET", "/", "unknown"),
        ],
    )
    def test_operations(self, method: str, path: str, operation: str) -> None:
        """Words are compared without case, as ARM does."""
        assert routes.route(method, path).operation == operation


class TestChecks:
    def test_the_recorded_body(self) -> None:
        """Defaults are those of the recorded answer; the location is normalised."""
        wish = checks.import_wish("j1", {"location": "Canada Central", "properties": {"importPrefixes": ["/p"]}})
        assert (wish.location, wish.prefixes, wish.mode, wish.max_errors) == ("canadacentral", ("/p",), Mode.FAIL, 0)

    @pytest.mark.parametrize("name", ["a", "-a", "a-", "a" * 81, "a.b", "a b", "é1"])
    def test_bad_names(self, name: str) -> None:
        """2 to 80 letters, digits, hyphens, underscores, beginning and ending with a letter or digit."""
        with pytest.raises(RefusalError) as refused:
            checks.name(name)
        assert refused.value.status == 400

    @pytest.mark.parametrize("name", ["ab", "a" * 80, "a-_b"])
    def test_good_names(self, name: str) -> None:
        """The limits themselves are allowed."""
        assert checks.name(name) == name

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "LocationRequired"),
            ({"location": "x", "extra": 1}, "InvalidRequestContent"),
            ({"location": "x", "properties": {"extra": 1}}, "InvalidRequestContent"),
            ({"location": "x", "properties": {"maximumErrors": -2}}, "InvalidParameter"),
            ({"location": "x", "properties": {"maximumErrors": 2**31}}, "InvalidParameter"),
            ({"location": "x", "properties": {"maximumErrors": True}}, "InvalidParameter"),
            ({"location": "x", "properties": {"importPrefixes": "/"}}, "InvalidParameter"),
            ({"location": "x", "properties": {"conflictResolutionMode": "Never"}}, "InvalidParameter"),
        ],
    )
    def test_bad_bodies(self, body: dict[str, object], code: str) -> None:
        """Each has its code."""
        with pytest.raises(RefusalError) as refused:
            checks.import_wish("j1", body)
        assert refused.value.code == code

    @pytest.mark.parametrize("text", [None, "", "latest", "2026-1-1"])
    def test_api_version_is_required(self, text: str | None) -> None:
        """As for every ARM request."""
        with pytest.raises(RefusalError):
            checks.api_version(text)

    @pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff"])
    def test_content_that_is_no_object(self, body: bytes) -> None:
        """Refused with 400."""
        with pytest.raises(RefusalError):
            checks.parsed(body)


JOB = ImportJob("j1", "eastus", ("/p",), Mode.FAIL, 0, NOW, NOW + timedelta(seconds=3))


class TestBodies:
    def test_the_recorded_shape_of_a_new_import(self) -> None:
        """Field by field as recorded for api-version 2025-07-01."""
        body = bodies.import_job(PLACE, JOB, NOW, "2025-07-01")
        assert body == {
            "name": "j1",
            "id": "/subscriptions/sub/resourceGroups/Group-1/providers/Microsoft.StorageCache/amlFilesystems/fs1"
            "/importJobs/j1",
            "type": "Microsoft.StorageCache/amlFilesystems/importJobs",
            "location": "eastus",
            "properties": {
                "provisioningState": "Creating",
                "importPrefixes": ["/p"],
                "conflictResolutionMode": "Fail",
                "maximumErrors": 0,
                "adminStatus": "Active",
                "status": {
                    "state": "InProgress",
                    "totalBlobsWalked": 0,
                    "totalBlobsImported": 0,
                    "totalErrors": 0,
                    "totalConflicts": 0,
                    "lastStartedTime": "2026-05-12T03:55:23.0325520Z",
                },
            },
        }

    def test_lists_have_the_group_in_upper_case(self) -> None:
        """And single answers do not."""
        assert "/resourceGroups/GROUP-1/" in str(bodies.import_job(PLACE, JOB, NOW, "2026-08-01", upper=True)["id"])

    def test_an_operation_has_an_end_only_when_it_has_ended(self) -> None:
        """In progress there is no endTime."""
        one = Operation("id", NOW, NOW + timedelta(seconds=1))
        assert bodies.operation(one, NOW) == {
            "startTime": "2026-05-12T03:55:23.032552+00:00",
            "status": "InProgress",
            "name": "id",
        }
        assert bodies.operation(one, NOW + timedelta(seconds=1))["status"] == "Succeeded"

    def test_archive_status_is_absent_before_the_first(self) -> None:
        """And a list of one afterwards."""
        before = bodies.file_system(PLACE, None, ("Available", "x"))["properties"]
        archive = Archive("/a", LONG_AGO, ArchiveState.IN_PROGRESS, 40)
        after = bodies.file_system(PLACE, archive, ("Available", "x"))["properties"]
        assert isinstance(before, dict)
        assert isinstance(after, dict)
        assert "archiveStatus" not in before["hsm"]
        assert after["hsm"]["archiveStatus"] == [
            {
                "filesystemPath": "/a",
                "status": {
                    "state": "InProgress",
                    "lastStartedTime": "2026-01-02T03:04:05+00:00",
                    "percentComplete": 40,
                },
            }
        ]

    def test_all_counters_are_shown(self) -> None:
        """Versions after 2025-07-01 have them per kind."""
        counts = Counts(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
        job = ImportJob("j", "l", (), Mode.SKIP, 0, NOW, NOW, import_state=ImportState.CANCELED, counts=counts)
        properties = bodies.import_job(PLACE, job, NOW, "2026-08-01")["properties"]
        assert isinstance(properties, dict)
        numbers = [value for value in properties["status"].values() if isinstance(value, int)]
        assert sorted(numbers) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13]


class TestSigning:
    def test_all_four_arguments_have_to_come_back(self) -> None:
        """Losing or changing any of t, c, s and h is noticed."""
        args = signing.signed(b"secret", "/op", "2026-08-01", NOW)
        url = signing.address("http://h", "/op", args)
        query = dict(parse_qsl(urlsplit(url).query))
        assert len(url) > 3000
        assert signing.genuine(b"secret", "/op", query)
        for key in ("t", "c", "s", "h"):
            assert not signing.genuine(b"secret", "/op", {one: text for one, text in query.items() if one != key})
            assert not signing.genuine(b"secret", "/op", query | {key: query[key][:-1]})

    def test_ticks_are_those_of_dot_net(self) -> None:
        """2025-09-05T20:36:38.8761185Z was recorded as 638927013988761185."""
        assert signing.ticks(datetime(2025, 9, 5, 20, 36, 38, 876118, tzinfo=UTC)) == 638927013988761180


class TestThrottle:
    def test_headers_count_down_from_the_recorded_sizes(self) -> None:
        """1099 and 16499 after the first read."""
        throttle = Throttle(clock=lambda: 0.0)
        assert throttle.draw("GET") == 0
        assert throttle.headers("GET") == {
            "x-ms-ratelimit-remaining-subscription-reads": "1099",
            "x-ms-ratelimit-remaining-subscription-global-reads": "16499",
        }

    def test_an_empty_bucket_says_how_long_to_wait_and_fills_again(self) -> None:
        """One token a second."""
        now = [0.0]
        throttle = Throttle({kind: Limit(1, 1.0) for kind in ("reads", "writes", "deletes")}, lambda: now[0])
        assert [throttle.draw("PUT"), throttle.draw("PUT"), throttle.draw("DELETE")] == [0, 1, 0]
        now[0] = 1.0
        assert throttle.draw("PUT") == 0
