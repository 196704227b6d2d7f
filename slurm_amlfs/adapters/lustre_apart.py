"""The Lustre port by processes apart: nothing in the daemon's own process touches a mount, so none can hang it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slurm_amlfs.adapters.apart_pool import ApartPool
from slurm_amlfs.adapters.frames import states_of, view_of_row
from slurm_amlfs.adapters.lustre_service import FIRST_FILES, MOST_FILES, TIMES
from slurm_amlfs.domain.view import FileView, HsmState, SpaceView


class LustreApart:
    """One mounted file system. Each method does what `LustreMount` says of it, and raises what that does.

    It raises a TemporaryError also when the file system does not answer in time, and when the process ended. `pool` has
    the processes.
    """

    def __init__(self, pool: ApartPool) -> None:
        """Take the processes; none is started before it is needed."""
        self.pool = pool

    def mounted(self) -> bool:
        """Say whether the mount is there."""
        return bool(self.pool.call("mounted")[1])

    def look(self, path: str) -> FileView | None:
        """Stat one path, following no link; None if it is not there."""
        return self.looks([path]).get(path)

    def looks(self, paths: Sequence[str]) -> dict[str, FileView]:
        """Stat many paths; what is not there is absent."""
        return {row[0]: view_of_row(row) for row in self.pool.call("looks", list(paths))[1]}

    def walk(self, prefix: str) -> Iterator[FileView]:
        """Stream everything that is not a directory whose path begins with `prefix`; follows no link."""
        apart, (number, rows, over) = self.pool.call("walk", prefix)
        files = FIRST_FILES
        try:
            yield from map(view_of_row, rows)
            while not over:
                files = min(files * TIMES, MOST_FILES)
                rows, over = self.pool.call("go_on", number, files, on=apart)[1]
                yield from map(view_of_row, rows)
        finally:
            if not over:
                apart.end_walk(number)

    def hsm_states(self, paths: Sequence[str]) -> dict[str, HsmState]:
        """Read the HSM state of many regular files at once; a path that is gone, or is none, is absent."""
        return states_of(self.pool.call("hsm_states", list(paths))[1])

    def restore(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Ask for the contents of released files; return those that are refused though others were taken."""
        return tuple(self.pool.call("restore", list(paths))[1])

    def archive(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Ask for copies in the archive; return the files that are refused though others were taken."""
        return tuple(self.pool.call("archive", list(paths))[1])

    def hsm_busy(self, paths: Sequence[str]) -> frozenset[str]:
        """Say which files an HSM request waits or runs for."""
        return frozenset(self.pool.call("hsm_busy", list(paths))[1])

    def release(self, paths: Sequence[str]) -> None:
        """Free the space of clean archived files."""
        self.pool.call("release", list(paths))

    def space(self) -> SpaceView:
        """Read total bytes, and those free to users."""
        return SpaceView(*self.pool.call("space")[1])

    def put_receipt(self, job_id: int, uid: int, gid: int, text: str) -> None:
        """Write a job's receipt, whole or not at all, readable by its owner."""
        self.pool.call("put_receipt", job_id, uid, gid, text)

    def drop_receipt(self, job_id: int) -> None:
        """Remove a job's receipt. Gone is success."""
        self.pool.call("drop_receipt", job_id)

    def close(self) -> None:
        """End the processes, and with them the calls under way. Twice is success."""
        self.pool.close()
