"""The room on each file system: when to look at it, what a pass may count on, and what Slurm is told of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from slurm_amlfs.application.looking import is_over
from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.application.ports import PoolsPort
from slurm_amlfs.application.tally import Tally
from slurm_amlfs.domain import capacity
from slurm_amlfs.domain.errand import Evict
from slurm_amlfs.domain.lease import LeaseKey
from slurm_amlfs.domain.records import Records
from slurm_amlfs.domain.report import Freed, Report
from slurm_amlfs.domain.view import SpaceView
from slurm_amlfs.domain.world import Rules
from slurm_amlfs.errors import AmlfsError

log = logging.getLogger(__name__)

_POOLS_EVERY = timedelta(seconds=30)
"""How often Slurm asks for its pools (burst_buffer_lua.c: AGENT_INTERVAL): no look for them alone need come sooner."""


class Spaces:
    """The latest looks. `known` is what a pass may count on: where somebody's bytes may have to be restored.

    `troubles` say why there is no look at one of those.
    """

    def __init__(self, rules: Rules, pools: PoolsPort | None) -> None:
        """Take the port, None where Slurm is told of no pools."""
        self.known: dict[str, SpaceView] = {}
        self.troubles: dict[str, str] = {}
        self._failed = Tally()
        self._rules = rules
        self._pools = pools
        self._wanted: frozenset[str] = frozenset()
        self._looked: dict[str, datetime] = {}
        self._looked_at_all: dict[str, datetime] = {}
        self._latest: dict[str, SpaceView] = {}
        self._news = False

    def plan(self, records: Records) -> None:
        """Work out after a pass where to look; what was seen where nobody waits is forgotten but for the pools."""
        leases = records.leases.values()
        self._wanted = frozenset(name for name in self._rules.file_systems if capacity.wants_look(leases, name))
        for name in set(self._looked) - self._wanted:
            del self._looked[name]
            self.known.pop(name, None)
            self.troubles.pop(name, None)

    def due(self, now: datetime) -> list[str]:
        """Name the file systems to look at now."""
        due = [it for it in self._wanted if is_over(self._looked.get(it), self._rules.look_at_space, now)]
        if self._pools is not None:
            more = self._rules.file_systems.keys() - self._wanted
            due += [it for it in more if is_over(self._looked_at_all.get(it), _POOLS_EVERY, now)]
        return due

    def hear(self, report: Report) -> None:
        """Have the room looked at after an eviction; when it is over, forget what was known before.

        Else more would give way for what has room by now. While it goes on, nothing else gives way.
        """
        if not isinstance(report.errand, Evict):
            return
        fs, result = report.errand.lease.fs, report.result
        if not isinstance(result, Freed) or result.settled:
            self.known.pop(fs, None)
        elif not result.files:
            return
        self._looked.pop(fs, None)

    def begin(self, name: str, fs: FileSystem, now: datetime) -> Callable[[], Callable[[], bool]]:
        """Begin a look; return what makes it, and returns what puts the answer in place in the loop's own thread."""
        self._looked_at_all[name] = now
        if name in self._wanted:
            self._looked[name] = now
        return lambda: self._look(name, fs)

    def _look(self, name: str, fs: FileSystem) -> Callable[[], bool]:
        """Read a file system's room. Without an answer a pass knows of no room, and the pools are as they were."""
        trouble = ""
        try:
            space = fs.reached(name).space()
        except AmlfsError as error:
            space, trouble = None, error.message

        def put() -> bool:
            self._say(name, trouble)
            if space is not None:
                self._latest[name] = space
                self._news = True
            if name not in self._wanted:
                return False
            before = (self.known.pop(name, None), self.troubles.pop(name, ""))
            if space is not None:
                self.known[name] = space
            else:
                self.troubles[name] = trouble
            return before != (space, trouble)

        return put

    def _say(self, name: str, trouble: str) -> None:
        """Log a look that failed, now and then, and the first that works again."""
        if not trouble:
            if times := self._failed.worked(name):
                log.info("space-known-again", extra={"amlfs_pairs": {"fs": name, "failed": times}})
        elif times := self._failed.failed(name):
            log.warning("space-unknown", extra={"amlfs_pairs": {"fs": name, "error": trouble, "times": times}})

    def tell(self, records: Records, ahead: Iterable[LeaseKey]) -> None:
        """Let Slurm's pools be as the latest looks and the records are, if there was a look since the last time."""
        if self._pools is None or not self._news:
            return
        self._news = False
        rules, ahead = self._rules, frozenset(ahead)
        seen = [
            capacity.pool(rules.file_systems[name], rules.reserve, space, records, ahead)
            for name, space in self._latest.items()
        ]
        before = self._pools.posted()
        pools = capacity.known_pools(before, seen, rules.file_systems)
        if pools != before:
            try:
                self._pools.post(pools)
            except AmlfsError as error:
                # Slurm goes on with the figures it has; the next look tries again.
                log.error("pools-not-posted", extra={"amlfs_pairs": {"error": error.message}})  # noqa: TRY400 - a sentence is enough
