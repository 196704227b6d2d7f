"""Who makes a call on the mount, and what a file's mode bits let them do. Linux checks all calls but those of `lfs`."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

READ, WRITE = 4, 2

ROOT_UID = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """A process on the mount, as FUSE tells it. `pid` is a thread's, 0 from another PID namespace."""

    uid: int
    gid: int
    pid: int

    def may(self, seen: os.stat_result, wanted: int) -> bool:
        """Say whether the file's mode bits allow READ or WRITE (generic_permission)."""
        if self.uid == ROOT_UID:
            return True
        if self.uid == seen.st_uid:
            return bool(stat.S_IMODE(seen.st_mode) >> 6 & wanted)
        if self.gid == seen.st_gid or seen.st_gid in self._groups():
            return bool(stat.S_IMODE(seen.st_mode) >> 3 & wanted)
        return bool(seen.st_mode & wanted)

    def _groups(self) -> frozenset[int]:
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return frozenset()
        for line in status.splitlines():
            if line.startswith("Groups:"):
                return frozenset(int(word) for word in line.split()[1:])
        return frozenset()
