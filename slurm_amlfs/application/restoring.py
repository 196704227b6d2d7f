"""The restores of one proof: asked for in a window that adapts, looked at sparingly, and again where one hangs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from slurm_amlfs.application.hsm_requests import Requests
from slurm_amlfs.application.ports import Lustre
from slurm_amlfs.application.restore_room import RestoreShare
from slurm_amlfs.domain.view import HsmState

_ASK_AGAIN_SECONDS = 60.0
"""A restore that has shown nothing for so long is asked for again: the coordinator can drop requests unheard."""

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
        return self._requests.over

    @property
    def longest(self) -> tuple[str, ...]:
        """Name some files whose restore is waited for longest."""
        return self._requests.longest(_LONGEST)

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
        return replace(ended, gone=gone + ended.gone)

    def send(self, until: float, *, alone: bool = True) -> list[str]:
        """Ask for more, until the clock says `until` at the latest; return the paths that will never be whole.

        It may run while files are found, as long as none is added meanwhile. `alone` sends again by itself what was
        refused, which some time should be left for.

        Raises:
            TemporaryError: Lustre does not answer.
            PermanentError: Lustre restores nothing at all for us, or has no HSM.
        """
        return self._send(self._take_seen(), until, alone=alone)

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
        for batch in self._requests.batches():
            self._look(batch, ended, now)
        self._seen = (outstanding, ended.number)
        return ended

    def close(self) -> None:
        """Give the room back."""
        self._requests.close()

    def _look(self, batch: list[str], ended: Ended, now: float) -> None:
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
        self._requests.again(hanging)
