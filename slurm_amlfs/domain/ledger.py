"""The room on one file system while a pass gives it out: what is left, who lacks how much, what is kept for whom."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping

from slurm_amlfs.domain import capacity
from slurm_amlfs.domain.claims import Claim
from slurm_amlfs.domain.draft import Draft
from slurm_amlfs.domain.lease import Lease, LeaseKey
from slurm_amlfs.domain.prefix import Namespace, covers, reduce


class Ledger:
    """Room that is given out grows less; `kept_by` is the job that keeps what it will need, if one does."""

    def __init__(self, draft: Draft, fs: str) -> None:
        """Begin with what the latest look at the space shows, if there is one."""
        self.fs = fs
        self.kept_by: int | None = None
        self._draft = draft
        self._space = draft.seen.spaces.get(fs)
        self._leases = [it for it in draft.leases.values() if it.key.fs == fs]
        self._room_bytes = 0
        self._beside_bytes = 0
        if self._space is not None:
            self._room_bytes = capacity.room_bytes(self._space, draft.rules.reserve, fs, self._leases)
        self._promised = {it.key.prefix: it.bytes_total for it in self._leases if it.let_in}
        # Not let in or no longer, these still have bytes there; what is being given back will be gone.
        held = [it for it in self._leases if it.held_bytes and it.key not in draft.evicting]
        self._there = {it.key.prefix: it.held_bytes for it in sorted(held, key=lambda it: it.held_bytes)}
        self._there |= self._promised
        self._ordered = sorted(self._there)

    @property
    def can_make_room(self) -> bool:
        """Say whether room may be made for the next of the line."""
        return self._space is not None and self.kept_by is None

    def lacks_bytes(self, keys: Iterable[LeaseKey]) -> int:
        """Sum what leases of this file system lack; what several of them take in is wanted once."""
        held = {it.key.prefix: it for it in self._known(keys)}
        kept = [held[prefix] for prefix in reduce(self._draft.namespace(self.fs), held)]
        return sum(max(it.bytes_total - self._there_bytes(it), 0) for it in kept)

    def fits(self, lacks_bytes: int) -> bool:
        """Say whether so much may be written now."""
        if not lacks_bytes:
            return True
        beside = self.kept_by is None or lacks_bytes <= self._beside_bytes
        return self._space is not None and beside and lacks_bytes <= self._room_bytes

    def short_bytes(self, lacks_bytes: int) -> int:
        """Say how much has to be given back before so much fits."""
        return lacks_bytes - self._room_bytes

    def why(self, lacks_bytes: int) -> str:
        """Say why so much does not fit."""
        if self._space is None:
            trouble = self._draft.seen.spaceless.get(self.fs, "")
            return ": ".join(filter(None, (capacity.UNSEEN, trouble)))
        if lacks_bytes <= self._room_bytes:
            return f"{capacity.WAITING} on {self.fs}: job {self.kept_by} has waited longer and keeps what it needs"
        free = f"{max(self._room_bytes, 0) / capacity.GIB:.1f} GiB are free"
        return f"{capacity.WAITING} on {self.fs}: {lacks_bytes / capacity.GIB:.1f} GiB are wanted and {free}"

    def take(self, keys: Iterable[LeaseKey], lacks_bytes: int) -> None:
        """Give room to leases that are let in now."""
        self._room_bytes -= lacks_bytes
        self._beside_bytes -= lacks_bytes
        for it in self._known(keys):
            if it.key.prefix not in self._there:
                insort(self._ordered, it.key.prefix)
            self._there[it.key.prefix] = self._promised[it.key.prefix] = it.bytes_total

    def keep(self, claim: Claim) -> None:
        """Let only those pass from now on that fit beside a claim; unless it could not even if all others were gone."""
        if self._space is None or self.kept_by is not None or claim.overdue is None:
            return
        reserved_bytes = capacity.reserved_bytes(self._space, self._draft.rules.reserve)
        held_bytes = sum(it.held_bytes for it in self._leases) + self._draft.resting.held_bytes(self.fs)
        staging_bytes = min(self._space.free_bytes + held_bytes, self._space.total_bytes) - reserved_bytes
        mine = {it.key.prefix: it.bytes_total for it in self._known(claim.keys)}
        size_bytes = sum(mine[prefix] for prefix in reduce(self._draft.namespace(self.fs), mine))
        passed_bytes = sum(
            it.bytes_total
            for it in self._leases
            if it.let_in and it.admitted is not None and it.admitted >= claim.overdue and self._draft.riders.get(it.key)
        )
        if size_bytes <= staging_bytes:
            self.kept_by = claim.jobs[0]
            self._beside_bytes = staging_bytes - size_bytes - passed_bytes

    def _known(self, keys: Iterable[LeaseKey]) -> list[Lease]:
        found = (self._draft.find_lease(key) for key in keys if key.fs == self.fs)
        return [it for it in found if it is not None]

    def _there_bytes(self, held: Lease) -> int:
        """Say what of a lease's bytes is on Lustre, or was promised to another lease on the same files."""
        namespace, prefix = self._draft.namespace(self.fs), held.key.prefix
        resting = self._draft.resting.overlapping(namespace, self.fs, prefix)
        if any(it.let_in and covers(namespace, it.key.prefix, prefix) for it in resting):
            return held.bytes_total
        outer = (prefix[:end] for end in range(1, len(prefix) + 1))
        if any(it in self._promised and covers(namespace, it, prefix) for it in outer):
            return held.bytes_total
        return max(held.held_bytes, nested_bytes(namespace, self._inner_bytes(held)))

    def is_vague(self, held: Lease) -> bool:
        """Say whether it may hold more than is counted for it: also what smaller ones had restored after its eviction.

        These bytes are looked for where its blobs are counted, and nowhere else.
        """
        inner = self._inner_bytes(held)
        inner.pop(held.key.prefix, None)
        beside_bytes = nested_bytes(self._draft.namespace(self.fs), inner)
        return bool(held.held_bytes and beside_bytes) and max(held.held_bytes, beside_bytes) < held.bytes_total

    def _inner_bytes(self, held: Lease) -> dict[str, int]:
        """List what is there of the prefixes that a lease takes in, its own among them."""
        namespace, prefix = self._draft.namespace(self.fs), held.key.prefix
        inner = {
            it.key.prefix: it.bytes_total if it.let_in else it.held_bytes
            for it in self._draft.resting.overlapping(namespace, self.fs, prefix)
            if covers(namespace, prefix, it.key.prefix) and it.key not in self._draft.evicting
        }
        for at in range(bisect_left(self._ordered, prefix), len(self._ordered)):
            one = self._ordered[at]
            if not one.startswith(prefix):
                break
            if covers(namespace, prefix, one):
                inner[one] = max(inner.get(one, 0), self._there[one])
        return inner


def nested_bytes(namespace: Namespace, sizes: Mapping[str, int]) -> int:
    """Sum bytes by prefix: of a prefix its own, or those of what it takes in, whichever are more."""
    apart: list[tuple[str, int]] = []
    for prefix in sorted(sizes, reverse=True):
        # What begins with it comes next after it.
        size, beside = 0, []
        while apart and apart[-1][0].startswith(prefix):
            inner = apart.pop()
            if covers(namespace, prefix, inner[0]):
                size += inner[1]
            else:
                beside.append(inner)
        apart += [*reversed(beside), (prefix, max(sizes[prefix], size))]
    return sum(size for _, size in apart)
