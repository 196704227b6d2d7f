"""The JSON bodies of answers, as recorded. Pure: the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from slurm_amlfs.emulator.jobs import Archive, AutoJob, AutoKind, Counts, ImportJob, Operation

Body = dict[str, object]

PROVIDER = "Microsoft.StorageCache"

LEAN_API_VERSION = "2025-07-01"
"""The last version whose recorded answers leave out importedFiles and its siblings."""

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the emulated file system is. `account` and `container` are its blobs'."""

    subscription: str
    group: str
    amlfs: str
    location: str = "eastus"
    account: str = "devstoreaccount1"
    container: str = "data"
    capacity_tib: float = 8.0

    def path(self, *, upper: bool = False) -> str:
        """Give the file system's id. Lists have the resource group in upper case, single answers do not (recorded)."""
        group = self.group.upper() if upper else self.group
        above = f"/subscriptions/{self.subscription}/resourceGroups/{group}"
        return f"{above}/providers/{PROVIDER}/amlFilesystems/{self.amlfs}"


def zulu(moment: datetime) -> str:
    """Write a time as import jobs do: 2025-09-05T20:36:38.8295295Z, seven digits of a second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def offset(moment: datetime) -> str:
    """Write a time as operations and archives do: 2026-05-12T03:55:23.032552+00:00, zeros at the end left out."""
    seconds, _, fraction = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").partition(".")
    fraction = fraction.rstrip("0")
    return f"{seconds}{'.' if fraction else ''}{fraction}+00:00"


def error(code: str, message: str) -> Body:
    """Write an error."""
    return {"error": {"code": code, "message": message}}


def import_job(place: Place, job: ImportJob, now: datetime, version: str, *, upper: bool = False) -> Body:
    """Write an import job; counters per kind only for versions after 2025-07-01."""
    status: Body = {"state": job.import_state.value}
    if job.message:
        status["statusMessage"] = job.message
    status["totalBlobsWalked"] = job.counts.walked
    if job.completed is not None or job.counts.walked:
        status["blobsWalkedPerSecond"] = job.counts.walked_per_second
    status["totalBlobsImported"] = job.counts.imported
    if version > LEAN_API_VERSION:
        status |= _by_kind(job.counts)
    if job.completed is not None or job.counts.walked:
        status["blobsImportedPerSecond"] = job.counts.imported_per_second
    status["totalErrors"] = job.counts.errors
    status["totalConflicts"] = job.counts.conflicts
    status["lastStartedTime"] = zulu(job.started)
    if job.completed is not None:
        status["lastCompletionTime"] = zulu(job.completed)
    properties = {
        "provisioningState": _provisioning(job.ready, job.gone, now),
        "importPrefixes": list(job.prefixes),
        "conflictResolutionMode": job.mode.value,
        "maximumErrors": job.max_errors,
        "adminStatus": job.admin_status,
        "status": status,
    }
    return _resource(place, "importJobs", job.name, job.location, job.tags, properties, upper=upper)


def auto_job(place: Place, job: AutoJob, now: datetime, *, upper: bool = False) -> Body:
    """Write an auto-import or auto-export job."""
    properties: Body = {"provisioningState": _provisioning(job.ready, job.gone, now)}
    if job.kind is AutoKind.IMPORT:
        properties |= {
            "autoImportPrefixes": list(job.prefixes),
            "conflictResolutionMode": job.mode.value,
            "enableDeletions": job.enable_deletions,
            "maximumErrors": job.max_errors,
        }
    else:
        properties["autoExportPrefixes"] = list(job.prefixes)
    properties["adminStatus"] = job.admin_status
    properties["status"] = _auto_import(job) if job.kind is AutoKind.IMPORT else _auto_export(job)
    return _resource(place, job.kind.value, job.name, job.location, job.tags, properties, upper=upper)


def operation(one: Operation, now: datetime) -> Body:
    """Write an ascOperation; endTime only when it has ended (recorded)."""
    body: Body = {"startTime": offset(one.started)}
    status = "InProgress"
    if one.ends is not None and one.ends <= now:
        body["endTime"] = offset(one.ends)
        status = "Failed" if one.error_code else "Succeeded"
    body["status"] = status
    body["name"] = one.id
    if status == "Failed":
        body |= error(one.error_code, one.error_message)
    return body


def file_system(place: Place, archive: Archive | None, health: tuple[str, str], *, upper: bool = False) -> Body:
    """Write the file system's resource; hsm.archiveStatus is absent until the first archive."""
    storage = (
        f"/subscriptions/{place.subscription}/resourceGroups/{place.group}/providers/Microsoft.Storage"
        f"/storageAccounts/{place.account}/blobServices/default/containers/"
    )
    hsm: Body = {
        "settings": {
            "container": storage + place.container,
            "loggingContainer": storage + "logging",
            "importPrefixesInitial": ["/"],
        }
    }
    if archive is not None:
        hsm["archiveStatus"] = [{"filesystemPath": archive.path, "status": _archive(archive)}]
    return {
        "name": place.amlfs,
        "id": place.path(upper=upper),
        "type": f"{PROVIDER}/amlFilesystems",
        "location": place.location,
        "tags": {},
        "properties": {
            "storageCapacityTiB": place.capacity_tib,
            "health": {"state": health[0], "statusDescription": health[1]},
            "provisioningState": "Succeeded",
            "clientInfo": {
                "mgsAddress": "127.0.0.1",
                "mountCommand": "mount -t lustre -o noatime,user_xattr 127.0.0.1@tcp0:/lustrefs /<local path>",
                "lustreVersion": "2.15",
            },
            "throughputProvisionedMBps": round(place.capacity_tib * 250),
            "maintenanceWindow": {"dayOfWeek": "Sunday", "timeOfDayUTC": "02:00"},
            "hsm": hsm,
            "filesystemSubnet": f"/subscriptions/{place.subscription}/resourceGroups/{place.group}/providers"
            "/Microsoft.Network/virtualNetworks/emulated/subnets/amlfs",
        },
        "sku": {"name": "AMLFS-Durable-Premium-250"},
    }


