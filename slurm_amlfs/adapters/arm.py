"""The ARM surface of one AMLFS file system, by azure-mgmt-storagecache: the only module that imports azure.mgmt.

One call is one attempt: the SDK's own retries, redirects and polling are off, and so is its registration of resource
providers, which asks every ten seconds without end. The ARM operation behind a PUT ends when an
import has started, so nothing waits for it; `status.state` is read again later (recorded traffic: Azure-powershell
src/StorageCache recordings, ascOperations endTime before lastCompletionTime).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum, StrEnum
from functools import lru_cache
from http import HTTPStatus
from typing import TypeVar

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import (
    ContentDecodePolicy,
    CustomHookPolicy,
    ProxyPolicy,
    RequestIdPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.rest import HttpResponse
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy
from azure.mgmt.storagecache import StorageCacheManagementClient, models

from slurm_amlfs.adapters import log
from slurm_amlfs.adapters.azure_errors import translated
from slurm_amlfs.adapters.azure_transport import CountedTransport
from slurm_amlfs.adapters.repeats import Repeats
from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.endpoint import is_safe
from slurm_amlfs.domain.view import (
    ArchiveState,
    ArchiveView,
    FileSystemView,
    ImportState,
    ImportView,
)
from slurm_amlfs.errors import InvariantError, PermanentError

IMPORT_NAME = re.compile(r"[0-9a-zA-Z][-0-9a-zA-Z_]{0,78}[0-9a-zA-Z]", re.ASCII)
"""The specification's own pattern for import job names."""

_CONFLICTS = {
    Conflict.FAIL: "Fail",
    Conflict.SKIP: "Skip",
    Conflict.OVERWRITE_IF_DIRTY: "OverwriteIfDirty",
    Conflict.OVERWRITE_ALWAYS: "OverwriteAlways",
}
_AUTO_JOB_IS_OFF = {"Disabled", "Failed"}
"""status.state of an auto job that holds the slot no longer; any other, an unknown one too, is taken to hold it."""
_NOTHING_TO_CANCEL = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
"""What a cancel of something finished may be answered with; no source tells which, so what is there is looked up."""

_MOST_UNKNOWN = 100
_LONGEST_WORD = 100

_logger = logging.getLogger(__name__)

W = TypeVar("W", bound=StrEnum)


