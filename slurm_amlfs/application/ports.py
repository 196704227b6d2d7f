"""What the application needs of the world outside, as Protocols; `adapters/` has the real ones, tests the fakes.

An adapter call is one attempt: it returns, or raises a `TemporaryError`, `PermanentError` or `UserError`. Retrying is
a wrapper around the port (`adapters/retry.py`); waiting belongs to the loop. All times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from slurm_amlfs.domain.ask import Conflict
from slurm_amlfs.domain.capacity import Pool
from slurm_amlfs.domain.view import (
    BlobView,
    Children,
    FileSystemView,
    FileView,
    Hold,
    HsmState,
    ImportView,
    JobRecord,
    JobView,
    LivingJob,
    QueuedJob,
    SpaceView,
)
from slurm_amlfs.wire import Board, Request, Site


class Arm(Protocol):
    """The ARM surface of one AMLFS file system."""

    def file_system(self) -> FileSystemView:
        """Read health, provisioning state and archive status."""

    def imports(self) -> tuple[ImportView, ...]:
        """List every import job that ARM knows, finished ones and other people's included."""

    def auto_jobs(self) -> tuple[str, ...]:
        """Name the auto-import and auto-export jobs that hold the slot ("autoExport nightly", ...)."""

    def create_import(self, name: str, prefixes: Sequence[str], conflict: Conflict, max_errors: int) -> ImportView:
        """Create an import job. Creating it again under the same name meets the first one."""

    def cancel_import(self, name: str) -> None:
        """Ask a running import to stop. Gone or finished is success."""

    def delete_import(self, name: str) -> None:
        """Delete the record of a finished import. Gone is success."""

    def archive(self, path: str) -> str:
        """Start the archive of everything whose path begins with `path`; return the correlation id."""

    def cancel_archive(self) -> None:
        """Ask the running archive to stop. None running is success."""


class Blobs(Protocol):
    """The container behind one file system."""

    def walk(self, prefix: str) -> Iterator[BlobView]:
        """Stream the blobs whose name begins with `prefix` (which has its leading "/"), in the service's order."""

    def pages(self, prefix: str) -> Iterator[Sequence[BlobView]]:
        """Stream the same a page at a time; one may be empty and not the last; each is asked for when wanted."""

    def children(self, prefix: str) -> Iterator[Children]:
        """Stream, a page at a time, what is directly under `prefix`: all names that begin so, up to their next "/"."""

    def find(self, name: str) -> BlobView | None:
        """Look up one blob by its full name (without a leading "/")."""


