"""The restores of one proof: asked for in a window that adapts, looked at sparingly, and again where one fails.

Lustre tells nobody that a restore has failed. The file stays released, and only by asking whether the coordinator has
a request for it is that told from a restore that is under way (hsm_cdt_request_completed). What fails again leaves its
room to others, and is tried a few at a time, ever more rarely: its bytes may be back in Blob some day.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from slurm_amlfs.application.hsm_requests import Request, Requests
from slurm_amlfs.application.ports import Lustre
from slurm_amlfs.application.restore_room import RestoreShare
from slurm_amlfs.domain.view import HsmState

_ASK_AGAIN_SECONDS = 60.0
"""A restore that has shown nothing for so long is asked for again, if Lustre knows of none: it has failed, or the
coordinator has dropped its request unheard."""

_MOST_DOUBTED = 50
"""Files that this is asked of in one step: for each the coordinator goes through its whole list of requests."""

_TRIES_TOGETHER = 2
"""How often a file is asked for among others and keeps its room."""

_MOST_TRYING = 10
"""How many of those that have failed as often are in flight at a time."""

_LONGEST_PAUSE_SECONDS = 600.0
"""Most that such a file waits for its next turn; the first time it is as long as it was waited for, then twice that."""

_LOST = HsmState.RELEASED | HsmState.LOST

_LONGEST = 3
"""Files named that are waited for."""


def lost(hsm_state: HsmState) -> bool:
    """Say whether the bytes are nowhere: neither on Lustre nor, as Lustre knows, in the archive."""
    return _LOST in hsm_state


@dataclass(slots=True)
class Ended:
    """What a step found: files that are whole and their bytes, and the paths that will never be."""

    files: int = 0
    total_bytes: int = 0
    gone: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        """Count all that are no longer waited for."""
        return self.files + len(self.gone)


class Restores:
    """What has to be restored for one proof."""

    def __init__(self, lustre: Lustre, share: RestoreShare, most: int, clock: Callable[[], float]) -> None:
        """Begin with nothing. At most `most` are in flight, and so many more found before any are looked for."""
        self._lustre = lustre
        self._clock = clock
        self._requests: Requests[int] = Requests(lustre.restore, share, most, clock)
        self._seen = (0, 0)
        self._failed: list[tuple[float, str, Request[int]]] = []
        self._trying: set[str] = set()

    def add(self, path: str, size_bytes: int) -> None:
        """Queue a released file."""
        self._requests.add(path, size_bytes)

    @property
    def full(self) -> bool:
        """Say whether more files wait than can be asked for soon."""
        return self._requests.full

    @property
    def over(self) -> bool:
        """Say whether nothing is left to wait for."""
        return self._requests.over and not self._failed

    @property
    def longest(self) -> tuple[str, ...]:
        """Name some files whose restore is waited for longest."""
        failed = [path for _, path, _ in self._failed[:_LONGEST]]
        return (*failed, *self._requests.longest(_LONGEST))[:_LONGEST]

    def go_on(self, until: float, *, alone: bool = True) -> Ended:
        """Ask for more as `send` does, and look at what was asked for, both at once where there is both to do.

        Raises:
            TemporaryError, PermanentError: as `send` and `look`.
        """
        if not self._requests.asked or not self._requests.waits:
            gone = self.send(until, alone=alone)
            ended = self.look()
        else:
            # Each is a trip to a server, and knows what the last look saw.
            with ThreadPoolExecutor(1, thread_name_prefix="send") as beside:
                sent = beside.submit(self._send, self._take_seen(), until, alone=alone)
                ended = self.look()
                gone = sent.result()
                self._trying.difference_update(gone)
        return replace(ended, gone=gone + ended.gone)

    def send(self, until: float, *, alone: bool = True) -> list[str]:
        """Ask for more, until the clock says `until` at the latest; return the paths that will never be whole.

        It may run while files are found, as long as none is added meanwhile. `alone` sends again by itself what was
        refused, which some time should be left for.

        Raises:
            TemporaryError: Lustre does not answer.
            PermanentError: Lustre restores nothing at all for us, or has no HSM.
        """
        gone = self._send(self._take_seen(), until, alone=alone)
        self._trying.difference_update(gone)
        return gone

    def _take_seen(self) -> tuple[int, int]:
        """Take how many were in flight at the last look, and how many had ended: that counts once."""
        outstanding, ended = self._seen
        self._seen = (outstanding, 0)
        return outstanding, ended

    def _send(self, seen: tuple[int, int], until: float, *, alone: bool) -> list[str]:
        gone = self._requests.send_alone() if alone else []
        self._requests.send(*seen, until)
        return gone

    def look(self) -> Ended:
        """Look at what was asked for.

        Raises:
            TemporaryError: Lustre does not answer.
            PermanentError: it has no HSM.
        """
        ended = Ended()
        outstanding = len(self._requests.asked)
        now = self._clock()
        hanging: list[str] = []
        for batch in self._requests.batches():
            hanging += self._look(batch, ended, now)
        if hanging:
            self._doubt(hanging[:_MOST_DOUBTED], now)
        self._retry(now)
        self._seen = (outstanding, ended.number)
        return ended

    def close(self) -> None:
        """Give the room back."""
        self._requests.close()

    def _look(self, batch: list[str], ended: Ended, now: float) -> list[str]:
        """Find what has ended; return what has shown nothing for long."""
        states = self._lustre.hsm_states(batch)
        over, hanging = [], []
        for path in batch:
            state, request = states.get(path), self._requests.asked[path]
            if state is None or lost(state):
                ended.gone.append(path)
                over.append(path)
            elif HsmState.RELEASED not in state:
                ended.files += 1
                ended.total_bytes += request.what
                over.append(path)
            elif now - request.since > _ASK_AGAIN_SECONDS:
                hanging.append(path)
        self._requests.end(over)
        self._trying.difference_update(over)
        return hanging

    def _doubt(self, paths: Sequence[str], now: float) -> None:
        """Ask again for what Lustre has no request for any more."""
        busy = self._lustre.hsm_busy(paths)
        for path in busy:
            self._requests.asked[path].since = now
        idle = [path for path in paths if path not in busy]
        states = self._lustre.hsm_states(idle) if idle else {}
        # One that has just ended is seen by the next look.
        idle = [path for path in idle if HsmState.RELEASED in states.get(path, HsmState.NONE)]
        failed = [path for path in idle if self._requests.asked[path].tries >= _TRIES_TOGETHER]
        self._requests.again([path for path in idle if path not in set(failed)])
        self._trying.difference_update(failed)
        for path, request in zip(failed, self._requests.end(failed), strict=True):
            pause = _ASK_AGAIN_SECONDS * 2.0 ** (request.tries - _TRIES_TOGETHER)
            heapq.heappush(self._failed, (now + min(pause, _LONGEST_PAUSE_SECONDS), path, request))

    def _retry(self, now: float) -> None:
        """Have some that failed sent again by themselves, if it is their time."""
        while self._failed and self._failed[0][0] <= now and len(self._trying) < _MOST_TRYING:
            _, path, request = heapq.heappop(self._failed)
            self._trying.add(path)
            self._requests.again_alone(path, request)