class ArmFileSystem:
    """One file system's Arm port.

    Args:
        arm_url: https://management.azure.com; http is taken on loopback only (the emulator), without credentials.
        subscription: Subscription id.
        resource_group: Resource group.
        amlfs: The AMLFS resource's name.
        credential: Makes the credential; called for https only.
        repeats: Counts the requests.

    Raises:
        PermanentError: http to another machine.
    """

    def __init__(  # noqa: PLR0913 - an address has so many parts
        self,
        arm_url: str,
        subscription: str,
        resource_group: str,
        amlfs: str,
        credential: Callable[[], TokenCredential],
        *,
        repeats: Repeats,
    ) -> None:
        plain = not arm_url.lower().startswith("https://")
        if not is_safe(arm_url):
            raise PermanentError(f"arm_url {arm_url!r} would send data in the clear; use https")
        url = arm_url.rstrip("/")
        known = _NoCredential() if plain else credential()
        self._client = StorageCacheManagementClient(
            known,
            subscription,
            url,
            policies=[
                RequestIdPolicy(),
                UserAgentPolicy("slurm-amlfs"),
                ProxyPolicy(),
                ContentDecodePolicy(),
                SansIOHTTPPolicy() if plain else ARMChallengeAuthenticationPolicy(known, f"{url}/.default"),
                CustomHookPolicy(),
            ],
            transport=CountedTransport(repeats),
        )
        self._repeats = repeats
        self._where = (resource_group, amlfs)
        self._location = ""

    def file_system(self) -> FileSystemView:
        """Read health, provisioning state and archive status.

        Raises:
            PermanentError: there is no such file system (404): the configuration names another one.
            AmlfsError: as `azure_errors.translated` says.
        """
        correlation = _Correlation()
        with self._told(f"show the file system {self._where[1]}"):
            resource = self._client.aml_filesystems.get(*self._where, raw_response_hook=correlation)
            self._location = resource.location or self._location
            return _file_system(resource, correlation.text)

    def imports(self) -> tuple[ImportView, ...]:
        """List every import job that ARM knows, all pages of them."""
        with self._told("list import jobs"):
            return tuple(_import(job, "") for job in self._client.import_jobs.list_by_aml_filesystem(*self._where))

    def auto_jobs(self) -> tuple[str, ...]:
        """Name the auto-import and auto-export jobs that hold the slot."""
        with self._told("list auto jobs"):
            exports = self._client.auto_export_jobs.list_by_aml_filesystem(*self._where)
            imports = self._client.auto_import_jobs.list_by_aml_filesystem(*self._where)
            return (*_holding("autoExport", exports), *_holding("autoImport", imports))

    def create_import(self, name: str, prefixes: Sequence[str], conflict: Conflict, max_errors: int) -> ImportView:
        """Create an import job by PUT; the same PUT again meets the first one.

        Raises:
            TemporaryError: 409, somebody holds the slot: look at what ARM lists.
            PermanentError: 400, ARM does not take these prefixes; 404, there is no such file system.
            InvariantError: the name is not of ARM's pattern.
        """
        if not IMPORT_NAME.fullmatch(name):
            raise InvariantError(f"{name!r} is no name for an import job; it has to match {IMPORT_NAME.pattern}")
        if not self._location:
            self.file_system()
        job = models.ImportJob(
            location=self._location,
            properties=models.ImportJobProperties(
                import_prefixes=list(prefixes), conflict_resolution_mode=_CONFLICTS[conflict], maximum_errors=max_errors
            ),
        )
        correlation = _Correlation()
        with self._told(f"create the import job {name}"):
            poller = self._client.import_jobs.begin_create_or_update(
                *self._where, name, job, polling=False, raw_response_hook=correlation
            )
            return _import(poller.result(), correlation.text, name)

    def cancel_import(self, name: str) -> None:
        """Ask a running import to stop. Gone or finished is success."""
        wish = models.ImportJobUpdate(properties=models.ImportJobUpdateProperties(admin_status="Cancel"))
        with self._told(f"cancel the import job {name}"):
            try:
                # No result() here and below: the request is done, and a 202 has no body that could be one.
                self._client.import_jobs.begin_update(*self._where, name, wish, polling=False)
            except HttpResponseError as error:
                if error.status_code not in _NOTHING_TO_CANCEL or self._is_running(name):
                    raise

    def delete_import(self, name: str) -> None:
        """Delete the record of a finished import. Gone is success.

        Raises:
            TemporaryError: 409, it still runs.
        """
        with self._told(f"delete the import job {name}"):
            try:
                self._client.import_jobs.begin_delete(*self._where, name, polling=False)
            except HttpResponseError as error:
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise

    def archive(self, path: str) -> str:
        """Start the archive of everything whose path begins with `path`; return the correlation id.

        Raises:
            TemporaryError: 409, somebody holds the slot.
            PermanentError: 400, ARM does not take the path; 404, there is no such file system.
        """
        info = models.AmlFilesystemArchiveInfo(filesystem_path=path)
        correlation = _Correlation()
        with self._told(f"archive {path!r}"):
            self._client.aml_filesystems.archive(*self._where, info, raw_response_hook=correlation)
        return correlation.text

    def cancel_archive(self) -> None:
        """Ask the running archive to stop. None running is success."""
        with self._told("cancel the archive"):
            try:
                self._client.aml_filesystems.cancel_archive(*self._where)
            except HttpResponseError as error:
                if error.status_code not in _NOTHING_TO_CANCEL or self._is_archiving():
                    raise

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        with translated(doing, self._repeats.spoiled):
            yield

    def _is_running(self, name: str) -> bool:
        try:
            job = self._client.import_jobs.get(*self._where, name)
        except HttpResponseError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return False
            raise
        return not _import(job, "").import_state.over

    def _is_archiving(self) -> bool:
        return any(not archive.archive_state.over for archive in self.file_system().archives)