def _archive(archive: Archive) -> Body:
    status: Body = {"state": archive.archive_state.value}
    if archive.completed is not None:
        status["lastCompletionTime"] = offset(archive.completed)
    status["lastStartedTime"] = offset(archive.started)
    status["percentComplete"] = archive.percent
    if archive.error_code:
        status |= {"errorCode": archive.error_code, "errorMessage": archive.error_message}
    return status


def _by_kind(counts: Counts) -> Body:
    return {
        "importedFiles": counts.files,
        "importedDirectories": counts.directories,
        "importedSymlinks": counts.symlinks,
        "preexistingFiles": counts.preexisting_files,
        "preexistingDirectories": counts.preexisting_directories,
        "preexistingSymlinks": counts.preexisting_symlinks,
    }


def _auto_import(job: AutoJob) -> Body:
    """Recorded with lastStartedTimeUTC, unlike auto-export's lastStartedTime."""
    first, later = job.counts, job.synced
    status: Body = {"state": job.auto_state.value}
    if job.message:
        status["statusMessage"] = job.message
    status |= {
        "totalBlobsWalked": first.walked,
        "rateOfBlobWalk": first.walked_per_second,
        "totalBlobsImported": first.imported,
        "rateOfBlobImport": first.imported_per_second,
        **_by_kind(first),
        "totalErrors": first.errors,
        "totalConflicts": first.conflicts,
        "blobSyncEvents": {
            **_by_kind(later),
            "totalBlobsImported": later.imported,
            "rateOfBlobImport": later.imported_per_second,
            "totalErrors": later.errors,
            "totalConflicts": later.conflicts,
            "deletions": job.deletions,
        },
        "lastStartedTimeUTC": offset(job.started),
    }
    if job.completed is not None:
        status["lastCompletionTimeUTC"] = offset(job.completed)
    return status


def _auto_export(job: AutoJob) -> Body:
    """Recorded with lastStartedTime and lastSuccessfulIterationCompletionTime; the specification adds "UTC" to both."""
    status: Body = {"state": job.auto_state.value}
    if job.message:
        status["statusMessage"] = job.message
    status |= {
        "totalFilesExported": job.exported_files,
        "totalMiBExported": job.exported_bytes // MEBIBYTE,
        "totalFilesFailed": job.failed_files,
        "exportIterationCount": job.iterations,
        "currentIterationFilesDiscovered": 0,
        "currentIterationMiBDiscovered": 0,
        "currentIterationFilesExported": 0,
        "currentIterationMiBExported": 0,
        "currentIterationFilesFailed": 0,
    }
    if job.iteration_completed is not None:
        status["lastSuccessfulIterationCompletionTime"] = offset(job.iteration_completed)
    status["lastStartedTime"] = offset(job.started)
    if job.completed is not None:
        status["lastCompletionTime"] = offset(job.completed)
    return status


def _provisioning(ready: datetime, gone: datetime | None, now: datetime) -> str:
    if gone is not None:
        return "Deleting"
    return "Creating" if ready > now else "Succeeded"


def _resource(  # noqa: PLR0913, PLR0917 - the six parts of an ARM resource
    place: Place, kind: str, name: str, location: str, tags: dict[str, str], properties: Body, *, upper: bool
) -> Body:
    body: Body = {
        "name": name,
        "id": f"{place.path(upper=upper)}/{kind}/{name}",
        "type": f"{PROVIDER}/amlFilesystems/{kind}",
        "location": location,
    }
    if tags:
        body["tags"] = tags
    return body | {"properties": properties}
