"""Cut a prefix into parts of at most so many blobs each, while the names of its blobs stream by.

The slot is held for about a turn only if no import is larger than a turn, so a large prefix is imported part by part.
The names make a tree: one character a step on a flat namespace, where a prefix is the plain beginning of a name, and
one path segment a step on a hierarchical one. A node small enough is one part; a larger one is cut into its children.

Names come sorted, so a node that the stream has passed is complete: if it is small its children are forgotten, and
memory follows the depth of the names and the number of parts, not the number of names. Names out of order land in
nodes that were closed too early: such parts come out larger than need be, and still take every name.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from slurm_amlfs.domain.name_tree import Chunk, Name, Node
from slurm_amlfs.domain.prefix import LONGEST_CHARACTERS, Namespace, validate
from slurm_amlfs.errors import UserError

MOST_NAMED_FILES = 20
"""Direct files of one directory that are named each, on a hierarchical namespace, so that the rest can be cut."""

PARTS_PER_TARGET = 8
"""A node that would fall into more children than this for each target's worth of blobs stays whole ..."""

USUAL_CHILDREN = 100
"""... unless it has no more than this: one import job carries so many prefixes, so small parts still share a turn."""

NODES_PER_PART = 16
"""How much of the tree is held for each part that may come of it: the stretches of names that do not branch."""

TARGETS_PER_CHUNK = 64
"""So many targets' worth of names at most are sorted in at once, as each may unfold into a node for each character."""

FEWEST_NODES = 16_384
"""Nodes (about 300 bytes each) that are held in any case."""

_SEPARATOR = "\0"
"""Stands for "/" in the keys of paths, so that a directory sorts right before what is below it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One part. `blobs` and `total_bytes` are of the names that were fed and that `prefix` takes.

    `estimated` says that not all of its blobs were listed: then `blobs` is a guess, and the bytes are the known ones.
    """

    prefix: str
    blobs: int
    total_bytes: int
    estimated: bool = False


