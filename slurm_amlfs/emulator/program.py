"""The emulator as a program: `slurm-amlfs emulator`, or `python -m slurm_amlfs.emulator.program`.

Prints one line "ready ..." on stdout when ARM answers and the file system is mounted; SIGTERM and SIGINT end it. What
it knows survives in its folder.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from slurm_amlfs.emulator.assembly import Settings, running
from slurm_amlfs.emulator.rates import Rates
from slurm_amlfs.emulator.refusal import Conflict
from slurm_amlfs.errors import AmlfsError

WATCH_SECONDS = 0.5
"""How often the mount is looked after."""

DEFAULT_PORT = 10080
"""Beside Azurite's own 10000 to 10002."""

DEFAULTS = Settings(Path())
RATES = DEFAULTS.rates

app = typer.Typer(add_completion=False, help="An Azure Managed Lustre that fits on one machine.")

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until somebody unmounts the file system.

    The signals are taken before FUSE starts: libfuse leaves handlers alone that are set already.

    Raises:
        UserError, PermanentError, TemporaryError: as `assembly.running`.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with running(settings) as emulator:
        where = f" mount={settings.mount}" if settings.mount else ""
        sys.stdout.write(f"ready arm={emulator.url}{where}\n")
        sys.stdout.flush()
        while not stop.wait(WATCH_SECONDS):
            if not emulator.alive:
                log.error("mount_gone path=%s", settings.mount)
                break


@app.command()
def emulator(  # noqa: PLR0913, PLR0917 - one argument per option
    folder: Annotated[Path, typer.Option(help="Where its state and the files' bytes are kept.")],
    mount: Annotated[
        Path | None, typer.Option(help="Where to mount the file system; without it there is ARM only.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of ARM on 127.0.0.1; 0 takes a free one.")] = DEFAULT_PORT,
    container_url: Annotated[
        str, typer.Option(help="Azurite's http://127.0.0.1:PORT/devstoreaccount1/CONTAINER; made if it is not there.")
    ] = "",
    contents: Annotated[
        Path | None, typer.Option(help="A folder whose files are the blobs, instead of Azurite.")
    ] = None,
    copytool: Annotated[
        Path | None, typer.Option(help="build/copytool.so, to restore small files of that folder faster.")
    ] = None,
    subscription: Annotated[str, typer.Option(help="The subscription's id.")] = DEFAULTS.subscription,
    resource_group: Annotated[str, typer.Option(help="The resource group's name.")] = DEFAULTS.resource_group,
    amlfs: Annotated[str, typer.Option(help="The file system's name.")] = DEFAULTS.amlfs,
    location: Annotated[str, typer.Option(help="The region.")] = DEFAULTS.location,
    hierarchical: Annotated[bool, typer.Option(help="A hierarchical namespace: prefixes are directories.")] = False,  # noqa: FBT002 - an option of the command line
    capacity_bytes: Annotated[int, typer.Option(help="What the file system can hold.")] = DEFAULTS.capacity_bytes,
    max_requests: Annotated[int, typer.Option(help="HSM requests that run at a time.")] = DEFAULTS.max_requests,
    cache_seconds: Annotated[
        float, typer.Option(help="Seconds for which the kernel may remember names and attributes.")
    ] = DEFAULTS.cache_seconds,
    walk_rate: Annotated[
        float, typer.Option(help="Blobs walked a second; 0 is unlimited, as for all rates.")
    ] = RATES.walk_per_second,
    import_rate: Annotated[float, typer.Option(help="Blobs imported a second.")] = RATES.import_per_second,
    import_overhead: Annotated[
        float, typer.Option(help="Seconds that an import of nothing takes.")
    ] = RATES.import_overhead_seconds,
    operation_seconds: Annotated[
        float, typer.Option(help="Seconds that an ARM operation takes.")
    ] = RATES.operation_seconds,
    cancel_seconds: Annotated[float, typer.Option(help="Seconds that a job stays Cancelling.")] = RATES.cancel_seconds,
    archive_overhead: Annotated[
        float, typer.Option(help="Seconds that an archive of nothing takes.")
    ] = RATES.archive_overhead_seconds,
    scan_rate: Annotated[
        float, typer.Option(help="Files scanned a second by an archive.")
    ] = RATES.archive_scan_per_second,
    archive_rate: Annotated[float, typer.Option(help="Files archived a second.")] = RATES.archive_files_per_second,
    archive_bytes: Annotated[float, typer.Option(help="Bytes archived a second.")] = RATES.archive_bytes_per_second,
    restore_rate: Annotated[float, typer.Option(help="Bytes restored a second.")] = RATES.restore_bytes_per_second,
    auto_interval: Annotated[
        float, typer.Option(help="Seconds between the passes of an auto job.")
    ] = RATES.auto_interval_seconds,
    conflict_status: Annotated[
        int, typer.Option(help="HTTP status of a refusal while the slot is taken.")
    ] = DEFAULTS.conflict.status,
    conflict_code: Annotated[
        str, typer.Option(help="error.code of a refusal while the slot is taken.")
    ] = DEFAULTS.conflict.code,
) -> None:
    """Run an AMLFS on this machine: ARM over HTTP, HSM on a FUSE mount, blobs in Azurite."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("azure").setLevel(logging.WARNING)
    run(
        Settings(
            folder=folder,
            container_url=container_url,
            contents=contents,
            copytool=copytool,
            mount=mount,
            port=port,
            subscription=subscription,
            resource_group=resource_group,
            amlfs=amlfs,
            location=location,
            hierarchical=hierarchical,
            capacity_bytes=capacity_bytes,
            max_requests=max_requests,
            cache_seconds=cache_seconds,
            rates=Rates(
                walk_per_second=walk_rate,
                import_per_second=import_rate,
                import_overhead_seconds=import_overhead,
                operation_seconds=operation_seconds,
                cancel_seconds=cancel_seconds,
                archive_overhead_seconds=archive_overhead,
                archive_scan_per_second=scan_rate,
                archive_files_per_second=archive_rate,
                archive_bytes_per_second=archive_bytes,
                restore_bytes_per_second=restore_rate,
                auto_interval_seconds=auto_interval,
            ),
            conflict=Conflict(conflict_status, conflict_code),
        )
    )


if __name__ == "__main__":
    try:
        app()
    except AmlfsError as failure:
        sys.stderr.write(f"slurm-amlfs emulator: {failure.message}\n")
        sys.exit(1)
