"""Starts daemons and emulators by forking an interpreter that has loaded them: a start costs 20 ms and not a second.

What is started is a process of its own with the program's own entry, killed by SIGKILL like any other. It speaks lines
of JSON: {"program", "arguments", "environment", "log"} comes in, {"pid"} goes out. It ends with its standard input, and
what it has started with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

from sandbox.kernel import die_with_parent
from tests.faults import plants

PROGRAMS = {"daemon": "slurm_amlfs.entrypoints.daemon", "emulator": "slurm_amlfs.emulator.program"}
"""Modules with a typer application called `app`."""

_WARM = ("azure.mgmt.storagecache", "azure.storage.blob", "azure.mgmt.storagecache.models", "mfusepy", "sqlite3")


class Starter:
    """The other end of it, for whoever wants things started. Safe for threads."""

    def __init__(self, environment: Mapping[str, str], asks: IO[str], tells: IO[str], pid: int) -> None:
        self._environment = dict(environment)
        self._asks, self._tells, self._pid = asks, tells, pid
        self._lock = threading.Lock()

    @classmethod
    def forked(cls, environment: Mapping[str, str]) -> Starter:
        """Fork it off this process, which has only this thread and has loaded what is to be started."""
        asked, asks = os.pipe()
        tells, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(asks)
            os.close(tells)
            serve(os.fdopen(asked, "r"), os.fdopen(told, "w"))
            os._exit(0)
        os.close(asked)
        os.close(told)
        return cls(environment, os.fdopen(asks, "w"), os.fdopen(tells, "r"), pid)

    @classmethod
    def begun(cls, environment: Mapping[str, str]) -> Starter:
        """Begin it as a program of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.starter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        # Its end is waited for here.
        process.returncode = 0
        return cls(environment, process.stdin, process.stdout, process.pid)

    def start(self, program: str, arguments: Sequence[str], log: Path, **environment: str) -> Started:
        """Start one of `PROGRAMS`; what it prints is added to `log`."""
        wish = {"program": program, "arguments": list(arguments), "log": str(log)}
        with self._lock:
            self._asks.write(json.dumps({**wish, "environment": {**self._environment, **environment}}) + "\n")
            self._asks.flush()
            return Started(int(json.loads(self._tells.readline())["pid"]))

    def close(self) -> None:
        """End it, and what it has started."""
        self._asks.close()
        os.waitpid(self._pid, 0)
        self._tells.close()


class Started:
    """A process that was started, followed by a pidfd, so that nobody else's pid is ever signalled."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._fd = -1

    @property
    def alive(self) -> bool:
        """Say whether it runs."""
        return self.signal(0)

    def signal(self, number: int) -> bool:
        """Send it a signal; False if it is gone."""
        if self._fd < 0:
            return False
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            os.close(self._fd)
            self._fd = -1
            return False
        return True


def load() -> None:
    """Load all that is started, so that a fork has it."""
    for module in (*PROGRAMS.values(), *_WARM):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def serve(asked: IO[str], told: IO[str]) -> None:
    """Start what is asked for until nobody asks any more."""
    signal.signal(signal.SIGCHLD, _reap)
    while line := asked.readline():
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line))
        told.write(json.dumps({"pid": pid}) + "\n")
        told.flush()


def _reap(*_: object) -> None:
    """Take the ends of what has ended: a dead process is gone then, and its time is counted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(wish: Mapping[str, object]) -> NoReturn:
    code = 1
    try:
        die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.chdir(Path(str(wish["log"])).parent)
        log = os.open(str(wish["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, fd in enumerate((nothing, log, log)):
            os.dup2(fd, number)
        environment, arguments = wish["environment"], wish["arguments"]
        assert isinstance(environment, dict)
        assert isinstance(arguments, list)
        os.environ.clear()
        os.environ.update(environment)
        if name := environment.get(plants.VARIABLE):
            plants.plant(name)
        app = importlib.import_module(PROGRAMS[str(wish["program"])]).app
        with contextlib.suppress(SystemExit):
            app(arguments)
        code = 0
    except BaseException as error:  # noqa: BLE001 - it is the whole process
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    load()
    serve(sys.stdin, sys.stdout)
