"""Taking hold of the state directory before anything else is done: refuse, wait as a standby, or take over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from slurm_amlfs.adapters import log
from slurm_amlfs.adapters.crash_points import Reach, mined
from slurm_amlfs.adapters.memory_reading import read_term
from slurm_amlfs.adapters.store import FILE_NAME
from slurm_amlfs.adapters.tenure import Tenure, boot_time
from slurm_amlfs.adapters.term_files import TermFiles
from slurm_amlfs.adapters.this_process import began, this_process
from slurm_amlfs.config import Config
from slurm_amlfs.domain.tenure import Claim, Timing, Watch, is_dead
from slurm_amlfs.errors import PermanentError

_LOG = logging.getLogger(__name__)

_SILENT = 2
"""For how many renewals a holder may be silent before it is worth a line that it is waited for."""
_LOOKS = 4
"""Looks at the holder's record for each time that it says that it lives."""


def take_term(
    config: Config,
    stop: threading.Event,
    *,
    standby: bool,
    reach: Reach | None = None,
    clock: Callable[[], float] = boot_time,
) -> Tenure | None:
    """Take the state directory's next term as soon as that may be done; None if told to stop first.

    `reach` is told the crash points.

    Raises:
        PermanentError: another daemon holds it and lives, and this one is no standby; or its folder cannot be made.
        TemporaryError: the records cannot be read or written now.
    """
    timing = Timing(config.standby.renew_seconds, config.standby.takeover_seconds)
    files = mined(TermFiles(config.state_dir), "terms", reach)
    me = this_process(datetime.now(UTC))
    watch = Watch(files.newest(), clock())
    said = None
    while not stop.is_set():
        newest = files.newest()
        if newest is not None and watch.renewed(newest) and not standby:
            raise PermanentError(
                f"{config.state_dir} is held by {newest.holder}; stop that one first, or start this one with --standby"
            )
        watch = watch.look(newest, clock())
        dead = newest is not None and is_dead(newest.holder, me, began(newest.holder.pid))
        if watch.may_take(clock(), timing, dead=dead):
            term = files.take(_next(config, newest), me)
            if term is not None:
                log.event(_LOG, logging.INFO, "term-taken", term=term.claim.term, after=_of(newest))
                tenure = Tenure(files, mined(term, "term", reach), timing, config.standby.hang_seconds)
                tenure.start()
                return tenure
        elif (
            newest is not None
            and said != newest.holder
            and (standby or clock() - watch.since > _SILENT * timing.renew_seconds)
        ):
            said = newest.holder
            log.event(_LOG, logging.INFO, "standby" if standby else "term-awaited", holder=newest.holder)
        stop.wait(timing.renew_seconds / _LOOKS)
    return None


def _next(config: Config, newest: Claim | None) -> int:
    """Give the next term: also after all that the database has seen, should the records of terms have been deleted."""
    known = 0 if newest is None else newest.term
    return max(known, read_term(config.state_dir / FILE_NAME)) + 1


def _of(newest: Claim | None) -> str | None:
    return None if newest is None else f"{newest.holder} ({newest.status.name.lower().replace('_', ' ')})"
