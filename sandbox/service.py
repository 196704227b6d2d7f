"""One program of a site: started, watched until it is ready, stopped by its pid; what it prints goes into a file."""

from __future__ import annotations

import pwd
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox import watch

START_SECONDS = 120.0
"""Azurite alone takes 30 s on a machine that others load; a wait ends as soon as the service is ready."""
STOP_SECONDS = 10.0
TAIL_LINES = 25

Ready = Callable[[str], bool]
"""Says whether a service is ready, from what it has printed since it was started."""


class StartError(Exception):
    """A service did not come up; the text ends with what it printed."""


class Service:
    """A program that runs until it is stopped. Starting what runs and stopping what does not is success.

    Args:
        name: What it is called in messages; its log is NAME.log.
        argv: An absolute path, and arguments.
        logs: The folder of the logs.
        ready: When it counts as started.
        environment: All that it gets; nothing is inherited.
        user: Whom it runs as.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a process is
        self,
        name: str,
        argv: Sequence[str],
        logs: Path,
        ready: Ready,
        environment: Mapping[str, str],
        user: str = "root",
    ) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self._argv = list(argv)
        self._ready = ready
        self._environment = dict(environment)
        self._account = pwd.getpwnam(user)
        self._process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    @property
    def running(self) -> bool:
        """Say whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The pid of the process that runs.

        Raises:
            StartError: none does.
        """
        if self._process is None or not self.running:
            raise StartError(f"{self.name} does not run")
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            StartError: it ended, or is not ready in time.
        """
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it, and let it come up while others do."""
        if self.running:
            return
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd="/",
                start_new_session=True,  # an interrupt from the terminal is for who started the site, not for its parts
                user=self._account.pw_uid,
                group=self._account.pw_gid,
                extra_groups=[],
            )

    def wait_until_ready(self) -> None:
        """Wait until a launched service is ready.

        Raises:
            StartError: it ended, or is not ready in time.
        """
        try:
            watch.until(lambda: not self.running or self._ready(self.said()), START_SECONDS, f"{self.name} is ready")
        except watch.NotYetError as error:
            self.kill()
            raise StartError(f"{error}\n{self.tail()}") from error
        if not self.running:
            raise StartError(f"{self.name} ended at its start\n{self.tail()}")

    def stop(self) -> None:
        """End it by SIGTERM, and by SIGKILL if it does not heed that."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def said(self) -> str:
        """Read what it has printed since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._said_before)
            return log.read().decode("utf-8", "replace")

    def tail(self) -> str:
        """Read the last lines that it printed, under its name."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join([f"--- {self.log}", *text.splitlines()[-TAIL_LINES:]])
