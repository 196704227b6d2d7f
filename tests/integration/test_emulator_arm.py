"""The emulated ARM as the real azure-mgmt-storagecache sees it, over HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.mgmt.storagecache.models import (
    AutoExportJob,
    AutoExportJobProperties,
    AutoExportJobUpdate,
    AutoExportJobUpdateProperties,
    AutoImportJob,
    AutoImportJobProperties,
    ImportJobUpdate,
    ImportJobUpdateProperties,
)
from emulator_bed import FILE_SYSTEM, PLACE, SUBSCRIPTION, VERSION, Bed, bed, raw, until

from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.emulator.rates import Rates

__all__ = ["bed"]

pytestmark = pytest.mark.integration


class TestImportJobs:
    def test_create_poll_list_delete(self, bed: Bed) -> None:
        """The whole life, with the ids, types and locations of the recorded answers."""
        bed.put("run7/a b", "run7/new\nline", "run70/x", "other/y")
        created = bed.create("job-1", "/run7/")
        assert created.location == "canadacentral"
        assert created.type == "Microsoft.StorageCache/amlFilesystems/importJobs"
        done = bed.ended("job-1").properties
        assert (done.provisioning_state, done.status.state) == ("Succeeded", "Completed")
        assert (done.status.total_blobs_walked, done.status.imported_files) == (2, 2)
        assert done.status.last_completion_time > done.status.last_started_time
        assert bed.emulator.hsm.look("run7/new\nline") is not None
        assert bed.emulator.hsm.look("run70/x") is None
        (listed,) = bed.arm.import_jobs.list_by_aml_filesystem(*PLACE)
        assert "/resourceGroups/LAB-1/" in listed.id
        assert listed.id.lower() == created.id.lower()
        bed.arm.import_jobs.begin_delete(*PLACE, "job-1").result()
        assert list(bed.arm.import_jobs.list_by_aml_filesystem(*PLACE)) == []
        bed.arm.import_jobs.begin_delete(*PLACE, "job-1").result()

    def test_the_answer_to_put_is_the_recorded_one(self, bed: Bed) -> None:
        """201, Azure-AsyncOperation with four long arguments, neither Retry-After nor Location, the ids and limits."""
        body = json.dumps({"location": "Canada Central", "properties": {"importPrefixes": ["/p"]}})
        status, headers, answer = raw(bed, "PUT", f"{FILE_SYSTEM}/importJobs/j1{VERSION}", body)
        assert (status, answer["properties"]["provisioningState"]) == (201, "Creating")
        url = headers["Azure-AsyncOperation"]
        assert headers["x-ms-request-id"] in url
        assert len(url) > 3000
        assert "Retry-After" not in headers
        assert "Location" not in headers
        assert headers["x-ms-ratelimit-remaining-subscription-writes"] == "799"
        assert headers["x-ms-correlation-request-id"] in headers["x-ms-routing-request-id"]
        path = url.removeprefix(bed.emulator.url)
        assert raw(bed, "GET", path)[2]["status"] in {"InProgress", "Succeeded"}
        assert raw(bed, "GET", path.partition("&h=")[0])[0] == 400

    def test_the_operation_ends_when_the_import_has_only_started(self, bed: Bed) -> None:
        """Succeeded, and status.state still InProgress."""
        bed.put("a")
        bed.control.stall("import")
        job = bed.create("job-1")
        assert (job.properties.provisioning_state, job.properties.status.state) == ("Succeeded", "InProgress")
        bed.control.let_go()
        assert bed.ended("job-1").properties.status.state == "Completed"

    def test_a_second_action_is_refused_whatever_it_is(self, bed: Bed) -> None:
        """Import, archive and both auto jobs share one slot."""
        bed.control.stall("import")
        bed.create("job-1")
        auto_import = AutoImportJob(location="x", properties=AutoImportJobProperties())
        auto_export = AutoExportJob(location="x", properties=AutoExportJobProperties())
        tries: list[Callable[[], object]] = [
            lambda: bed.create("job-2"),
            lambda: bed.archive("/"),
            lambda: bed.arm.auto_import_jobs.begin_create_or_update(*PLACE, "ai", auto_import),
            lambda: bed.arm.auto_export_jobs.begin_create_or_update(*PLACE, "ae", auto_export),
        ]
        for one in tries:
            with pytest.raises(ResourceExistsError) as refused:
                one()
            assert (refused.value.status_code, refused.value.error.code) == (409, "Conflict")
        with pytest.raises(ResourceExistsError):
            bed.arm.import_jobs.begin_delete(*PLACE, "job-1").result()
        bed.control.let_go()
        bed.ended("job-1")
        bed.create("job-2")
        bed.ended("job-2")
        assert bed.control.journal().most_at_once == 1

    def test_created_twice_it_meets_itself(self, bed: Bed) -> None:
        """The same values: the existing job. Other values: refused."""
        bed.create("job-1", "/a")
        bed.ended("job-1")
        assert bed.create("job-1", "/a").properties.status.state == "Completed"
        assert len(bed.control.imports()) == 1
        with pytest.raises(ResourceExistsError):
            bed.create("job-1", "/b")

    def test_overlap_fails_the_job_and_frees_the_slot(self, bed: Bed) -> None:
        """The request is taken, the job fails."""
        bed.create("job-1", "/data", "/data2")
        status = bed.ended("job-1").properties.status
        assert status.state == "Failed"
        assert "overlap" in status.status_message
        bed.create("job-2", "/data")

    def test_cancel(self, bed: Bed) -> None:
        """Cancelling, then Canceled; what was imported stays, the slot is free."""
        bed.put("a", "b")
        bed.control.stall("import")
        bed.create("job-1")
        update = ImportJobUpdate(properties=ImportJobUpdateProperties(admin_status="Cancel"))
        poller = bed.arm.import_jobs.begin_update(*PLACE, "job-1", update)
        assert bed.arm.import_jobs.get(*PLACE, "job-1").properties.status.state == "Cancelling"
        poller.result()
        job = bed.ended("job-1")
        assert (job.properties.status.state, job.properties.admin_status) == ("Canceled", "Cancel")
        bed.control.let_go()
        bed.create("job-2")
        assert bed.ended("job-2").properties.status.state == "Completed"

    def test_the_marker_is_in_the_root_meanwhile(self, bed: Bed) -> None:
        """IMPORT_InProgress.<start> during the import, gone after success, IMPORT_Failed.<start> after a failure."""

        def markers() -> list[str]:
            return [entry.name for entry in os.scandir(bed.emulator.hsm.tree.root) if entry.name.startswith("IMPORT_")]

        bed.put("a")
        bed.control.stall("import")
        bed.create("job-1")
        (marker,) = until(markers)
        assert marker.startswith("IMPORT_InProgress.")
        bed.control.let_go()
        bed.ended("job-1")
        assert markers() == []
        bed.control.set(Fault(Name.FAIL, "import"))
        bed.create("job-2")
        assert bed.ended("job-2").properties.status.state == "Failed"
        assert [name.split(".")[0] for name in markers()] == ["IMPORT_Failed"]

    def test_unknown_names_are_404(self, bed: Bed) -> None:
        """A job, a file system, a group, a subscription, a path."""
        for group, fs in ((PLACE[0], PLACE[1]), (PLACE[0], "nofs"), ("nogroup", PLACE[1])):
            with pytest.raises(ResourceNotFoundError):
                bed.arm.import_jobs.get(group, fs, "nojob")
        assert raw(bed, "GET", FILE_SYSTEM.replace(SUBSCRIPTION, "other") + VERSION)[0] == 404
        assert raw(bed, "GET", "/elsewhere" + VERSION)[2]["error"]["code"] == "InvalidResourceType"
        assert raw(bed, "GET", FILE_SYSTEM)[2]["error"]["code"] == "MissingApiVersionParameter"


class TestArchive:
    def test_only_what_changed_goes_out(self, bed: Bed) -> None:
        """200 and nothing; the status is a list of one; metadata and stubs as documented."""
        assert bed.arm.aml_filesystems.get(*PLACE).properties.hsm.archive_status is None
        bed.write("jobs/7/out")
        bed.write("other")
        bed.archive("/jobs/7")
        assert bed.archive_status().state in {"FSScanInProgress", "InProgress", "Completed"}
        status = bed.archived()
        assert (status.state, status.percent_complete) == ("Completed", 100)
        assert (bed.blobs / "jobs/7/out").read_bytes() == b"result"
        assert not (bed.blobs / "other").exists()
        seen = json.loads(os.getxattr(bed.blobs / "jobs/7/out", "user.amlfs"))
        assert (seen["owner"], seen["group"], seen["permissions"]) == ("1000", "100", "0640")
        assert json.loads(os.getxattr(bed.blobs / "jobs/7", "user.amlfs"))["hdi_isfolder"] == "true"
        first = status.last_started_time
        bed.archive("/jobs/7")
        again = bed.archived()
        assert again.last_started_time > first

    def test_cancel(self, bed: Bed) -> None:
        """Cancelling, then Canceled; without an archive it is a success too."""
        bed.arm.aml_filesystems.cancel_archive(*PLACE)
        bed.write("a")
        bed.control.stall("archive")
        bed.archive("/")
        bed.arm.aml_filesystems.cancel_archive(*PLACE)
        assert bed.archive_status().state == "Cancelling"
        assert bed.archived().state == "Canceled"
        assert not (bed.blobs / "a").exists()

    def test_early(self, bed: Bed) -> None:
        """Completed, and the file is not there yet."""
        bed.write("a")
        bed.emulator.engine.set_rates(Rates(archive_overhead_seconds=0.0, archive_files_per_second=2.0))
        bed.write("b")
        bed.control.set(Fault(Name.EARLY))
        bed.archive("/")
        assert bed.archived().state == "Completed"
        assert not all((bed.blobs / name).exists() for name in ("a", "b"))
        until(lambda: all((bed.blobs / name).exists() for name in ("a", "b")))

    def test_a_file_that_cannot_be_exported_fails_it(self, bed: Bed) -> None:
        """With errorCode and errorMessage; the others go out."""
        bed.write("good")
        bed.write("bad")
        bed.control.set(Fault(Name.PARTIAL, "archive", blobs=("bad",)))
        bed.archive("/")
        status = bed.archived()
        assert (status.state, "/bad" in status.error_message) == ("Failed", True)
        assert (bed.blobs / "good").exists()


class TestAutoJobs:
    def test_auto_export_goes_on_until_it_is_disabled(self, bed: Bed) -> None:
        """It holds the slot, exports in iterations, is disabled, is deleted."""
        job = AutoExportJob(location="x", properties=AutoExportJobProperties(auto_export_prefixes=["/out"]))
        bed.arm.auto_export_jobs.begin_create_or_update(*PLACE, "nightly", job).result()
        bed.write("out/1")
        until((bed.blobs / "out/1").exists)
        with pytest.raises(ResourceExistsError):
            bed.create("job-1")
        update = AutoExportJobUpdate(properties=AutoExportJobUpdateProperties(admin_status="Disable"))
        bed.arm.auto_export_jobs.begin_update(*PLACE, "nightly", update).result()

        def disabled() -> bool:
            status = bed.arm.auto_export_jobs.get(*PLACE, "nightly").properties.status
            return bool(status.state == "Disabled" and status.total_files_exported == 1)

        until(disabled)
        bed.create("job-1")
        bed.arm.auto_export_jobs.begin_delete(*PLACE, "nightly").result()
        assert list(bed.arm.auto_export_jobs.list_by_aml_filesystem(*PLACE)) == []

    def test_auto_import_follows_the_container(self, bed: Bed) -> None:
        """New blobs come, deleted ones go if asked; an enabled job can be deleted (recorded)."""
        properties = AutoImportJobProperties(enable_deletions=True, conflict_resolution_mode="Skip")
        job = AutoImportJob(location="x", properties=properties)
        bed.put("a")
        bed.arm.auto_import_jobs.begin_create_or_update(*PLACE, "follow", job).result()
        until(lambda: bed.emulator.hsm.look("a"))
        bed.put("b")
        until(lambda: bed.emulator.hsm.look("b"))
        (bed.blobs / "a").unlink()
        until(lambda: bed.emulator.hsm.look("a") is None)
        bed.arm.auto_import_jobs.begin_delete(*PLACE, "follow").result()
        assert list(bed.arm.auto_import_jobs.list_by_aml_filesystem(*PLACE)) == []
        until(lambda: bed.control.journal().actions[-1].outcome == "Disabled")
