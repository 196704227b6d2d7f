"""An emulator in this process, with a folder for its container, and the clients that look at it."""

# ruff: noqa: ANN401 - the SDK's models, as it types them

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.storagecache import StorageCacheManagementClient
from azure.mgmt.storagecache.models import AmlFilesystemArchiveInfo, ImportJob, ImportJobProperties

from slurm_amlfs.emulator.assembly import Emulator, Settings, running
from slurm_amlfs.emulator.control import Control
from slurm_amlfs.emulator.rates import Rates

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
PLACE = ("Lab-1", "scratch")
OVER = {"Completed", "CompletedPartial", "Failed", "Canceled"}
RATES = Rates(
    import_overhead_seconds=0.05,
    operation_seconds=0.1,
    cancel_seconds=0.2,
    archive_overhead_seconds=0.05,
    auto_interval_seconds=0.05,
)


class NoCredential:
    """ARM on loopback asks for none; the SDK wants one."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Give any token."""
        return AccessToken("none", int(time.time()) + 3600)


def client(url: str) -> StorageCacheManagementClient:
    """Make the SDK's client; its own retries off, so that each fault is seen."""
    return StorageCacheManagementClient(
        NoCredential(),
        SUBSCRIPTION,
        base_url=url,
        authentication_policy=SansIOHTTPPolicy(),
        polling_interval=0.05,
        retry_total=0,
    )


def until(seen: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Look until something is seen."""
    end = time.monotonic() + seconds
    while not (found := seen()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return found


@dataclass
class Bed:
    """An emulator, its blobs, and both clients."""

    emulator: Emulator
    arm: StorageCacheManagementClient
    control: Control
    blobs: Path

    def put(self, *names: str) -> None:
        """Make blobs of five bytes."""
        for name in names:
            path = self.blobs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"12345")

    def create(self, name: str, *prefixes: str, **options: Any) -> Any:
        """Create an import job and wait for its operation."""
        properties = ImportJobProperties(import_prefixes=list(prefixes) or ["/"], **options)
        job = ImportJob(location="Canada Central", properties=properties)
        return self.arm.import_jobs.begin_create_or_update(*PLACE, name, job).result()

    def ended(self, name: str) -> Any:
        """Wait for an import's end."""

        def look() -> Any:
            job = self.arm.import_jobs.get(*PLACE, name)
            return job if job.properties.status.state in OVER else None

        return until(look)

    def archived(self) -> Any:
        """Wait for an archive's end; give its status."""

        def look() -> Any:
            status = self.archive_status()
            return status if status.state in OVER else None

        return until(look)

    def archive_status(self) -> Any:
        """Read the status of the latest archive."""
        (one,) = self.arm.aml_filesystems.get(*PLACE).properties.hsm.archive_status
        return one.status

    def write(self, path: str, data: bytes = b"result") -> None:
        """Write a file on the emulated Lustre."""
        hsm = self.emulator.hsm
        parent = path.rpartition("/")[0]
        if parent and hsm.look(parent) is None:
            hsm.add_directory(parent, 0, 0, 0o755)
        fd = (
            hsm.files.open(path, os.O_WRONLY)
            if hsm.look(path)
            else hsm.files.create(path, os.O_WRONLY, 0o640, 1000, 100)
        )
        hsm.files.write(fd, data, 0)
        hsm.files.release(fd)

    def archive(self, path: str) -> None:
        """Start an archive."""
        self.arm.aml_filesystems.archive(*PLACE, AmlFilesystemArchiveInfo(filesystem_path=path))


def settings(folder: Path, **options: Any) -> Settings:
    """Give the settings of all tests here."""
    return Settings(
        folder=folder / "state",
        contents=folder / "blobs",
        subscription=SUBSCRIPTION,
        resource_group=PLACE[0],
        amlfs=PLACE[1],
        location="Canada Central",
        rates=RATES,
        **options,
    )


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running(settings(tmp_path)) as emulator, client(emulator.url) as arm:
        yield Bed(emulator, arm, Control(emulator.url), tmp_path / "blobs")


def raw(bed: Bed, method: str, path: str, body: str = "") -> tuple[int, http.client.HTTPMessage, Any]:
    """Speak HTTP without the SDK."""
    connection = http.client.HTTPConnection(bed.emulator.url.removeprefix("http://"), timeout=10)
    connection.request(method, path, body or None)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, response.headers, json.loads(data) if data else None


FILE_SYSTEM = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{PLACE[0]}"
    f"/providers/Microsoft.StorageCache/amlFilesystems/{PLACE[1]}"
)
VERSION = "?api-version=2026-08-01"
