"""What the domain wants done. Values only; `application/performing.py` does them.

Each errand has a key (`key_of`): the application never runs two of one key at once, and drops a wish whose key is
running. An errand is wanted again on every pass until its report has changed the records, so a report lost in a crash
costs a repetition and nothing else: every errand can be done twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from slurm_amlfs.domain.ask import Conflict, Hydrate
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.records import StageKey, Transfer
from slurm_amlfs.domain.urgency import Rank
from slurm_amlfs.domain.view import Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What walks whole trees, and may take long: it waits for a thread behind what is more urgent, as `rank` says."""

    rank: Rank = field(default=Rank(), compare=False)


@dataclass(frozen=True, slots=True)
class Count(Walk):
    """List the blobs under a lease's prefix, cut it into parts of `target_blobs`, and see whether all are there.

    No more than `list_blobs` are listed, for about `list_seconds`. `whole` asks also what the file system holds,
    `overwrites` for the files under the prefix that an overwriting import would destroy for good; without `lists`
    nothing else is asked. `part` is the one part of the lease to list, where it is not all. `known` are digests with
    which all of it was brought in: if it has one of them still, the files are looked at. The listing does not begin
    before `wanted`.
    """

    lease: LeaseKey
    generation: int
    target_blobs: int
    whole: bool
    overwrites: bool = False
    lists: bool = True
    part: str = ""
    list_blobs: int = 5_000_000
    list_seconds: float = 120.0
    known: frozenset[str] = frozenset()
    wanted: datetime | None = field(default=None, compare=False)

    @property
    def prefix(self) -> str:
        """Give the prefix to list."""
        return self.part or self.lease.prefix


@dataclass(frozen=True, slots=True)
class Probe(Walk):
    """See whether the files of a lease are on Lustre already, while the import that brings them still runs."""

    lease: LeaseKey
    generation: int


@dataclass(frozen=True, slots=True)
class ProveIn(Walk):
    """Compare Lustre with Blob for one lease, restoring released files on the way where bytes are wanted.

    `brought` are imports of its files. `proof` tells a proof that is begun anew from one that goes on. By its rank it
    has its restores sooner or later, too.
    """

    lease: LeaseKey
    generation: int
    hydrate: Hydrate
    import_started: datetime | None
    proof: int = 0
    brought: tuple[datetime, ...] = ()

    @property
    def fs(self) -> str:
        """Name the file system."""
        return self.lease.fs

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Give the one prefix."""
        return (self.lease.prefix,)

    @property
    def conflict(self) -> Conflict:
        """Say what its import did with what was there."""
        return self.lease.conflict


@dataclass(frozen=True, slots=True)
class StageWalk(Walk):
    """What walks the trees of one stage."""

    stage: StageKey
    generation: int
    fs: str
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProveOut(StageWalk):
    """Compare Blob with Lustre for one stage-out, and cut what is left for archives that take so long at most."""

    archive_seconds: float = field(default=60.0, compare=False)


@dataclass(frozen=True, slots=True)
class ArchiveFiles(StageWalk):
    """Have Lustre's HSM archive the files of a stage-out that are new or changed, without the slot.

    The smaller the `urgency`, the sooner its requests.
    """

    urgency: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Free(StageWalk):
    """Release the files of a stage that are clean, proved and needed by nobody (`spare` are prefixes of others)."""

    spare: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evict(Walk):
    """Release the files of a lease that nobody needs, but for those under `spare`."""

    lease: LeaseKey
    generation: int
    spare: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteReceipt:
    """Put the receipt of a job whose stage-ins are all proved onto the file system of each."""

    job_id: int
    generation: int
    uid: int
    gid: int
    file_systems: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class DropReceipt:
    """Take a job's receipt away."""

    job_id: int
    file_systems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Ask Azure for a transfer."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask Azure to end a transfer that nobody needs any more."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class Clear:
    """Delete the record of an import that is over."""

    fs: str
    transfer_id: str


@dataclass(frozen=True, slots=True)
class Comment:
    """Say how far a job is in its AdminComment; slurmctld schedules after it.

    One that announces a start, or nudges Slurm to take the job up again, is a duty, and the job's record has when it
    was done; all others are courtesies.
    """

    job_id: int
    text: str
    announces: bool = False
    nudges: bool = False

    @property
    def is_duty(self) -> bool:
        """Say whether the job's record has to have it."""
        return self.announces or self.nudges


@dataclass(frozen=True, slots=True)
class Notify:
    """Say to whoever waits at a terminal, in srun or salloc, why the job does not start; `since` is since when."""

    job_id: int
    text: str
    since: datetime


@dataclass(frozen=True, slots=True)
class TurnGate:
    """Make a pending job's hold this one; `name` is what Slurm calls the job where its id is not enough."""

    job_id: int
    hold: Hold
    name: str = ""


class Behind(StrEnum):
    """Where Slurm left a job. What helps is another."""

    IN = "stage-in"
    OUT = "stage-out"
    TEARDOWN = "teardown"
    START = "start"


@dataclass(frozen=True, slots=True)
class Mend:
    """Tell Slurm to take up a job that it left behind: stage it anew, end its stage-out, or tear it down again."""

    job_id: int
    behind: Behind


Errand = (
    Count
    | Probe
    | ProveIn
    | ProveOut
    | ArchiveFiles
    | Free
    | Evict
    | WriteReceipt
    | DropReceipt
    | Start
    | Stop
    | Clear
    | Comment
    | Notify
    | TurnGate
    | Mend
)


def key_of(errand: Errand) -> str:
    """Name what an errand does and to what, so that it is not done twice at once."""
    match errand:
        case Count(lease, lists=False):
            key = f"check {lease}"
        case Count(lease) | Probe(lease) | ProveIn(lease) | Evict(lease):
            key = f"{_WORDS[type(errand)]} {lease}"
        case ProveOut(stage) | ArchiveFiles(stage) | Free(stage):
            key = f"{_WORDS[type(errand)]} {stage}"
        case Start(transfer) | Stop(transfer):
            key = f"{_WORDS[type(errand)]} {transfer.fs} {transfer.transfer_id}"
        case WriteReceipt(job_id) | DropReceipt(job_id) | Comment(job_id) | Notify(job_id):
            key = f"{_WORDS[type(errand)]} {job_id}"
        case TurnGate(job_id) | Mend(job_id):
            key = f"{_WORDS[type(errand)]} {job_id}"
        case Clear(fs, transfer_id):
            key = f"clear {fs} {transfer_id}"
    return key


def file_systems_of(errand: Errand) -> tuple[str, ...]:
    """Name the file systems on whose answers an errand waits; none for what asks only Azure or Slurm."""
    match errand:
        case Count(lease) | Probe(lease) | ProveIn(lease) | Evict(lease):
            return (lease.fs,)
        case StageWalk(fs=name):
            return (name,)
        case WriteReceipt(file_systems=names) | DropReceipt(file_systems=names):
            return names
        case _:
            return ()


_WORDS: Mapping[type, str] = MappingProxyType({
    Count: "count", Probe: "prove", ProveIn: "prove", Evict: "evict", ProveOut: "prove",
    ArchiveFiles: "archive", Free: "free", Start: "start", Stop: "stop", WriteReceipt: "receipt",
    DropReceipt: "receipt", Comment: "comment", Notify: "notify", TurnGate: "gate", Mend: "mend",
})  # fmt: skip
"""Errands of one word and one object are never done at once."""

EVICTS = "evict "
"""How the keys of evictions begin; a lease's key is the rest."""
