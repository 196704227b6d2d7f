"""The tree of names that a prefix is cut by: its nodes, and the names that are sorted into it together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple


class Name(NamedTuple):
    """A name, and what it stands for: one blob, or the unlisted ones below it."""

    key: str
    size_bytes: int
    blobs: int
    estimated: bool


@dataclass(slots=True, eq=False)
class Node:
    """A beginning that some names share.

    `usable` says whether a part may be called so. `exact` counts names that are just this one and `own_bytes` is what
    they, and those of this name and "/", hold: a cut here would lose them. `estimated` counts names whose blobs are
    estimated. A sealed node is never cut, and has no children.
    """

    usable: bool
    blobs: int = 0
    total_bytes: int = 0
    exact: int = 0
    own_bytes: int = 0
    estimated: int = 0
    sealed: bool = False
    passing: bool = False
    children: dict[str, Node] | None = None

    def seal(self) -> None:
        """Never cut it."""
        self.sealed, self.children = True, None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Names that are sorted into the tree together.

    `keys` are sorted; `sums[i]` are the bytes, `blobs[i]` the blobs and `estimates[i]` the estimated names of the first
    i of them. `latest` is the key of the name that came last, and `place` where that is.
    """

    keys: list[str]
    sums: list[int]
    blobs: list[int]
    estimates: list[int]
    latest: str
    place: int

    @classmethod
    def of(cls, names: Iterable[Name]) -> Chunk:
        """Sort some names, at least one."""
        names = list(names)
        latest = names[-1].key
        names.sort()
        keys = [name.key for name in names]
        return cls(
            keys,
            [0, *accumulate(name.size_bytes for name in names)],
            [0, *accumulate(name.blobs for name in names)],
            [0, *accumulate(name.estimated for name in names)],
            latest,
            keys.index(latest),
        )

    def count(self, low: int, high: int) -> int:
        """Count the blobs of the names from `low` to `high`."""
        return self.blobs[high] - self.blobs[low]

    def add_to(self, node: Node, low: int, high: int) -> None:
        """Count the names from `low` to `high` in a node."""
        node.blobs += self.count(low, high)
        node.total_bytes += self.sums[high] - self.sums[low]
        node.estimated += self.estimates[high] - self.estimates[low]