class Cutter:
    """Cuts one prefix. Fed by `take`; `parts` may be asked at any time, and speaks of what was fed so far.

    A zero-byte stub of a directory (`dir/`, or `dir` where `dir/...` follows) may be in none of the parts when its
    directory was cut: what is below brings the directory. Every other name is in exactly one.

    Args:
        namespace: How the container reads a prefix.
        prefix: What is cut, as `prefix.validate` returns it.
        target_blobs: At most so many blobs in a part, where its names allow; at least 1.
        most_parts: Never more parts than this; the target is doubled until they are few enough.
        chunk_names: At most so many names are sorted into the tree at once.
    """

    def __init__(
        self,
        namespace: Namespace,
        prefix: str,
        target_blobs: int,
        most_parts: int = 10_000,
        *,
        chunk_names: int = 4096,
    ) -> None:
        self.blobs = 0
        self.total_bytes = 0
        self._flat = namespace is Namespace.FLAT
        self._prefix = prefix
        self._target = max(1, target_blobs)
        self._most_parts = max(1, most_parts)
        self._most_nodes = max(FEWEST_NODES, NODES_PER_PART * self._most_parts)
        self._chunk_names = max(1, min(chunk_names, TARGETS_PER_CHUNK * self._target))
        self._exact = prefix[1:]
        self._begins = self._exact if self._flat or prefix.endswith("/") else self._exact + "/"
        self._waiting: list[Name] = []
        self._root = Node(usable=True)
        self._path: list[Node] = []
        self._made = 0

    def take(self, name: str, size_bytes: int, blobs: int = 1, *, estimated: bool = False) -> None:
        """Count one blob. `name` has no leading "/"; one that the prefix does not take is passed over.

        Where a listing ended early, a name may also stand for as many blobs below it as are `estimated`, or for none
        that were not taken already: it is in a part in any case.
        """
        if not name.startswith(self._begins) and name != self._exact:
            return
        self.blobs += blobs
        self.total_bytes += size_bytes
        if not self._flat:
            if _SEPARATOR in name:
                self._root.seal()  # no blob has such a name (XML cannot carry it), and the keys could not tell it apart
            name = name.replace("/", _SEPARATOR)
        self._waiting.append(Name(name, size_bytes, blobs, estimated))
        if len(self._waiting) >= self._chunk_names:
            self._sort_in()

    def keep_whole(self, folder: str) -> None:
        """Never cut what begins so (without a leading "/"), since not all that is directly in it is known."""
        self._sort_in()
        key = folder if self._flat else folder.replace("/", _SEPARATOR)
        node, start = self._root, len(self._begins)
        while start < len(key) and node.children:
            step, end, _ = self._step(key, start)
            node, start = node.children[step], end if self._flat else end + 1
        node.seal()

    def parts(self, target_blobs: int = 0, *, divided: bool = False) -> tuple[Cut, ...]:
        """Return the parts, sorted; the prefix itself if it is small, empty, or cannot be cut.

        No two overlap. A part of more than the target could not be cut; ask `blobs`. A larger target than that of the
        beginning may be given, for fewer parts. If it is to be `divided`, to be small does not keep the prefix whole.
        """
        self._sort_in()
        target = max(self._target, target_blobs)
        if divided:
            target = min(target, max(1, self.blobs // 2))
        while len(cuts := self._decide(target)) > self._most_parts:
            target *= 2
        return tuple(sorted(cuts, key=lambda cut: cut.prefix))

    def _sort_in(self) -> None:
        """Bring the waiting names into the tree, and forget what is below nodes that are complete and small."""
        if not self._waiting:
            return
        chunk = Chunk.of(self._waiting)
        self._waiting = []
        passed = self._path
        for node in passed:
            node.passing = False
        touched = self._insert(chunk)
        self._path = [node for node in touched if node.passing]
        for node in (*passed, *touched):
            if not node.passing:
                self._settle(node)
        if self._made > self._most_nodes:
            self._thin()

    def _insert(self, chunk: Chunk) -> list[Node]:
        """Count the chunk's names in every node that they pass, and return those nodes, parents first."""
        touched = []
        # A hierarchical root's own names are "data" and "data/", and its children's segments begin behind the "/".
        todo = [(self._root, len(self._begins), 0, len(chunk.keys))]
        while todo:
            node, start, low, high = todo.pop()
            chunk.add_to(node, low, high)
            if not node.sealed:
                node.passing = low <= chunk.place < high
                touched.append(node)
                todo.extend(self._share_out(node, start, low, high, chunk))
        return touched

    def _share_out(
        self, node: Node, start: int, low: int, high: int, chunk: Chunk
    ) -> Iterator[tuple[Node, int, int, int]]:
        """Give the names from `low` to `high`, alike up to `start`, to the node itself or to its children."""
        keys = chunk.keys
        while low < high and len(keys[low]) <= start:
            node.exact += not keys[low].endswith(("/", _SEPARATOR))
            node.own_bytes += chunk.sums[low + 1] - chunk.sums[low]
            low += 1
        files = 0
        children = node.children = node.children or {}
        while low < high:
            if len(children) > self._most_parts or files > MOST_NAMED_FILES:
                node.seal()
                return
            key = keys[low]
            step, end, above = self._step(key, start)
            upto = bisect_left(keys, above, low, high) if above else high
            behind = end if self._flat else end + 1
            child = children.get(step)
            if child is None:
                usable = self._is_usable(key, step, end)
                if usable is None:
                    node.seal()
                    return
                child = children[step] = Node(usable)
                self._made += 1
                longest = len(keys[upto - 1])
                below = self._flat or longest > behind
                passing = low <= chunk.place < upto
                # Passed, small and new: complete, so what is below does not matter. But a lone "dir" may be the stub
                # of a directory that comes later, since "dir-b" sorts before "dir/".
                child.sealed = usable and below and not passing and chunk.count(low, upto) <= self._target
                files += not self._flat and longest == end and not chunk.latest.startswith(key)
            yield child, behind, low, upto
            low = upto

    def _step(self, key: str, start: int) -> tuple[str, int, str]:
        """Return the key's next step, where it ends, and what sorts above all keys that take it ("" if nothing)."""
        if self._flat:
            step, end = key[start], start + 1
            return step, end, key[:start] + chr(ord(step) + 1) if step != "\U0010ffff" else ""
        end = key.find(_SEPARATOR, start)
        end = len(key) if end < 0 else end
        return key[start:end], end, key[:end] + "\1"

    def _is_usable(self, key: str, step: str, end: int) -> bool | None:
        """Say whether a part may be called by the key up to `end`; None if it may not, and nothing below it either.

        On a flat namespace "/a/." may not, but "/a/.x" may.
        """
        if end < LONGEST_CHARACTERS and step.isascii() and step.isalnum():
            return True
        if not step:
            return None  # "/a//b": nothing names "/a//", since "/a/" and "" is "/a/"
        prefix = "/" + (key[:end] if self._flat else key[:end].replace(_SEPARATOR, "/"))
        if _is_valid(prefix):
            return True
        return False if self._flat and _is_valid(prefix + "x") else None

    def _settle(self, node: Node) -> None:
        """Forget what is below a complete node that will be one part."""
        if node.children and node.usable and (node.blobs <= self._target or not self._may_cut(node, self._target)):
            node.seal()

    def _may_cut(self, node: Node, target: int) -> bool:
        """Say whether the node's children can stand for it: nothing is lost, and they are not too many."""
        children = node.children or {}
        if node.own_bytes or (self._flat and node.exact and "/" not in children):
            return False
        if not self._flat and sum(child.blobs <= child.exact for child in children.values()) > MOST_NAMED_FILES:
            return False
        return len(children) <= max(USUAL_CHILDREN, PARTS_PER_TARGET * -(-node.blobs // target))

    def _thin(self) -> None:
        """Hold fewer nodes, at the price of larger parts, when sealing what is small did not bound them."""
        while (held := self._held()) > self._most_nodes // 2:
            self._target *= 2
            for node, _ in self._walk():
                self._settle(node)
        self._made = held

    def _held(self) -> int:
        return sum(1 for _ in self._walk())

    def _walk(self) -> Iterator[tuple[Node, str]]:
        """Give every node with its prefix, parents first."""
        todo = [(self._root, self._prefix)]
        while todo:
            node, prefix = todo.pop()
            yield node, prefix
            if node.children:
                front = prefix if self._flat or prefix.endswith("/") else prefix + "/"
                todo.extend((child, front + step) for step, child in node.children.items())

    def _decide(self, target: int) -> list[Cut]:
        """Cut the tree, children first; a node below which something cannot be named has no cuts, so it stays whole."""
        cuts: dict[Node, list[Cut] | None] = {}
        for node, prefix in reversed(list(self._walk())):
            below = [cuts.pop(child) for child in node.children.values()] if node.children else []
            named = [cut for some in below if some is not None for cut in some]
            whole = not below or None in below or not self._may_cut(node, target)
            vain = len(named) == 1 and named[0].blobs > target
            if node.usable and (whole or vain or node.blobs <= target):
                cuts[node] = [Cut(prefix, node.blobs, node.total_bytes, estimated=node.estimated > 0)]
            else:
                cuts[node] = None if whole else named
        return cuts[self._root] or []


def _is_valid(prefix: str) -> bool:
    try:
        validate(prefix)
    except UserError:
        return False
    return True
