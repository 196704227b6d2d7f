"""Which paths blobs have, and which blobs a prefix takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

LONGEST_COMPONENT_BYTES = 255
"""NAME_MAX of Lustre and of Linux."""

LONGEST_PATH_BYTES = 4095
"""PATH_MAX without its closing NUL."""


def why_no_path(name: str) -> str:  # noqa: PLR0911 - one per reason
    """Say why a blob of this name cannot be a file, or "" when it can.

    A blob name is any string of up to 1,024 characters; a path is less. The service's own treatment is not
    documented; here such a blob counts as an error of the import.
    """
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        return "it is not Unicode text"
    if not raw:
        return "it is empty"
    if b"\0" in raw:
        return "it contains a NUL"
    if len(raw) > LONGEST_PATH_BYTES:
        return f"it has {len(raw)} bytes and a path at most {LONGEST_PATH_BYTES}"
    for part in raw.split(b"/"):
        if part in {b"", b".", b".."}:
            return f"it has the segment {part.decode()!r}"
        if len(part) > LONGEST_COMPONENT_BYTES:
            return f"a segment has {len(part)} bytes and a file name at most {LONGEST_COMPONENT_BYTES}"
    return ""


def normal(prefix: str) -> str:
    """Give a prefix its leading "/", which all documented examples have (whether it is required is not documented)."""
    return prefix if prefix.startswith("/") else "/" + prefix


def taken(prefix: str, name: str, *, hierarchical: bool) -> bool:
    """Say whether a prefix takes a blob (`name` without a leading "/").

    Flat: the prefix is compared with the beginning of the blob name, so /data also takes /data2. Hierarchical: it is
    the path of a directory or file (blob-integration.md, "Import prefix").
    """
    path = "/" + name
    if not hierarchical:
        return path.startswith(normal(prefix))
    folder = normal(prefix).rstrip("/")
    return path == folder or path.startswith(folder + "/")


def overlap(prefixes: Iterable[str], *, hierarchical: bool) -> tuple[str, str] | None:
    """Find two prefixes that take the same blobs; None when there are none.

    "/data and /data2 -> the import job fails because the prefixes overlap" (blob-integration.md).
    """
    for one, other in combinations([normal(prefix) for prefix in prefixes], 2):
        short, long = sorted((one, other), key=len)
        if taken(short, long[1:], hierarchical=hierarchical):
            return one, other
    return None


def lustre_prefix(path: str) -> str:
    """Turn ARM's filesystemPath ("/jobs/1") into the beginning of paths relative to the root ("jobs/1")."""
    return path.lstrip("/")