class Lustre(Protocol):
    """One mounted Lustre file system. A `path` is absolute in the file system, "/" first, not on this host."""

    def mounted(self) -> bool:
        """Say whether the mount is there."""

    def look(self, path: str) -> FileView | None:
        """Stat one path without following links and without touching its contents; None if it is not there."""

    def looks(self, paths: Sequence[str]) -> dict[str, FileView]:
        """Look at many paths at once, cheapest where neighbours follow each other; what is not there is absent."""

    def walk(self, prefix: str) -> Iterator[FileView]:
        """Stream everything that is not a directory whose path begins with `prefix`; never follows links.

        What is there and cannot be looked at is told as unreadable, and the walk goes on.
        """

    def hsm_states(self, paths: Sequence[str]) -> dict[str, HsmState]:
        """Read the HSM state of many files at once; a path that is gone is absent from the answer."""

    def restore(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Ask for the contents of released files. Asking twice, or for a file that is whole or gone, is success.

        Returns those that Lustre refuses though others were taken; to refuse all is an error.
        """

    def archive(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Ask for copies of new and dirty files in the archive. Asking twice, or for a clean or gone file, is success.

        Returns those that Lustre refuses though others were taken; to refuse all is an error.
        """

    def hsm_busy(self, paths: Sequence[str]) -> frozenset[str]:
        """Say which files an HSM request waits or runs for. Each costs Lustre a look through all its requests."""

    def release(self, paths: Sequence[str]) -> None:
        """Free the space of clean archived files. Lustre itself refuses dirty ones."""

    def space(self) -> SpaceView:
        """Read total and free bytes."""

    def put_receipt(self, job_id: int, uid: int, gid: int, text: str) -> None:
        """Write a job's receipt, whole or not at all, readable by its owner."""

    def drop_receipt(self, job_id: int) -> None:
        """Remove a job's receipt. Gone is success."""


class Slurm(Protocol):
    """The cluster."""

    def jobs(self, job_ids: Iterable[int]) -> dict[int, JobView]:
        """Read the records of these jobs; a job that Slurm no longer knows is absent from the answer."""

    def declared(self) -> dict[int, JobRecord]:
        """Read every job of the cluster that has directives, over or not, as long as Slurm knows it.

        Those tasks of an array that share a record are one here, by the array's job id.
        """

    def queue(self) -> tuple[QueuedJob, ...]:
        """Read every pending job of the cluster that has directives, in no promised order."""

    def living(self) -> tuple[LivingJob, ...]:
        """Read the jobs with directives that use their files now, or may begin to at any moment, in no promised order.

        They are staged, run, or stage out (`LivingJob.uses_files`).
        """

    def comment(self, job_id: int, text: str) -> None:
        """Set a job's AdminComment; slurmctld schedules after it (_slurm_rpc_update_job). A gone job is success."""

    def turn_gate(self, job_id: int, hold: Hold, name: str = "") -> None:
        """Make a pending job's hold this one; a job that is gone or no longer pending is success.

        `name` is what Slurm calls it, where its id is an array's as well: "7_2", or "7_[4-9]" for tasks in one record.
        """

    def notify(self, job_id: int, text: str) -> None:
        """Say a line at the terminal of the srun or salloc that waits for a job; an error if none is known to."""

    def restage(self, job_id: int) -> None:
        """Have a pending batch job that Slurm has left behind staged from the start: cancelled, and then requeued.

        One that may not be requeued is changed to one that may. One that is cancelled already is requeued, one that is
        staged in, has begun or is gone is left. Slurm lets it begin two minutes later. To refuse is an error.
        """

    def end_stage_out(self, job_id: int) -> None:
        """Have Slurm done with a job's stage-out, in a hurry. A job that is over or gone is success."""

    def tear_down_again(self, job_id: int) -> None:
        """Have the burst buffer of a batch job that is over torn down again: the job is requeued, held, and cancelled.

        That takes several calls; until the last, which is the one that does nothing or cancels, a temporary error says
        so. A job that is gone, torn down or runs is success. To refuse is an error.
        """


class Inbox(Protocol):
    """The maildir that hooks and users write to."""

    def take(self) -> Iterator[tuple[str, Request]]:
        """Claim what has arrived, oldest first, as (receipt handle, request). Malformed ones are set aside and logged.

        A claimed request comes again after a crash until `done(handle)`.
        """

    def done(self, handle: str) -> None:
        """Forget a request whose effect is in the store."""


class BoardPort(Protocol):
    """The small files that hooks and users read."""

    def post(self, board: Board) -> None:
        """Replace a job's board by rename, readable by its owner and SlurmUser."""

    def remove(self, job_id: int) -> None:
        """Remove a job's board. Gone is success. A TemporaryError says that the disk does not let it."""

    def posted(self) -> tuple[int, ...]:
        """List the jobs that have a board."""

    def asked(self, job_id: int) -> str:
        """Read the token of the last ask for a job's stage-in, which its hook notes; "" if none is known."""

    def publish_site(self, site: Site) -> None:
        """Replace the file from which Lua knows file systems and grants."""


class TenurePort(Protocol):
    """That this daemon, and no other, acts on the state directory."""

    def check(self) -> None:
        """See that this daemon may act, right before it does.

        A FencedError says that another has taken over, a TemporaryError that it is not certain now.
        """

    def went_on(self) -> None:
        """Take that the daemon's loop goes on; else another may take over from one that is stuck."""


class PoolsPort(Protocol):
    """The file from which slurmctld reads how much space there is, as pools of its own."""

    def posted(self) -> tuple[Pool, ...]:
        """Read what Slurm is told now, in the order it was posted; nothing if there is no such file."""

    def post(self, pools: Sequence[Pool]) -> None:
        """Replace the file by rename, readable by SlurmUser."""

    def remove(self) -> None:
        """Remove the file. Gone is success."""
