"""slurm-amlfs: what users and admins type."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from slurm_amlfs import config
from slurm_amlfs.entrypoints import asking, checking, leasing, operating, queueing, ruling, status
from slurm_amlfs.errors import AmlfsError, UserError
from slurm_amlfs.wire import RequestKind

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
config_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The daemon's configuration.")
app.add_typer(config_app, name="config")

ConfigPath = Annotated[
    Path, typer.Option("--config", envvar="AMLFS_CONFIG", help="The configuration file.", show_default=True)
]


def _job_id(text: str) -> int:
    """Read a job id; Python's own reading would take the task 4_2 of an array for job 42."""
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise typer.BadParameter(
            f"{text!r} is no job id; a task of an array has one of its own: scontrol show job {text}"
            if "_" in text
            else f"{text!r} is no job id; give a whole number, as sbatch printed it"
        )
    return int(text)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Prefix = Annotated[str, typer.Argument(help="A prefix, exactly as it is leased.")]
FileSystem = Annotated[str, typer.Option("--fs", help="A file system's name; the site's default if left out.")]
JobId = Annotated[int, typer.Argument(parser=_job_id, help="A job id.", metavar="JOB")]


@app.callback()
def slurm_amlfs(context: typer.Context, path: ConfigPath = config.DEFAULT_PATH) -> None:
    """Stage data between Azure Blob Storage and Azure Managed Lustre as part of Slurm jobs."""
    context.obj = path


@app.command("status")
def show_status(
    context: typer.Context,
    job: Annotated[
        int | None, typer.Argument(parser=_job_id, help="A job id; all that you may see if left out.", metavar="[JOB]")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show how far the staging of a job is, and why it waits."""
    found = status.read(config.load(context.obj).state_dir, job)
    sys.stdout.write(status.as_json(found, single=job is not None) if as_json else status.as_text(found))


@app.command()
def retry(context: typer.Context, job: JobId) -> None:
    """Try the failed stages of a job again now."""
    asking.ask(config.load(context.obj).state_dir, RequestKind.RETRY, job)
    sys.stdout.write(f"asked to try job {job} again; see: slurm-amlfs status {job}\n")


@app.command()
def cancel(context: typer.Context, job: JobId) -> None:
    """Drop the export of a job that has ended; its data stays on Lustre. A waiting job is cancelled by scancel."""
    asking.ask(config.load(context.obj).state_dir, RequestKind.CANCEL, job)
    sys.stdout.write(f"asked to drop the export of job {job}; see: slurm-amlfs status {job}\n")


@app.command("leases")
def show_leases(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show what is on Lustre, or is to be, and who needs it. For operators; works without the daemon."""
    settings = config.load(context.obj)
    operating.check_right(settings, "see leases", "slurm-amlfs status JOB shows a job of yours")
    found = leasing.read(operating.remembered(settings), ruling.rules_of(settings, ""), datetime.now(UTC))
    sys.stdout.write(leasing.as_json(found) if as_json else leasing.as_text(found))


@app.command("queue")
def show_queue(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show what holds each file system's slot, and what waits for it, in order. For operators, as leases is."""
    settings = config.load(context.obj)
    operating.check_right(settings, "see the queue", "slurm-amlfs status JOB shows why a job of yours waits")
    found = queueing.read(operating.remembered(settings), ruling.rules_of(settings, ""), datetime.now(UTC))
    sys.stdout.write(queueing.as_json(found) if as_json else queueing.as_text(found))


@app.command()
def pin(context: typer.Context, prefix: Prefix, fs: FileSystem = "") -> None:
    """Keep what is leased under just this prefix; if nothing is, bring its names in, and keep them. No bytes ahead."""
    fs = operating.say(config.load(context.obj), RequestKind.PIN, fs, prefix)
    sys.stdout.write(f"asked to pin {prefix} on {fs}; see: slurm-amlfs leases\n")


@app.command()
def unpin(context: typer.Context, prefix: Prefix, fs: FileSystem = "") -> None:
    """Let a pinned prefix go by the ordinary rules, as if it had been needed until now."""
    fs = operating.say(config.load(context.obj), RequestKind.UNPIN, fs, prefix)
    sys.stdout.write(f"asked to unpin {prefix} on {fs}; see: slurm-amlfs leases\n")


@app.command()
def evict(context: typer.Context, prefix: Prefix, fs: FileSystem = "") -> None:
    """Give the bytes of a prefix that nobody needs back to Lustre now: what is clean, archived and proved in Blob."""
    fs = operating.say(config.load(context.obj), RequestKind.EVICT, fs, prefix)
    sys.stdout.write(f"asked to evict {prefix} on {fs}; see: slurm-amlfs leases\n")


@config_app.command("check")
def check(context: typer.Context) -> None:
    """Read the configuration and say what it means, or what is wrong with it."""
    sys.stdout.write(checking.as_text(context.obj, config.check(context.obj, checking.is_user)))


def main() -> None:
    """Run as a program: an error is one line on stderr and exit status 1; wrong usage is 2."""
    _add_emulator()
    try:
        app()
    except AmlfsError as error:
        sys.stderr.write(f"slurm-amlfs: {error.message}\n")
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _add_emulator() -> None:
    """Offer the emulator where its extra is installed; it is loaded only when it is asked for, or help is."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if "emulator" not in words[:2] and words:
        return
    try:
        from slurm_amlfs.emulator.program import emulator  # noqa: PLC0415 - aiohttp and FUSE are no part of the product
    except ImportError as error:
        reason = f"the emulator is not installed ({error}); pip install 'slurm-amlfs[emulator]'"

        @app.command("emulator", help="An AMLFS on this machine, for tests and dry runs (extra [emulator]).")
        def missing() -> None:
            raise UserError(reason)

        return
    app.command("emulator")(emulator)
