"""Which operation a request is for. Pure.

ARM compares the words of a path without case; the paths are the specification's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FILE_SYSTEMS = (
    r"/subscriptions/(?P<subscription>[^/]+)(/resourceGroups/(?P<group>[^/]+))?/providers/Microsoft\.StorageCache"
)
_WORDS = re.IGNORECASE
_RESOURCE = re.compile(
    _FILE_SYSTEMS + r"/amlFilesystems(/(?P<amlfs>[^/]+)(/(?P<kind>[^/]+)(/(?P<name>[^/]+))?)?)?/?", _WORDS
)
_OPERATION = re.compile(_FILE_SYSTEMS + r"/locations/(?P<location>[^/]+)/ascOperations/(?P<name>[^/]+)", _WORDS)

COLLECTIONS = ("importJobs", "autoImportJobs", "autoExportJobs")
ACTIONS = ("archive", "cancelArchive")
JOB_METHODS = frozenset({"GET", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is for. `operation` is like "importJobs.put"; it names requests in faults and in the journal."""

    operation: str
    subscription: str = ""
    group: str = ""
    amlfs: str = ""
    kind: str = ""
    name: str = ""


UNKNOWN = Target("unknown")


def route(method: str, path: str) -> Target:
    """Find a request's target; UNKNOWN when there is none."""
    found = _OPERATION.fullmatch(path)
    if found and method == "GET":
        return Target("ascOperations.get", found["subscription"], name=found["name"])
    found = _RESOURCE.fullmatch(path)
    if not found:
        return UNKNOWN
    subscription, group, amlfs = found["subscription"], found["group"] or "", found["amlfs"] or ""
    kind, name = _spelled(found["kind"] or ""), found["name"] or ""
    operation = _operation(method, group, amlfs, kind, name)
    return Target(operation, subscription, group, amlfs, kind, name) if operation else UNKNOWN


def _operation(method: str, group: str, amlfs: str, kind: str, name: str) -> str:  # noqa: PLR0911 - a table
    if not amlfs:
        return "amlFilesystems.list" if method == "GET" else ""
    if not group:
        return ""
    if not kind:
        return "amlFilesystems.get" if method == "GET" else ""
    if kind in ACTIONS:
        return f"{kind}.post" if method == "POST" and not name else ""
    if kind not in COLLECTIONS:
        return ""
    if not name:
        return f"{kind}.list" if method == "GET" else ""
    return f"{kind}.{method.lower()}" if method in JOB_METHODS else ""


def _spelled(kind: str) -> str:
    for word in (*COLLECTIONS, *ACTIONS):
        if word.lower() == kind.lower():
            return word
    return kind
