"""slurm-amlfsd: the controller."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from slurm_amlfs import config
from slurm_amlfs.adapters import log
from slurm_amlfs.adapters.crash_points import Reach, from_environment
from slurm_amlfs.adapters.tenure import Tenure
from slurm_amlfs.application.failures import Failures
from slurm_amlfs.entrypoints.building import build
from slurm_amlfs.entrypoints.taking import take_term
from slurm_amlfs.errors import AmlfsError, FencedError, TemporaryError

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    path: Annotated[Path, typer.Option("--config", help="The configuration file.")] = config.DEFAULT_PATH,
    *,
    standby: Annotated[bool, typer.Option("--standby", help="Wait, and take over from a daemon that ends.")] = False,
) -> None:
    """Stage data for Slurm jobs until told to stop (SIGTERM or SIGINT)."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = config.load(path)
        log.set_up(settings.log_level)
        reach = from_environment(os.environ)
        tenure = _tried(lambda: take_term(settings, stop, standby=standby, reach=reach), stop)
    except AmlfsError as error:
        _refuse(error)
    ended = True
    if tenure is not None:
        ended = _serve(settings, path, tenure, reach, stop)
    log.event(_LOG, logging.INFO, "stopped")
    if not ended:
        _end(0)


def _serve(settings: config.Config, path: Path, tenure: Tenure, reach: Reach | None, stop: threading.Event) -> bool:
    """Be the daemon that acts, until told to stop; say whether all that it began has ended."""
    ended = True
    try:
        loop = _tried(lambda: build(settings, tenure, reach), stop, tenure)
        if loop is not None:
            log.event(_LOG, logging.INFO, "ready", config=path, state_dir=settings.state_dir)
            ended = loop.run(stop)
    except FencedError as error:
        log.event(_LOG, logging.ERROR, "term-lost", error=error.message)
        _end(1)
    except AmlfsError as error:
        tenure.give_back()
        _refuse(error)
    if ended:
        # What hangs may still do something; another waits then until it is certain that this process is no more.
        tenure.give_back()
    return ended


def _tried(attempt: Callable[[], T | None], stop: threading.Event, tenure: Tenure | None = None) -> T | None:
    """Do what a start needs as soon as it can be done, as when a disk has room again; None if told to stop first.

    Raises:
        AmlfsError: waiting would not help.
    """
    failures = Failures()
    while not stop.is_set():
        try:
            if tenure is not None:
                tenure.went_on()
            return attempt()
        except TemporaryError as error:
            if failures.failed(error.message):
                log.event(_LOG, logging.ERROR, "start-waits", error=error.message)
            stop.wait(failures.pause_seconds)
    return None


def _refuse(error: AmlfsError) -> NoReturn:
    sys.stderr.write(f"slurm-amlfsd: {error.message}\n")
    raise typer.Exit(1) from error


def _end(code: int) -> NoReturn:
    """End at once: Python would wait for threads that nobody can end, which hang in a call of something outside."""
    logging.shutdown()
    os._exit(code)


def main() -> None:
    """Run as a program."""
    app()
