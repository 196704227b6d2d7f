"""Exports by their prefixes, so that whoever shares paths with one finds it without a look at all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from slurm_amlfs.domain.prefix import Namespace, Prefixes
from slurm_amlfs.domain.records import Stage


@dataclass(slots=True)
class Outgoing:
    """Exports on one file system; what was found for a prefix is remembered."""

    prefixes: Prefixes
    by_prefix: dict[str, list[Stage]]
    known: dict[str, list[Stage]] = field(default_factory=dict)

    @classmethod
    def of(cls, namespace: Namespace, stages: Iterable[Stage]) -> Outgoing:
        """Put exports in order."""
        by_prefix: dict[str, list[Stage]] = {}
        for stage in stages:
            for prefix in stage.ask.prefixes:
                by_prefix.setdefault(prefix, []).append(stage)
        return cls(Prefixes.of(namespace, by_prefix), by_prefix)

    def over(self, prefix: str) -> list[Stage]:
        """List the exports that have paths in common with a prefix."""
        if not self.by_prefix:
            return []
        found = self.known.get(prefix)
        if found is None:
            found = [it for its in self.prefixes.overlapping(prefix) for it in self.by_prefix[its]]
            self.known[prefix] = found
        return found
