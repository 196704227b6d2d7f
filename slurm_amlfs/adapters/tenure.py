"""The hold on a state directory, kept by a thread: it says again and again that this daemon lives.

It stops saying so when the daemon's loop does not go on, so that another can take over from one that is stuck.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from slurm_amlfs.adapters.log import event
from slurm_amlfs.adapters.term_files import Term, TermFiles
from slurm_amlfs.domain.tenure import Standing, Timing, standing
from slurm_amlfs.errors import AmlfsError, FencedError, TemporaryError

_LOG = logging.getLogger(__name__)

_END_SECONDS = 5.0
"""How long a renewal may still take when the daemon ends."""


def boot_time() -> float:
    """Count seconds, those too for which the host was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Tenure:
    """A term that is kept until it is given back or lost.

    Args:
        files: The folder of terms.
        term: The term, just taken.
        timing: How often to say that it is held, and how long that counts.
        hang_seconds: For how long the loop may not go on before that is not said any more.
        clock: Counts seconds and never goes back.
    """

    def __init__(
        self, files: TermFiles, term: Term, timing: Timing, hang_seconds: float, clock: Callable[[], float] = boot_time
    ) -> None:
        self._files, self._term, self._timing, self._clock = files, term, timing, clock
        self._hang_seconds = hang_seconds
        self._renewed = self._went_on = clock()
        self._trouble = ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="tenure", daemon=True)

    @property
    def number(self) -> int:
        """Give the number of the term."""
        return self._term.claim.term

    def start(self) -> None:
        """Begin to keep it."""
        self._thread.start()

    def check(self) -> None:
        """See that this daemon may act, right before it does.

        Raises:
            FencedError: another has taken over; this one must end.
            TemporaryError: it is not certain now; it must wait.
        """
        mine = self._term.claim
        own, newest = self._files.read(mine.term), self._files.newest_term()
        match standing(mine, own, newest, self._renewed, self._clock(), self._timing):
            case Standing.LOST:
                other = self._files.newest()
                who = f"{other.holder} has taken over" if other is not None else "its record is gone"
                raise FencedError(f"term {mine.term} of the state directory is over: {who}; this daemon ends")
            case Standing.LAPSED:
                raise TemporaryError(
                    f"the term of the state directory was not renewed for {self._timing.fence_seconds:g} s"
                    f"{self._trouble}; see that its disk answers"
                )

    def went_on(self) -> None:
        """Take that the daemon's loop goes on."""
        self._went_on = self._clock()

    def renew(self) -> None:
        """Say that this daemon lives, unless its loop is stuck; what fails is tried again."""
        began = self._clock()
        if began - self._went_on > self._hang_seconds:
            self._trouble = ", since nothing goes on"
            return
        try:
            self._term.renew()
        except OSError as error:
            self._trouble = f" ({error.strerror})"
        else:
            self._renewed, self._trouble = began, ""

    def give_back(self) -> None:
        """Let another take over at once; nothing may be done after that. A tenure that is lost is left alone."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)
        if self._thread.is_alive():
            return  # its disk does not answer, so nothing can be given back
        with suppress(AmlfsError, OSError):
            self.check()
            self._term.give_back()
            event(_LOG, logging.INFO, "term-given-back", term=self.number)

    def _keep(self) -> None:
        while not self._end.wait(self._timing.renew_seconds):
            self.renew()