class _NoCredential:
    """Stands where the SDK insists on a credential; the emulator asks for none."""

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        raise InvariantError(f"a token for {scopes} was asked for over http")


class _Correlation:
    """Keeps the correlation id of the answer that the SDK hands to its raw_response_hook."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, response: PipelineResponse[object, HttpResponse]) -> None:
        self.text = response.http_response.headers.get("x-ms-correlation-request-id", "")


def _file_system(resource: models.AmlFilesystem, correlation: str) -> FileSystemView:
    health, hsm = resource.health, resource.hsm
    settings = hsm.settings if hsm else None
    return FileSystemView(
        health=_text(health and health.state),
        health_text=_text(health and health.status_description),
        provisioning_state=_text(resource.provisioning_state),
        archives=tuple(_archive(archive) for archive in (hsm.archive_status if hsm else None) or ()),
        container=_text(settings and settings.container),
        correlation_id=correlation,
    )


def _archive(archive: models.AmlFilesystemArchive) -> ArchiveView:
    status = archive.status or models.AmlFilesystemArchiveStatus()
    error = " ".join(filter(None, (_text(status.error_code), _text(status.error_message))))
    return ArchiveView(
        path=_text(archive.filesystem_path),
        archive_state=_state(ArchiveState, status.state, ArchiveState.UNKNOWN),
        percent=_number(status.percent_complete),
        started=_time(status.last_started_time),
        completed=_time(status.last_completion_time),
        error=error,
    )


def _import(job: models.ImportJob, correlation: str, name: str = "") -> ImportView:
    """Read an import job. The name is the caller's where it has one: ARM's ids differ in case between list and GET."""
    properties = job.properties or models.ImportJobProperties()
    status = properties.status or models.ImportJobPropertiesStatus()
    return ImportView(
        name=name or _text(job.name) or _text(job.id).rpartition("/")[2],
        import_state=_state(ImportState, status.state, ImportState.UNKNOWN),
        prefixes=tuple(properties.import_prefixes or ()),
        provisioning_state=_text(properties.provisioning_state),
        message=_text(status.status_message),
        blobs_walked=_number(status.total_blobs_walked),
        blobs_imported=_number(status.total_blobs_imported),
        errors=_number(status.total_errors),
        conflicts=_number(status.total_conflicts),
        imported_per_second=_number(status.blobs_imported_per_second),
        started=_time(status.last_started_time),
        completed=_time(status.last_completion_time),
        correlation_id=correlation,
    )


def _holding(kind: str, jobs: Iterable[models.AutoExportJob | models.AutoImportJob]) -> Iterator[str]:
    for job in jobs:
        status = job.properties.status if job.properties else None
        if _text(status and status.state) not in _AUTO_JOB_IS_OFF:
            yield f"{kind} {_text(job.name) or _text(job.id).rpartition('/')[2]}"


def _state(words: type[W], word: object, unknown: W) -> W:
    """Read an enum word; ARM's words are compared without case, as its ids are."""
    text = _text(word).lower()
    found = next((known for known in words if known.value.lower() == text), unknown)
    if found is unknown:
        _say_unknown(words.__name__, text)
    return found


@lru_cache(maxsize=_MOST_UNKNOWN)
def _say_unknown(axis: str, word: str) -> None:
    """Log a word that is not known, or that is missing, once."""
    log.event(_logger, logging.WARNING, "unknown-word", axis=axis, word=word[:_LONGEST_WORD] or "(none)")


def _text(value: object) -> str:
    """Read a text that may be missing. The SDK hands on whatever JSON held, and its own enums are str."""
    if isinstance(value, Enum):
        value = value.value
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _time(value: object) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
