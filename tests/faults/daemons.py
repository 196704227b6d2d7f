"""The daemon of a run, and the one that stands by: started, killed, hung, told to stop, and taken over from."""

from __future__ import annotations

import signal
from pathlib import Path

from slurm_amlfs.adapters.crash_points import VARIABLE
from slurm_amlfs.adapters.term_files import TermFiles
from tests.faults import plants
from tests.faults.starter import Started, Starter
from tests.faults.until import until


class Daemons:
    """Both, as they are started.

    `deaths` counts ends that nobody told them to come to, `takeovers` those after which the one that stood by went on.
    `plant` names a fault that those have which are started from then on.

    Args:
        starter: Starts processes.
        folder: The run's, with amlfs.toml.
    """

    def __init__(self, starter: Starter, folder: Path) -> None:
        self.log = folder / "daemon.log"
        self.plant = ""
        self.deaths = self.takeovers = 0
        self._starter, self._folder = starter, folder
        self._daemon: Started | None = None
        self._standby: Started | None = None

    @property
    def alive(self) -> bool:
        """Say whether the daemon runs."""
        return self._daemon is not None and self._daemon.alive

    @property
    def holds(self) -> bool:
        """Say whether the daemon runs and has the newest term of the state directory."""
        newest = TermFiles(self._folder / "state").newest()
        return self._daemon is not None and self.alive and newest is not None and newest.holder.pid == self._daemon.pid

    @property
    def standby_alive(self) -> bool:
        """Say whether another waits for its end."""
        return self._standby is not None and self._standby.alive

    def restart(self, die_at: str = "") -> None:
        """See that a daemon acts, the one that stands by or a new one, and wait until it can be asked for something."""
        if self._daemon is not None and not self.alive:
            self.deaths += 1
            if self.standby_alive:
                self.takeovers += 1
                self.take_over()
        if not self.alive:
            self._daemon = self._start(die_at)
            # The folders are there when it has come so far, or it died before.
            until(lambda: self.has_inbox or not self.alive, "the inbox is there")

    @property
    def has_inbox(self) -> bool:
        """Say whether hooks can ask for something."""
        return (self._folder / "state" / "inbox" / "tmp").exists()

    def start_standby(self, die_at: str = "") -> None:
        """Start a daemon that waits for the other's end, and wait until it waits, or need not."""
        waiting = self._said(" standby ")
        standby = self._standby = self._start(die_at, "--standby")
        until(lambda: self._said(" standby ") > waiting or not (self.alive and standby.alive), "a standby waits")

    def take_over(self) -> None:
        """Call the one that stood by the daemon."""
        self._daemon, self._standby = self._standby, None

    def stop(self) -> None:
        """Tell the daemon to stop, and wait for its end: no death, unless it dies on the way."""
        stopped = self._said(" stopped")
        if self._daemon is not None and self._daemon.signal(signal.SIGTERM):
            until(lambda: not self.alive, "the daemon has ended")
        if self._said(" stopped") > stopped:
            self._daemon = None

    def hang(self, *, hangs: bool) -> None:
        """Stop the daemon's process, or let it go on."""
        if self._daemon is not None:
            self._daemon.signal(signal.SIGSTOP if hangs else signal.SIGCONT)

    def kill(self) -> None:
        """End the daemon by SIGKILL, if it runs."""
        if self._daemon is not None and self._daemon.signal(signal.SIGKILL):
            until(lambda: not self.alive, "the daemon is dead")

    def kill_all(self) -> None:
        """End it and the one that stands by."""
        if self._standby is not None and self._standby.signal(signal.SIGKILL):
            until(lambda: not self.standby_alive, "the standby is dead")
        self._standby = None
        self.kill()

    def said(self) -> str:
        """Read the end of their log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-60:]) if self.log.exists() else ""

    def _said(self, word: str) -> int:
        return self.log.read_text(errors="replace").count(word) if self.log.exists() else 0

    def _start(self, die_at: str, *options: str) -> Started:
        more = {VARIABLE: die_at} if die_at else {}
        if self.plant:
            more |= {plants.VARIABLE: self.plant, plants.FOLDER_VARIABLE: str(self._folder)}
        arguments = [f"--config={self._folder / 'amlfs.toml'}", *options]
        return self._starter.start("daemon", arguments, self.log, **more)
