"""The restores of one proof: asked for in a window that adapts, looked at sparingly, and again where one hangs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from slurm_amlfs.application.ports import Lustre
from slurm_amlfs.application.restore_room import RestoreShare
from slurm_amlfs.application.sparing import BATCH, SparingLook
from slurm_amlfs.domain.restore_window import RestoreWindow
from slurm_amlfs.domain.view import HsmState
from slurm_amlfs.errors import PermanentError

_ASK_AGAIN_SECONDS = 60.0
"""A restore that has shown nothing for so long is asked for again: the coordinator can drop requests unheard."""

_MOST_ALONE = 10
"""Refused files that are tried again alone in one step: each costs a call of lfs."""


def lost(hsm_state: HsmState) -> bool:
    """Say whether the bytes are nowhere: neither on Lustre nor, as Lustre knows, in the archive."""
    return HsmState.RELEASED | HsmState.LOST in hsm_state


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
        self._share = share
        self._most = most
        self._clock = clock
        self._window = RestoreWindow.begin(most)
        self._released: deque[tuple[str, int]] = deque()
        self._asked: dict[str, tuple[int, float]] = {}
        self._refused: deque[tuple[str, int]] = deque()
        self._taken = False
        self._sparing = SparingLook(clock)

    def add(self, path: str, size_bytes: int) -> None:
        """Queue a released file."""
        self._released.append((path, size_bytes))

    @property
    def full(self) -> bool:
        """Say whether more files wait than can be asked for soon."""
        return len(self._released) >= self._most

    @property
    def over(self) -> bool:
        """Say whether nothing is left to wait for."""
        return not (self._released or self._asked or self._refused)

    def step(self, until: float) -> Ended:
        """Look at what was asked for, and ask for more, until the clock says `until` at the latest.

        Raises:
            TemporaryError: Lustre does not answer.
            PermanentError: Lustre restores nothing at all for us, or has no HSM.
        """
        ended = Ended()
        self._ask_alone(ended)
        outstanding = len(self._asked)
        self._check(ended)
        self._window = self._window.after(outstanding, ended.number, self._clock())
        self._ask(until)
        return ended

    def close(self) -> None:
        """Give the room back."""
        self._share.leave()

    def _ask(self, until: float) -> None:
        wanted = min(self._window.size - len(self._asked), len(self._released))
        granted = self._share.take(max(0, wanted))
        while granted:
            batch = [self._released.popleft() for _ in range(min(granted, BATCH))]
            granted -= len(batch)
            self._request(batch)
            if granted and self._clock() >= until:
                self._share.give(granted)
                return

    def _request(self, batch: list[tuple[str, int]]) -> None:
        refused = set(self._try([path for path, _ in batch]))
        now = self._clock()
        for path, size_bytes in batch:
            if path in refused:
                self._refused.append((path, size_bytes))
                self._share.give(1)
            else:
                self._asked[path] = (size_bytes, now)

    def _try(self, paths: list[str]) -> tuple[str, ...]:
        """Ask for restores; where Lustre has taken one of ours before, a refusal is a fault of the files refused."""
        try:
            refused = self._lustre.restore(paths)
        except PermanentError:
            if not self._taken:
                raise
            return tuple(paths)
        self._taken = self._taken or len(refused) < len(paths)
        return refused

    def _ask_alone(self, ended: Ended) -> None:
        """Try a refused file by itself, once: whatever was refused with it in one request is not its fault."""
        number = self._share.take(min(len(self._refused), _MOST_ALONE)) if self._refused else 0
        for _ in range(number):
            path, size_bytes = self._refused.popleft()
            if self._try([path]):
                ended.gone.append(path)
                self._share.give(1)
            else:
                self._asked[path] = (size_bytes, self._clock())

    def _check(self, ended: Ended) -> None:
        now = self._clock()
        for batch in self._sparing.batches(self._asked, lambda: ended.number):
            self._look(batch, ended, now)

    def _look(self, batch: list[str], ended: Ended, now: float) -> None:
        states = self._lustre.hsm_states(batch)
        hanging: list[tuple[str, int]] = []
        before = ended.number
        for path in batch:
            state = states.get(path)
            size_bytes, since = self._asked[path]
            if state is None or lost(state):
                ended.gone.append(path)
            elif not state & HsmState.RELEASED:
                ended.files += 1
                ended.total_bytes += size_bytes
            elif now - since > _ASK_AGAIN_SECONDS:
                hanging.append((path, size_bytes))
            else:
                continue
            del self._asked[path]
        self._share.give(ended.number - before)
        if hanging:
            self._request(hanging)
