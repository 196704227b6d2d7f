"""What an export still has to archive, cut so that no archive holds the slot for much longer than a turn.

An archive takes one path (amlFilesystems/archive, `filesystemPath`). The documents call it a path in one place and the
beginning of names in another, so it is cut at directories only, where both mean the same.
"""

from __future__ import annotations

from slurm_amlfs.domain.cutting import Cut, Cutter
from slurm_amlfs.domain.prefix import Namespace

FILES_PER_SECOND = 500.0
BYTES_PER_SECOND = 5e9
"""How fast an archive is taken to go, for its order and its size only. The data mover's bound is about 7.5 GB/s
(azure-managed-lustre tiered-checkpoints.md); a documented restore of many files went at 186 a second."""

_FEWEST_FILES = 500
"""Nothing is cut smaller than this by the number of its files: a second of an archive."""

_MOST_PARTS = 1000


def seconds(part: Cut) -> float:
    """Give how long the slot is held for a part, beside the overhead; never nothing."""
    return max(part.blobs, 1) / FILES_PER_SECOND + part.total_bytes / BYTES_PER_SECOND


class Unarchived:
    """The files under one prefix that an archive has to take."""

    def __init__(self, namespace: Namespace, prefix: str) -> None:
        """Begin with none."""
        self._prefix = prefix
        self._files = self._total_bytes = 0
        cuts = prefix.endswith("/") or namespace is Namespace.HIERARCHICAL
        self._cutter = Cutter(Namespace.HIERARCHICAL, prefix, _FEWEST_FILES, _MOST_PARTS) if cuts else None

    def take(self, path: str, size_bytes: int) -> None:
        """Count a file, by its path on Lustre."""
        self._files += 1
        self._total_bytes += size_bytes
        if self._cutter is not None:
            self._cutter.take(path[1:], size_bytes)

    def parts(self, longest_seconds: float) -> tuple[Cut, ...]:
        """Give the paths to archive, none of which should take longer; one that cannot be cut may."""
        whole = Cut(self._prefix, self._files, self._total_bytes)
        if not self._files:
            return ()
        if self._cutter is None or seconds(whole) <= longest_seconds:
            return (whole,)
        # Files of one export are much alike, so the share of files is taken for that of time.
        target = max(_FEWEST_FILES, int(self._files * longest_seconds / seconds(whole)))
        return self._cutter.parts(target) if target < self._files else (whole,)
