"""A lease: that a prefix is, or is to be, on Lustre for the jobs that need it. Values and what can be read off them.

All stage-ins that want the same prefix in the same way share one lease: it is counted once, imported once and proved
once, for however many jobs. A lease is cut into parts that one turn of the slot can carry. It outlives its jobs, so
that the next one finds its data there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from slurm_amlfs.domain.ask import Ask, Conflict
from slurm_amlfs.domain.belief import Belief
from slurm_amlfs.domain.prefix import Namespace, reduce

_TRUST = 20
"""For how many times its own cost a proof is believed."""


class LeaseKey(NamedTuple):
    """What stage-ins have to have in common to share a lease."""

    fs: str
    prefix: str
    conflict: Conflict
    max_errors: int

    def __str__(self) -> str:
        return f"{self.fs} {self.conflict.value} {self.max_errors} {self.prefix}"

    @classmethod
    def read(cls, text: str) -> LeaseKey:
        """Read back what `str` wrote."""
        fs, conflict, max_errors, prefix = text.split(" ", 3)
        return cls(fs, prefix, Conflict(conflict), int(max_errors))


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a lease's prefix that one turn carries whole.

    `imported` is when the import that brought it began, None while it has to be imported. `suspect` names the half of
    a failed batch that it was in: it shares a turn with nothing else then. `turns` are imports of it alone that failed.
    `estimated` says that it was not listed, so `blobs` is a guess: it is listed, and cut further, before its turn.
    """

    prefix: str
    blobs: int
    total_bytes: int
    imported: datetime | None = None
    suspect: str = ""
    turns: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """One prefix, and how far it is.

    `generation` tells reports of an earlier beginning from those of this one. `counted` is when its blobs were listed,
    None until then; `listed` is how many were where the rest had to be estimated, else 0. `looked` is when that listing
    began, `listing` the digest of what it found, if it went to the end (see etags); `mixed` says that some of the files
    may be older. `digest` is the listing that all of the files were brought after, `brought` when imports of the files
    began, the latest of them. `import_errors` are the errors that its imports counted: as many blobs may be missing at
    most; `alone` says that they were counted for it and nobody else. `proving` is when its latest proof began, `proved`
    when that ended well, `took` is what looking cost; `whole` says that it was one of the bytes too. `missing` and
    `kept` name some of the blobs that have no file of theirs (see errand.Examined), the counts are of all. `proof`
    counts proofs that were begun anew, `progressed` is when the present one last came forward. `checked` is when Lustre
    was last found to hold nothing that an overwriting import would destroy, `probed` when a running import was last
    tried for its files, `used` when somebody last needed it. `room_bytes` is what the whole file system holds, 0 where
    the bytes are not wanted; `held_bytes` are known to be on Lustre, `let_in` says that there was room for the rest,
    `admitted` since when; `pinned` that an admin wants it kept, `leaving` that one wants its bytes given back.
    `beginning` says that the prefix is the beginning of names and no folder, `ahead` that no job has asked for it yet.
    `backlog_seconds` of the slot is what else its owner had waiting then.
    """

    key: LeaseKey
    since: datetime
    used: datetime
    generation: int = 0
    counted: datetime | None = None
    looked: datetime | None = None
    listing: str = ""
    mixed: bool = False
    digest: str = ""
    brought: tuple[datetime, ...] = ()
    parts: tuple[Part, ...] = ()
    files_total: int = 0
    listed: int = 0
    bytes_total: int = 0
    room_bytes: int = 0
    held_bytes: int = 0
    let_in: bool = False
    admitted: datetime | None = None
    backlog_seconds: float = 0.0
    pinned: bool = False
    leaving: bool = False
    beginning: bool = False
    ahead: bool = False
    files_done: int = 0
    bytes_done: int = 0
    import_errors: int = 0
    alone: bool = False
    proving: datetime | None = None
    proved: datetime | None = None
    took: timedelta = timedelta(0)
    whole: bool = False
    missing: tuple[str, ...] = ()
    missing_count: int = 0
    kept: tuple[str, ...] = ()
    kept_count: int = 0
    turns: int = 0
    proof: int = 0
    progressed: datetime | None = None
    checked: datetime | None = None
    probed: datetime | None = None
    not_before: datetime | None = None
    waits_in_a_row: int = 0
    message: str = ""
    correlation_id: str = ""

    @property
    def wants(self) -> tuple[Part, ...]:
        """List the parts that have still to be imported."""
        return tuple(part for part in self.parts if part.imported is None)

    @property
    def unlisted(self) -> tuple[Part, ...]:
        """List the parts that have to be listed before they can be imported."""
        return tuple(part for part in self.parts if part.imported is None and part.estimated)

    @property
    def landed(self) -> bool:
        """Say whether all of it was imported, so that it can be proved."""
        return self.counted is not None and all(part.imported is not None for part in self.parts)

    @property
    def import_started(self) -> datetime | None:
        """Give the beginning of the earliest of its imports: blobs that changed later may be missing."""
        return min((part.imported for part in self.parts if part.imported is not None), default=None)

    def holds(self, *, whole: bool) -> bool:
        """Say whether it is proved, with its bytes where they are wanted."""
        return self.proved is not None and (self.whole or not whole)

    def is_believed(self, now: datetime, asked: datetime, belief: Belief) -> bool:
        """Say whether its proof serves who asked then: it began later, or is as fresh as the site wants it.

        By the general rule a proof may be used for some times what it cost, and no longer than that allows: so a small
        prefix is proved for nearly every job, and a million files take but a small part of the daemon's time.
        """
        if self.proved is None or self.proving is None:
            return False
        if self.proving >= asked:
            return True
        if belief.usual is not None and abs(now - self.proved) >= min(belief.usual, self.took * _TRUST):
            return False
        return belief.age is None or abs(now - self.proving) < belief.age

    def doubted(self) -> Lease:
        """Have it proved again."""
        return replace(
            self, proving=None, proved=None, whole=False, let_in=False, proof=self.proof + 1, progressed=None
        )

    def begun_anew(self, now: datetime) -> Lease:
        """Have it counted again; parts that are found as they were need no second import."""
        return replace(
            self,
            since=now,
            counted=None,
            looked=None,
            listing="",
            mixed=False,
            generation=self.generation + 1,
            proving=None,
            proved=None,
            whole=False,
            let_in=False,
            import_errors=0,
            alone=False,
            files_done=0,
            bytes_done=0,
            checked=None,
        )


@lru_cache(maxsize=65536)
def keys(namespace: Namespace, fs: str, ask: Ask) -> tuple[LeaseKey, ...]:
    """Name the leases that a stage-in needs: one for each of its prefixes that no other of them takes in."""
    return tuple(LeaseKey(fs, prefix, ask.conflict, ask.max_errors) for prefix in reduce(namespace, ask.prefixes))
