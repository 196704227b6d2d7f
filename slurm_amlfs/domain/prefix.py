"""Prefix algebra: what a prefix takes in, which prefixes overlap, and the smallest set that says the same.

A prefix is absolute in the container, "/" first. On a flat namespace it is the plain beginning of a name, so `/data`
also takes `/data2`; on a hierarchical one it is a path, so `/data` takes `/data` itself and what is below it. On both,
`/data/` takes only what is below. An import job fails when two of its prefixes overlap (azure-managed-lustre
blob-integration.md, "prefixes"), which is why `reduce` exists.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from slurm_amlfs.domain.quote import quote
from slurm_amlfs.errors import UserError

LONGEST_CHARACTERS = 1024
"""Azure's own limit on a blob name ("Naming and referencing containers, blobs and metadata")."""

_CONTROL = frozenset(chr(code) for code in (*range(0x20), 0x7F))


class Namespace(StrEnum):
    """How the container behind a file system reads a prefix."""

    FLAT = "flat"
    HIERARCHICAL = "hierarchical"


def validate(prefix: str) -> str:
    """Return the prefix if it is one that we carry.

    Raises:
        UserError: it is not UTF-8, not absolute, too long, or could mean more than one path.
    """
    shown = quote(prefix)
    try:
        prefix.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"amlfs: prefix {shown} is not UTF-8 text; name a folder above it") from error
    if not prefix.startswith("/"):
        raise UserError(f'amlfs: prefix {shown} does not begin with "/"; write it from the root of the container')
    if len(prefix) > LONGEST_CHARACTERS:
        raise UserError(
            f"amlfs: a prefix of {len(prefix)} characters; at most {LONGEST_CHARACTERS} are taken: name a folder above"
        )
    if not _CONTROL.isdisjoint(prefix):
        raise UserError(f"amlfs: prefix {shown} has a control character in it; name a folder above it")
    segments = prefix[1:].removesuffix("/").split("/")
    if prefix != "/" and any(segment in {"", ".", ".."} for segment in segments):
        raise UserError(f'amlfs: prefix {shown} has an empty, "." or ".." part; write the path plainly')
    return prefix


def matches(namespace: Namespace, prefix: str, path: str) -> bool:
    """Say whether an import or export of `prefix` takes the file or blob `path` ("/" first) with it."""
    if namespace is Namespace.FLAT or prefix.endswith("/"):
        return path.startswith(prefix)
    return path == prefix or path.startswith(prefix + "/")


def covers(namespace: Namespace, outer: str, inner: str) -> bool:
    """Say whether everything that `inner` takes is taken by `outer` too."""
    return matches(namespace, outer, inner)


def overlaps(namespace: Namespace, one: str, other: str) -> bool:
    """Say whether some path is taken by both. Prefixes make a tree, so then one covers the other."""
    return covers(namespace, one, other) or covers(namespace, other, one)


def reduce(namespace: Namespace, prefixes: Iterable[str]) -> tuple[str, ...]:
    """Return the smallest set, sorted, of prefixes that do not overlap and take what all the given ones take."""
    kept: list[str] = []
    # By path segments, not by characters: "/a", "/a/x", "/a-b" keeps each prefix right before what it covers.
    for prefix in sorted(set(prefixes), key=_order(namespace)):
        if not kept or not covers(namespace, kept[-1], prefix):
            kept.append(prefix)
    return tuple(sorted(kept))


def _order(namespace: Namespace) -> Callable[[str], str | list[str]]:
    return str if namespace is Namespace.FLAT else lambda prefix: prefix.split("/")


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Many prefixes, so that who overlaps with one of them is found without a look at each."""

    namespace: Namespace
    ordered: tuple[str, ...]
    known: frozenset[str]

    @classmethod
    def of(cls, namespace: Namespace, prefixes: Iterable[str]) -> Prefixes:
        """Put prefixes in order."""
        known = frozenset(prefixes)
        return cls(namespace, tuple(sorted(known)), known)

    def overlap(self, prefix: str) -> bool:
        """Say whether one of them has paths in common with a prefix."""
        return next(self.overlapping(prefix), None) is not None

    def overlapping(self, prefix: str) -> Iterator[str]:
        """Yield those that have paths in common with a prefix: what takes it in, itself, and what it takes in."""
        for end in range(1, len(prefix) + 1):
            if prefix[:end] in self.known and covers(self.namespace, prefix[:end], prefix):
                yield prefix[:end]
        for at in range(bisect_right(self.ordered, prefix), len(self.ordered)):
            if not self.ordered[at].startswith(prefix):
                break
            if covers(self.namespace, prefix, self.ordered[at]):
                yield self.ordered[at]
