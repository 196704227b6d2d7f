"""Whether a folder is on a disk of this host: SQLite's write-ahead log needs memory that all its users share.

Over a network the log of one host is not seen whole by another (sqlite.org/wal.html), so a standby there would read,
and write, what is not so. Rollback journals are slower and right.
"""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_LOCAL = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})
_ESCAPED = re.compile(r"\\([0-7]{3})")
_MOUNT_POINT = 4


def is_local(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Say whether a folder is for certain on a file system of this host alone.

    Raises:
        OSError: the mounts cannot be read.
    """
    place = folder.resolve()
    kind, longest = "", -1
    for line in mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        point = Path(_ESCAPED.sub(lambda it: chr(int(it[1], 8)), before.split()[_MOUNT_POINT]))
        # What was mounted last covers what is below it.
        if place.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = after.split()[0], len(point.parts)
    return kind in _LOCAL
