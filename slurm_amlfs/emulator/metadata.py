"""POSIX attributes as blob metadata. Pure.

Keys and forms are AzCopy's (common/unixStatAdapter.go) and lemur's (cmd/lhsm-plugin-az-core/archive.go), which
blob-integration.md describes: owner, group, permissions, modtime, hdi_isfolder; is_symlink is AzCopy's and
ftype=LNK with symlink=TARGET is LustreAzureSync's. How the service itself writes symlinks is not documented.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from slurm_amlfs.domain.view import FileKind

FILE_MODE = 0o644
"""Permissions of a blob that says nothing about them. The service's own default is not documented."""

DIRECTORY_MODE = 0o755

KEPT_BITS = 0o1777
"""Permissions and the sticky bit; setuid and setgid are not carried (lemur masks them)."""

NOBODY = 2**32 - 1
"""(uid_t)-1: chown(2) takes it as "leave it"."""

NANOSECONDS = 1_000_000_000

OCTAL = 8

_LETTERS = "rwxrwxrwx"


@dataclass(frozen=True, slots=True)
class Posix:
    """What a blob says about its file. None where it says nothing. `mode` has permission bits only."""

    kind: FileKind = FileKind.REGULAR
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    mtime_ns: int | None = None
    target: str = ""


PLAIN = Posix()


def read(metadata: Mapping[str, str]) -> Posix:
    """Read a blob's metadata; keys are compared without case, as Azure does.

    Raises:
        ValueError: a value that cannot be read.
    """
    if not metadata:
        return PLAIN
    lower = {key.lower(): value for key, value in metadata.items()}
    kind, target = FileKind.REGULAR, ""
    if lower.get("hdi_isfolder", "").lower() == "true":
        kind = FileKind.DIRECTORY
    elif lower.get("is_symlink", "").lower() == "true":
        kind = FileKind.SYMLINK
    elif lower.get("ftype") == "LNK":
        kind, target = FileKind.SYMLINK, lower.get("symlink", "")
    return Posix(
        kind,
        read_owner(lower["owner"]) if "owner" in lower else None,
        read_owner(lower["group"]) if "group" in lower else None,
        read_permissions(lower["permissions"]) if "permissions" in lower else None,
        read_modtime(lower["modtime"]) if "modtime" in lower else None,
        target,
    )


def read_owner(text: str) -> int:
    """Read a user or group number.

    Raises:
        ValueError: not a number that a file can have.
    """
    number = int(text)
    if not 0 <= number < NOBODY:
        raise ValueError(f"owner or group {text!r} is not between 0 and {NOBODY - 1}")
    return number


def read_permissions(text: str) -> int:
    """Read "0644" or "rw-r--r--" (blob-integration.md: octal or rwxrwxrwx, the sticky bit supported).

    Raises:
        ValueError: neither of the two.
    """
    if len(text) != len(_LETTERS) or text.isdigit():
        return int(text, OCTAL) & KEPT_BITS
    mode = 0
    for place, (letter, expected) in enumerate(zip(text, _LETTERS, strict=True)):
        bit = 1 << (len(_LETTERS) - 1 - place)
        if place == len(_LETTERS) - 1 and letter in "tT":
            mode |= stat.S_ISVTX | (bit if letter == "t" else 0)
        elif letter == expected:
            mode |= bit
        elif letter != "-":
            raise ValueError(f"permissions {text!r} are neither octal nor like rwxr-xr-x")
    return mode


def read_modtime(text: str) -> int:
    """Read "2026-05-12 03:55:23 +0000" (Go's "2006-01-02 15:04:05 -0700") as nanoseconds since 1970.

    Raises:
        ValueError: not of that form.
    """
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").timestamp()) * NANOSECONDS


def write(*, kind: FileKind, uid: int, gid: int, mode: int, mtime_ns: int) -> dict[str, str]:
    """Write a file's attributes; mtime loses its fraction of a second, setuid and setgid are dropped."""
    moment = datetime.fromtimestamp(mtime_ns // NANOSECONDS, UTC)
    out = {
        "owner": str(uid),
        "group": str(gid),
        "permissions": f"{mode & KEPT_BITS:04o}",
        "modtime": moment.strftime("%Y-%m-%d %H:%M:%S +0000"),
    }
    if kind is FileKind.DIRECTORY:
        out["hdi_isfolder"] = "true"
    elif kind is FileKind.SYMLINK:
        out["is_symlink"] = "true"
    return out
