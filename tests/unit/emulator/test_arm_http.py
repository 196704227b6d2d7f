"""Routes, checks, bodies, URLs and throttling of the emulated ARM: values in, values out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from memory_lustre import LONG_AGO

from slurm_amlfs.domain.view import ArchiveState, ImportState
from slurm_amlfs.emulator import bodies, checks, routes, signing
from slurm_amlfs.emulator.conflict import Mode
from slurm_amlfs.emulator.jobs import Archive, Counts, ImportJob, Operation
from slurm_amlfs.emulator.refusal import RefusalError
from slurm_amlfs.emulator.throttle import Limit, Throttle

NOW = datetime(2026, 5, 12, 3, 55, 23, 32552, tzinfo=UTC)
PLACE = bodies.Place("sub", "Group-1", "fs1")

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
