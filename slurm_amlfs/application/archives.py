"""The archives of one export by HSM: asked for in a window that adapts, watched sparingly, failed ones again alone.

Lustre tells nobody that an archive has failed. The file stays as it was when its request was sent, for ever, and is
told from one that is under way only by asking whether the coordinator has a request for it (hsm_cdt_request_completed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from slurm_amlfs.application.hsm_requests import Request, Requests
from slurm_amlfs.application.ports import Lustre
from slurm_amlfs.application.restore_room import RestoreShare
from slurm_amlfs.domain.view import HsmState

TRIES = 3
"""How often a file's archive is asked for in one round, each time but the first alone."""

_QUIET_SECONDS = 2.0
"""How long a file may show nothing before it is asked whether its request is still there."""

_REFUSED = "is refused by Lustre; see that it is not marked noarchive"

_MOST_DOUBTED = 50
"""Files that this is asked of in one step: for each the coordinator goes through its whole list of requests."""


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


class Archives:
    """What has to be archived in one round. What is known of a file is whether it was dirty from the first."""

    def __init__(self, lustre: Lustre, share: RestoreShare, most: int, clock: Callable[[], float]) -> None:
        """Begin with nothing. At most `most` are in flight, and so many more found before any are looked for."""
        self._lustre = lustre
        self._clock = clock
        self._requests: Requests[bool] = Requests(lustre.archive, share, most, clock)
        self._moved = clock()

    def add(self, path: str, hsm_state: HsmState) -> None:
        """Queue a file that is not clean."""
        self._requests.add(path, bool(hsm_state & HsmState.DIRTY))

    @property
    def full(self) -> bool:
        """Say whether more files wait than can be asked for soon."""
        return self._requests.full

    @property
    def over(self) -> bool:
        """Say whether nothing is left to wait for."""
        return self._requests.over

    @property
    def under_way(self) -> int:
        """Count the requests in flight."""
        return len(self._requests.asked)

    @property
    def quiet_seconds(self) -> float:
        """Say for how long none has ended."""
        return self._clock() - self._moved if self._requests.asked else 0.0

    def give_up(self) -> None:
        """Ask for nothing more, and only wait for what is in flight."""
        self._requests.give_up()

    def step(self, until: float) -> Ended:
        """Look at what was asked for, and ask for more, until the clock says `until` at the latest.

        Raises:
            TemporaryError: Lustre does not answer.
            PermanentError: Lustre archives nothing at all for us, or has no HSM.
        """
        ended = Ended(failed=[(path, _REFUSED) for path in self._requests.send_alone()])
        outstanding = self.under_way
        self._check(ended)
        if ended.number or not outstanding:
            self._moved = self._clock()
        self._requests.send(outstanding, ended.number, until)
        return ended

    def close(self) -> None:
        """Give the room back. What is in flight goes on by itself."""
        self._requests.close()

    def _check(self, ended: Ended) -> None:
        now = self._clock()
        doubted: list[str] = []
        for batch in self._requests.batches():
            doubted += self._look(batch, ended, now)
        if doubted:
            self._doubt(doubted[:_MOST_DOUBTED], ended, now)

    def _look(self, batch: list[str], ended: Ended, now: float) -> list[str]:
        """Find what has ended well; return what has shown nothing for a while."""
        states = self._lustre.hsm_states(batch)
        saved = [path for path in batch if _is_saved(states.get(path))]
        ended.files += len(saved)
        self._requests.end(saved)
        asked = self._requests.asked
        return [path for path in batch if path in asked and now - asked[path].since >= _QUIET_SECONDS]

    def _doubt(self, paths: list[str], ended: Ended, now: float) -> None:
        """Find what Lustre has no request for any more, and so has failed, or has just ended."""
        busy = self._lustre.hsm_busy(paths)
        over = [path for path in paths if path not in busy]
        for path in busy:
            self._requests.asked[path].since = now
        states = self._lustre.hsm_states(over) if over else {}
        for path, request in zip(over, self._requests.end(over), strict=True):
            self._end(path, request, states.get(path), ended)

    def _end(self, path: str, request: Request[bool], state: HsmState | None, ended: Ended) -> None:
        if state is None or _is_saved(state):
            ended.files += 1
        elif state & HsmState.DIRTY and not request.what:
            ended.changed += 1
        elif request.tries < TRIES:
            ended.again += 1
            self._requests.again_alone(path, request)
        else:
            ended.failed.append((path, f"has no copy after {TRIES} requests"))


def _is_saved(state: HsmState | None) -> bool:
    """Say whether a file needs no archive any more: it is clean, or gone."""
    return state is None or state.clean
