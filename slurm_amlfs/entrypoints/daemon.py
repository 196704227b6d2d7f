"""slurm-amlfsd: the controller."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from slurm_amlfs import config
from slurm_amlfs.adapters import log
from slurm_amlfs.application.failures import Failures
from slurm_amlfs.application.loop import Loop
from slurm_amlfs.entrypoints.building import build
from slurm_amlfs.errors import AmlfsError, TemporaryError

_LOG = logging.getLogger(__name__)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    path: Annotated[Path, typer.Option("--config", help="The configuration file.")] = config.DEFAULT_PATH,
) -> None:
    """Stage data for Slurm jobs until told to stop (SIGTERM or SIGINT)."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = config.load(path)
        log.set_up(settings.log_level)
        loop = _built(settings, stop)
    except AmlfsError as error:
        sys.stderr.write(f"slurm-amlfsd: {error.message}\n")
        raise typer.Exit(1) from error
    ended = True
    if loop is not None:
        log.event(_LOG, logging.INFO, "ready", config=path, state_dir=settings.state_dir)
        ended = loop.run(stop)
    log.event(_LOG, logging.INFO, "stopped")
    if not ended:
        # Python would wait for threads that nobody can end: they hang in a call of something outside.
        logging.shutdown()
        os._exit(0)


def _built(settings: config.Config, stop: threading.Event) -> Loop | None:
    """Build the daemon as soon as that can be done, as when a disk has room again; None if it is told to stop first.

    Raises:
        AmlfsError: waiting would not help.
    """
    failures = Failures()
    while not stop.is_set():
        try:
            return build(settings)
        except TemporaryError as error:
            if failures.failed(error.message):
                log.event(_LOG, logging.ERROR, "start-waits", error=error.message)
            stop.wait(failures.pause_seconds)
    return None


def main() -> None:
    """Run as a program."""
    app()
