"""The archives of one export by HSM: asked for in a window that adapts, watched sparingly, failed ones again alone.

Lustre tells nobody that an archive has failed. The file stays as it was when its request was sent, for ever, and is
told from one that is under way only by asking whether the coordinator has a request for it (hsm_cdt_request_completed).
"""

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

TRIES = 3
"""How often a file's archive is asked for in one round, each time but the first alone."""

_QUIET_SECONDS = 2.0
"""How long a file may show nothing before it is asked whether its request is still there."""

_MOST_DOUBTED = 50
"""Files that this is asked of in one step: for each the coordinator goes through its whole list of requests."""

_MOST_ALONE = 10
"""Files that are tried again alone in one step: each costs a call of lfs."""


@dataclass(slots=True)
class Ended:
    """What a step found: how many files are in the archive or gone, and which will not be, in this round."""

    files: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    changed: int = 0
    again: int = 0

    @property
    def number(self) -> int:
        """Count the requests that are over."""
        return self.files + len(self.failed) + self.changed + self.again


@dataclass(slots=True)
class _File:
    """A file on its way: whether it was dirty from the first, how often it was asked for, when it was last doubted."""

    was_dirty: bool
    tries: int = 0
    doubted: float = 0.0


class Archives:
    """What has to be archived in one round."""

    def __init__(self, lustre: Lustre, share: RestoreShare, most: int, clock: Callable[[], float]) -> None:
        """Begin with nothing. At most `most` are in flight, and so many more found before any are looked for."""
        self._lustre = lustre
        self._share = share
        self._most = most
        self._clock = clock
        self._window = RestoreWindow.begin(most)
        self._sparing = SparingLook(clock)
        self._found: deque[tuple[str, _File]] = deque()
        self._asked: dict[str, _File] = {}
        self._again: deque[tuple[str, _File]] = deque()
        self._taken = False
        self._moved = clock()

    def add(self, path: str, hsm_state: HsmState) -> None:
        """Queue a file that is not clean."""
        self._found.append((path, _File(bool(hsm_state & HsmState.DIRTY))))

    @property
    def full(self) -> bool:
        """Say whether more files wait than can be asked for soon."""
        return len(self._found) + len(self._again) >= self._most

    @property
    def over(self) -> bool:
        """Say whether nothing is left to wait for."""
        return not (self._found or self._asked or self._again)

    @property
    def under_way(self) -> int:
        """Count the requests in flight."""
        return len(self._asked)

    @property
    def quiet_seconds(self) -> float:
        """Say for how long none has ended."""
        return self._clock() - self._moved if self._asked else 0.0

    def give_up(self) -> None:
        """Ask for nothing more, and only wait for what is in flight."""
        self._found.clear()
        self._again.clear()

    def step(self, until: float) -> Ended:
        """Look at what was asked for, and ask for more, until the clock says `until` at the latest.

        Raises:
            TemporaryError: Lustre does not answer.
            PermanentError: Lustre archives nothing at all for us, or has no HSM.
        """
        ended = Ended()
        self._ask_alone(ended)
        outstanding = len(self._asked)
        self._check(ended)
        self._window = self._window.after(outstanding, ended.number, self._clock())
        if ended.number or not outstanding:
            self._moved = self._clock()
        self._ask(until)
        return ended

    def close(self) -> None:
        """Give the room back. What is in flight goes on by itself."""
        self._share.leave()

    def _ask(self, until: float) -> None:
        wanted = min(self._window.size - len(self._asked), len(self._found))
        granted = self._share.take(max(0, wanted))
        while granted:
            batch = [self._found.popleft() for _ in range(min(granted, BATCH))]
            granted -= len(batch)
            refused = set(self._try([path for path, _ in batch]))
            for path, file in batch:
                if path in refused:
                    self._again.append((path, file))
                else:
                    self._wait_for(path, file)
            self._share.give(len(refused))
            if granted and self._clock() >= until:
                self._share.give(granted)
                return

    def _ask_alone(self, ended: Ended) -> None:
        """Try again what failed or was refused, by itself; a file that is refused alone has failed."""
        number = self._share.take(min(len(self._again), _MOST_ALONE)) if self._again else 0
        for _ in range(number):
            path, file = self._again.popleft()
            if self._try([path]):
                ended.failed.append((path, "is refused by Lustre; see that it is not marked noarchive"))
                self._share.give(1)
            else:
                self._wait_for(path, file)

    def _wait_for(self, path: str, file: _File) -> None:
        file.tries += 1
        file.doubted = self._clock()
        self._asked[path] = file

    def _try(self, paths: list[str]) -> tuple[str, ...]:
        """Ask for archives; where Lustre has taken one of ours before, a refusal is a fault of the files refused."""
        try:
            refused = self._lustre.archive(paths)
        except PermanentError:
            if not self._taken:
                raise
            return tuple(paths)
        self._taken = self._taken or len(refused) < len(paths)
        return refused

    def _check(self, ended: Ended) -> None:
        now = self._clock()
        doubted: list[str] = []
        for batch in self._sparing.batches(self._asked, lambda: ended.number):
            doubted += self._look(batch, ended, now)
        if doubted:
            self._doubt(doubted[:_MOST_DOUBTED], ended, now)

    def _look(self, batch: list[str], ended: Ended, now: float) -> list[str]:
        """Find what has ended well; return what has shown nothing for a while."""
        states = self._lustre.hsm_states(batch)
        before = ended.files
        quiet = []
        for path in batch:
            if _is_saved(states.get(path)):
                ended.files += 1
                del self._asked[path]
            elif now - self._asked[path].doubted >= _QUIET_SECONDS:
                quiet.append(path)
        self._share.give(ended.files - before)
        return quiet

    def _doubt(self, paths: list[str], ended: Ended, now: float) -> None:
        """Find what Lustre has no request for any more, and so has failed, or has just ended."""
        busy = self._lustre.hsm_busy(paths)
        over = [path for path in paths if path not in busy]
        for path in busy:
            self._asked[path].doubted = now
        states = self._lustre.hsm_states(over) if over else {}
        for path in over:
            self._end(path, self._asked.pop(path), states.get(path), ended)
        self._share.give(len(over))

    def _end(self, path: str, file: _File, state: HsmState | None, ended: Ended) -> None:
        if state is None or _is_saved(state):
            ended.files += 1
        elif state & HsmState.DIRTY and not file.was_dirty:
            ended.changed += 1
        elif file.tries < TRIES:
            ended.again += 1
            self._again.append((path, file))
        else:
            ended.failed.append((path, f"has no copy after {TRIES} requests"))


def _is_saved(state: HsmState | None) -> bool:
    """Say whether a file needs no archive any more: it is clean, or gone."""
    return state is None or state.clean
