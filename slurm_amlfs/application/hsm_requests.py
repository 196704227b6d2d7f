"""Requests of one kind to Lustre's HSM: sent in a window that adapts, looked at sparingly, refused ones again alone.

What has become of them their owner finds out: it says what has ended.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from slurm_amlfs.application.restore_room import RestoreShare
from slurm_amlfs.application.sparing import BATCH, SparingLook
from slurm_amlfs.domain.restore_window import RestoreWindow
from slurm_amlfs.errors import PermanentError

_MOST_ALONE = 10
"""Files that are tried again alone in one step: each costs a call of lfs."""

WhatT = TypeVar("WhatT")


@dataclass(slots=True)
class Request(Generic[WhatT]):
    """What its owner knows of the file, how often it was sent, and since when it has shown nothing, in seconds."""

    what: WhatT
    tries: int = 0
    since: float = 0.0


class Requests(Generic[WhatT]):
    """What waits to be sent, and what is in flight: `asked`, by path, the oldest first."""

    def __init__(
        self,
        send: Callable[[Sequence[str]], tuple[str, ...]],
        share: RestoreShare,
        most: int,
        clock: Callable[[], float],
    ) -> None:
        """Begin with nothing; `send` returns the paths that are refused. At most `most` are in flight."""
        self.asked: dict[str, Request[WhatT]] = {}
        self._send = send
        self._share = share
        self._most = most
        self._clock = clock
        self._window = RestoreWindow.begin(most)
        self._sparing = SparingLook(clock)
        self._found: deque[tuple[str, Request[WhatT]]] = deque()
        self._alone: deque[tuple[str, Request[WhatT]]] = deque()
        self._taken = False

    def add(self, path: str, what: WhatT) -> None:
        """Queue a file."""
        self._found.append((path, Request(what)))

    @property
    def full(self) -> bool:
        """Say whether more files wait than can be asked for soon."""
        return len(self._found) + len(self._alone) >= self._most

    @property
    def waits(self) -> bool:
        """Say whether a file waits to be sent."""
        return bool(self._found or self._alone)

    @property
    def over(self) -> bool:
        """Say whether nothing is left to wait for."""
        return not (self._found or self.asked or self._alone)

    def longest(self, most: int) -> tuple[str, ...]:
        """Name some of what is in flight: what was sent most often, and then longest ago."""
        return tuple(heapq.nlargest(most, self.asked, key=lambda path: self.asked[path].tries))

    def give_up(self) -> None:
        """Send nothing more, and only wait for what is in flight."""
        self._found.clear()
        self._alone.clear()

    def send_alone(self) -> list[str]:
        """Send some by themselves that were refused or failed; return the paths that are refused alone, too.

        Whatever was refused with a file in one request is not its fault.
        """
        refused = []
        for _ in range(self._share.take(min(len(self._alone), _MOST_ALONE)) if self._alone else 0):
            path, request = self._alone.popleft()
            if self._try([path]):
                refused.append(path)
                self._share.give(1)
            else:
                self._wait_for(path, request)
        return refused

    def batches(self) -> Iterator[list[str]]:
        """Yield what to look at; what was found to have ended is told by `end` before the next is asked for."""
        return self._sparing.batches(self.asked)

    def end(self, paths: Iterable[str]) -> list[Request[WhatT]]:
        """Take that requests have ended, whichever way."""
        ended = [self.asked.pop(path) for path in paths]
        self._share.give(len(ended))
        return ended

    def again_alone(self, path: str, request: Request[WhatT]) -> None:
        """Have one that has ended and failed sent again, by itself."""
        self._alone.append((path, request))

    def again(self, paths: Sequence[str]) -> None:
        """Send requests again that are in flight and seem to be lost."""
        if paths:
            self._request([(path, self.asked.pop(path)) for path in paths])

    def send(self, outstanding: int, ended: int, until: float) -> None:
        """Send more, until the clock says `until` at the latest; `ended` of the `outstanding` have ended since then."""
        self._window = self._window.after(outstanding, ended, self._clock())
        wanted = min(self._window.size - len(self.asked), len(self._found))
        granted = self._share.take(max(0, wanted))
        while granted:
            batch = [self._found.popleft() for _ in range(min(granted, BATCH))]
            granted -= len(batch)
            self._request(batch)
            if granted and self._clock() >= until:
                self._share.give(granted)
                return

    def close(self) -> None:
        """Give the room back. What is in flight goes on by itself."""
        self._share.leave()

    def _request(self, batch: list[tuple[str, Request[WhatT]]]) -> None:
        """Send what has room; what is refused gives its room back."""
        refused = set(self._try([path for path, _ in batch]))
        for path, request in batch:
            if path in refused:
                self._alone.append((path, request))
            else:
                self._wait_for(path, request)
        self._share.give(len(refused))

    def _try(self, paths: list[str]) -> tuple[str, ...]:
        """Send; where Lustre has taken one of ours before, a refusal is a fault of the files refused."""
        try:
            refused = self._send(paths)
        except PermanentError:
            if not self._taken:
                raise
            return tuple(paths)
        self._taken = self._taken or len(refused) < len(paths)
        return refused

    def _wait_for(self, path: str, request: Request[WhatT]) -> None:
        request.tries += 1
        request.since = self._clock()
        self.asked[path] = request
