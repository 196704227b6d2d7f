"""Read and check the bodies of requests. Pure.

Unknown properties are refused, as resource providers with a strict schema do; whether this one is strict is not
recorded. Names, enums and limits are the specification's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from slurm_amlfs.emulator.autos import AutoWish
from slurm_amlfs.emulator.conflict import Mode
from slurm_amlfs.emulator.imports import ImportWish
from slurm_amlfs.emulator.jobs import AutoKind
from slurm_amlfs.emulator.refusal import RefusalError

Json = Mapping[str, object]

NAME = re.compile(r"[0-9a-zA-Z][-0-9a-zA-Z_]{0,78}[0-9a-zA-Z]")
API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")

RESOURCE = frozenset({"location", "tags", "properties", "id", "name", "type", "systemData"})
"""A tracked resource's own properties; the read-only ones may come back as they were read."""

READ_ONLY = frozenset({"provisioningState", "status"})

IMPORT = frozenset({"importPrefixes", "conflictResolutionMode", "maximumErrors", "adminStatus"}) | READ_ONLY
AUTO = {
    AutoKind.IMPORT: frozenset(
        {"autoImportPrefixes", "conflictResolutionMode", "maximumErrors", "enableDeletions", "adminStatus"}
    )
    | READ_ONLY,
    AutoKind.EXPORT: frozenset({"autoExportPrefixes", "adminStatus"}) | READ_ONLY,
}
MOST_PREFIXES = {AutoKind.IMPORT: 100, AutoKind.EXPORT: 1}
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1

Choice = TypeVar("Choice", bound=StrEnum)


class ImportAdmin(StrEnum):
    """Wishes for an import job."""

    ACTIVE = "Active"
    CANCEL = "Cancel"


class AutoAdmin(StrEnum):
    """Wishes for an auto job."""

    ENABLE = "Enable"
    DISABLE = "Disable"


def bad(code: str, message: str) -> RefusalError:
    """Say that a request is malformed."""
    return RefusalError(400, code, message)


def parsed(body: bytes) -> Json:
    """Read a JSON object; an empty body is an empty object.

    Raises:
        RefusalError: not a JSON object.
    """
    if not body:
        return {}
    try:
        loaded = json.loads(body)
    except ValueError as error:
        raise bad(
            "InvalidRequestContent", f"The request content was invalid and could not be deserialized: {error}"
        ) from error
    if not isinstance(loaded, dict):
        raise bad("InvalidRequestContent", "The request content has to be a JSON object.")
    return loaded


def name(text: str) -> str:
    """Check a job's name: 2 to 80 of letters, digits, "-" and "_", a letter or digit at both ends."""
    if not NAME.fullmatch(text):
        raise bad(
            "InvalidResourceName", f"The name {text!r} does not match ^[0-9a-zA-Z][-0-9a-zA-Z_]{{0,78}}[0-9a-zA-Z]$."
        )
    return text


def api_version(text: str | None) -> str:
    """Check the api-version argument, which every request has to carry."""
    if text is None:
        raise bad(
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not API_VERSION.fullmatch(text):
        raise bad("InvalidApiVersionParameter", f"The api-version {text!r} is invalid.")
    return text


def location(text: str) -> str:
    """Normalise a region as ARM does: "Canada Central" becomes "canadacentral" (recorded)."""
    return text.replace(" ", "").lower()


def import_wish(job: str, body: Json) -> ImportWish:
    """Read the body of a PUT of an import job."""
    properties = _resource(body, IMPORT)
    admin = _choice(properties, "adminStatus", ImportAdmin.ACTIVE)
    return ImportWish(
        name(job),
        _location(body),
        _prefixes(properties, "importPrefixes", INT32_MAX),
        _choice(properties, "conflictResolutionMode", Mode.FAIL),
        _number(properties, "maximumErrors", INT32_MAX),
        admin.value,
        tags(body),
    )


def auto_wish(kind: AutoKind, job: str, body: Json) -> AutoWish:
    """Read the body of a PUT of an auto job."""
    properties = _resource(body, AUTO[kind])
    _choice(properties, "adminStatus", AutoAdmin.ENABLE)
    key = "autoImportPrefixes" if kind is AutoKind.IMPORT else "autoExportPrefixes"
    return AutoWish(
        kind,
        name(job),
        _location(body),
        _prefixes(properties, key, MOST_PREFIXES[kind]),
        _choice(properties, "conflictResolutionMode", Mode.FAIL),
        _number(properties, "maximumErrors", INT64_MAX),
        properties.get("enableDeletions") is True,
        tags(body),
    )


def import_patch(body: Json) -> ImportAdmin | None:
    """Read the adminStatus of a PATCH; None when it has none. Only tags and adminStatus can be changed."""
    _known(body, frozenset({"tags", "properties"}))
    properties = _object(body, "properties")
    _known(properties, frozenset({"adminStatus"}))
    return _choice(properties, "adminStatus", ImportAdmin.ACTIVE) if "adminStatus" in properties else None


def auto_patch(body: Json) -> AutoAdmin | None:
    """Read the adminStatus of a PATCH of an auto job; None when it has none."""
    _known(body, frozenset({"tags", "properties"}))
    properties = _object(body, "properties")
    _known(properties, frozenset({"adminStatus"}))
    return _choice(properties, "adminStatus", AutoAdmin.ENABLE) if "adminStatus" in properties else None


def archive_path(body: Json) -> str:
    """Read the body of archive: filesystemPath, "/" when there is none."""
    _known(body, frozenset({"filesystemPath"}))
    path = body.get("filesystemPath", "/")
    if not isinstance(path, str):
        raise bad("InvalidRequestContent", "filesystemPath has to be a string.")
    return path


def tags(body: Json) -> dict[str, str]:
    """Read the tags; none when there are none."""
    found = _object(body, "tags")
    if not all(isinstance(value, str) for value in found.values()):
        raise bad("InvalidRequestContent", "tags have to be strings.")
    return {key: str(value) for key, value in found.items()}


def _resource(body: Json, known: frozenset[str]) -> Json:
    _known(body, RESOURCE)
    properties = _object(body, "properties")
    _known(properties, known)
    return properties


def _location(body: Json) -> str:
    text = body.get("location")
    if not isinstance(text, str) or not text.strip():
        raise bad("LocationRequired", "The location property is required for this definition.")
    return location(text)


def _known(body: Json, known: frozenset[str]) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise bad(
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: Could not find member "
            f"'{unknown[0]}' on object of this type.",
        )


def _object(body: Json, key: str) -> Json:
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad("InvalidRequestContent", f"{key} has to be an object.")
    return value


def _choice(properties: Json, key: str, default: Choice) -> Choice:
    value = properties.get(key)
    if value is None:
        return default
    words = type(default)
    for one in words:
        if isinstance(value, str) and one.value.lower() == value.lower():
            return one
    raise bad("InvalidParameter", f"{key} has to be one of {', '.join(one.value for one in words)}; it is {value!r}.")


def _number(properties: Json, key: str, most: int) -> int:
    value = properties.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value <= most:
        raise bad("InvalidParameter", f"{key} has to be a whole number from -1 to {most}; it is {value!r}.")
    return value


def _prefixes(properties: Json, key: str, most: int) -> tuple[str, ...]:
    value = properties.get(key)
    if value is None:
        return ("/",)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise bad("InvalidParameter", f"{key} has to be a list of strings.")
    if len(value) > most:
        raise bad("InvalidParameter", f"{key} may have at most {most} prefixes; it has {len(value)}.")
    return tuple(value) or ("/",)
