"""slurm-amlfsd: the controller."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from slurm_amlfs import config
from slurm_amlfs.adapters import log
from slurm_amlfs.entrypoints.building import build
from slurm_amlfs.errors import AmlfsError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    path: Annotated[Path, typer.Option("--config", help="The configuration file.")] = config.DEFAULT_PATH,
) -> None:
    """Stage data for Slurm jobs until told to stop (SIGTERM or SIGINT)."""
    try:
        settings = config.load(path)
        log.set_up(settings.log_level)
        loop = build(settings)
    except AmlfsError as error:
        sys.stderr.write(f"slurm-amlfsd: {error.message}\n")
        raise typer.Exit(1) from error
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logger = logging.getLogger(__name__)
    log.event(logger, logging.INFO, "ready", config=path, state_dir=settings.state_dir)
    loop.run(stop)
    log.event(logger, logging.INFO, "stopped")


def main() -> None:
    """Run as a program."""
    app()
