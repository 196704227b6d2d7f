"""The emulator's faults as the real SDK sees them, its restart, and the emulator as a program."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ServiceRequestError, ServiceResponseError
from azure.mgmt.storagecache.models import ImportJob, ImportJobProperties
from emulator_bed import PLACE, SUBSCRIPTION, Bed, bed, client, settings, until

from slurm_amlfs.emulator.assembly import running
from slurm_amlfs.emulator.control import Control
from slurm_amlfs.emulator.faults import Fault, Name
from slurm_amlfs.errors import PermanentError

__all__ = ["bed"]

pytestmark = pytest.mark.integration


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status"),
        [
            (Fault(Name.REFUSE, "importJobs.put", times=1), 409),
            (Fault(Name.THROTTLE, "importJobs.put", times=1, retry_after=7), 429),
            (Fault(Name.THROTTLE, "importJobs.put", times=1), 429),
            (Fault(Name.ERROR, "importJobs.put", times=1, status=500), 500),
            (Fault(Name.ERROR, "importJobs.put", times=1, status=503), 503),
        ],
    )
    def test_a_request_is_answered_with_an_error_once(self, bed: Bed, fault: Fault, status: int) -> None:
        """And the next one is taken; Retry-After is there when asked for."""
        bed.control.set(fault)
        with pytest.raises(HttpResponseError) as failed:
            bed.create("job-1")
        assert failed.value.status_code == status
        assert failed.value.response is not None
        assert failed.value.response.headers.get("Retry-After") == (
            str(fault.retry_after) if fault.retry_after else None
        )
        assert failed.value.response.headers["x-ms-correlation-request-id"]
        bed.create("job-1")
        assert bed.control.journal().requests["importJobs.put", status] == 1

    @pytest.mark.parametrize(("name", "taken"), [(Name.DROP_BEFORE, False), (Name.DROP_AFTER, True)])
    def test_a_connection_is_cut(self, bed: Bed, name: Name, taken: bool) -> None:  # noqa: FBT001 - before or after
        """Before the request was taken, or after."""
        bed.control.set(Fault(name, "importJobs.put", times=1))
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            bed.create("job-1")
        assert bool(list(bed.arm.import_jobs.list_by_aml_filesystem(*PLACE))) is taken

    def test_a_slow_answer(self, bed: Bed) -> None:
        """Comes after the seconds asked for."""
        bed.control.set(Fault(Name.SLOW, "amlFilesystems.get", times=1, seconds=0.2))
        started = time.monotonic()
        bed.arm.aml_filesystems.get(*PLACE)
        assert time.monotonic() - started >= 0.2

    def test_a_failed_operation_fails_the_job(self, bed: Bed) -> None:
        """The SDK raises with status 200; the job says Failed and the slot is free."""
        bed.control.set(Fault(Name.FAIL_OPERATION, "importJobs.put", times=1))
        with pytest.raises(HttpResponseError) as failed:
            bed.create("job-1")
        assert failed.value.status_code == 200
        assert bed.ended("job-1").properties.status.state == "Failed"
        bed.create("job-2")

    def test_an_operation_that_never_ends(self, bed: Bed) -> None:
        """The job is done nevertheless, and only its status says so."""
        bed.control.set(Fault(Name.ENDLESS, "importJobs.put"))
        properties = ImportJobProperties(import_prefixes=["/"])
        poller = bed.arm.import_jobs.begin_create_or_update(
            *PLACE, "job-1", ImportJob(location="x", properties=properties), polling=False
        )
        job = bed.ended("job-1")
        assert (job.properties.provisioning_state, job.properties.status.state) == ("Creating", "Completed")
        assert poller.result().properties.provisioning_state == "Creating"

    def test_the_slot_is_released_late(self, bed: Bed) -> None:
        """Completed, and a create is still refused; then it is taken."""
        bed.control.set(Fault(Name.SLOW_RELEASE, "import", times=1, seconds=0.5))
        bed.create("job-1")
        bed.ended("job-1")
        with pytest.raises(ResourceExistsError):
            bed.create("job-2")

        def taken() -> bool:
            try:
                bed.create("job-2")
            except ResourceExistsError:
                return False
            return True

        until(taken)

    def test_partial_fail_and_maintenance(self, bed: Bed) -> None:
        """CompletedPartial with its count; Failed after N; health Maintenance."""
        bed.put("a", "b", "c")
        bed.control.set(Fault(Name.PARTIAL, "import", blobs=("b",)))
        bed.create("job-1", maximum_errors=-1)
        status = bed.ended("job-1").properties.status
        assert (status.state, status.total_errors, status.imported_files) == ("CompletedPartial", 1, 2)
        bed.create("job-2", maximum_errors=0)
        assert bed.ended("job-2").properties.status.state == "Failed"
        bed.control.let_go()
        bed.control.set(Fault(Name.MAINTENANCE))
        assert bed.arm.aml_filesystems.get(*PLACE).properties.health.state == "Maintenance"
        bed.control.let_go(Name.MAINTENANCE)
        assert bed.arm.aml_filesystems.get(*PLACE).properties.health.state == "Available"

    def test_rates_and_bad_control(self, bed: Bed) -> None:
        """Speeds change while it runs; nonsense is refused."""
        assert bed.control.set_rates(import_per_second=7.0).import_per_second == 7.0
        assert bed.control.rates().import_per_second == 7.0
        with pytest.raises(PermanentError):
            bed.control._call("PUT", "faults", b"{}")  # noqa: SLF001 - what no method of it can send


class TestRestart:
    def test_what_was_running_is_taken_up(self, tmp_path: Path) -> None:
        """An import goes on to its end, the archive's status and finished jobs stay."""
        with running(settings(tmp_path)) as emulator, client(emulator.url) as arm:
            bed = Bed(emulator, arm, Control(emulator.url), tmp_path / "blobs")
            bed.put("a", "b")
            bed.archive("/")
            bed.archived()
            bed.control.stall("import")
            bed.create("job-1")
        with running(settings(tmp_path)) as emulator, client(emulator.url) as arm:
            bed = Bed(emulator, arm, Control(emulator.url), tmp_path / "blobs")
            status = bed.ended("job-1").properties.status
            assert (status.state, status.imported_files) == ("Completed", 2)
            assert bed.archive_status().state == "Completed"

    def test_one_emulator_per_folder(self, tmp_path: Path) -> None:
        """The second is told so."""
        with (
            running(settings(tmp_path)),
            pytest.raises(PermanentError, match="another emulator"),
            running(settings(tmp_path)),
        ):
            pass

    def test_as_a_program(self, tmp_path: Path) -> None:
        """Says ready, serves the mount, ends at SIGTERM with 0 and leaves no mount."""
        mount = tmp_path / "mnt"
        blob = tmp_path / "blobs" / "dir" / "hello"
        blob.parent.mkdir(parents=True)
        blob.write_bytes(b"from blob")
        command = [sys.executable, "-m", "slurm_amlfs.emulator.program", "--port", "0", "--import-overhead", "0"]
        command += ["--folder", str(tmp_path / "state"), "--mount", str(mount), "--contents", str(tmp_path / "blobs")]
        command += ["--subscription", SUBSCRIPTION, "--resource-group", PLACE[0], "--amlfs", PLACE[1]]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            try:
                assert program.stdout is not None
                words = dict(word.partition("=")[::2] for word in program.stdout.readline().split())
                assert set(words) == {"ready", "arm", "mount"}
                with client(words["arm"]) as arm:
                    job = ImportJob(location="x", properties=ImportJobProperties(import_prefixes=["/dir"]))
                    arm.import_jobs.begin_create_or_update(*PLACE, "job-1", job).result()
                    until((mount / "dir" / "hello").exists)
                    assert (mount / "dir" / "hello").read_bytes() == b"from blob"
            finally:
                program.send_signal(signal.SIGTERM)
            assert program.wait(15) == 0
        assert str(mount) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")
