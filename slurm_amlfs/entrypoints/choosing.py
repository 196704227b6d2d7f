"""Choose the way to Slurm at the start: pyslurm where it is there and matches the installed Slurm, or its commands."""

from __future__ import annotations

import importlib.util
import logging
import sys

from slurm_amlfs.adapters import log
from slurm_amlfs.adapters.slurm_apart import SlurmApart
from slurm_amlfs.adapters.slurm_cli import SlurmCommands
from slurm_amlfs.config import Client
from slurm_amlfs.config import Slurm as Settings
from slurm_amlfs.entrypoints import slurm_process
from slurm_amlfs.errors import PermanentError, TemporaryError, UserError

_LOG = logging.getLogger(__name__)

PACKAGE = "pyslurm"


def choose_slurm(settings: Settings) -> SlurmApart | SlurmCommands:
    """Make the client that the configuration asks for, and say in the log which it is; `close` ends what it started.

    Raises:
        UserError: pyslurm is asked for by name, and is not there or does not match.
        TemporaryError: pyslurm is asked for, and does not answer.
    """
    commands = SlurmCommands(settings.bin_dir, settings.conf)
    if settings.client is Client.COMMANDS:
        return _told(commands, "commands", why='client = "commands"')
    pyslurm = SlurmApart(slurm_argv(settings), commands)
    try:
        versions = _matching(pyslurm, commands)
    except (PermanentError, TemporaryError) as error:
        pyslurm.close()
        if settings.client is Client.AUTO:
            return _told(commands, "commands", why=error.message)
        if isinstance(error, TemporaryError):
            raise
        raise UserError(
            f'slurm.client: "{settings.client}", but {error.message}; install {PACKAGE} of Slurm\'s own release for'
            f' {sys.executable}, or write client = "{Client.AUTO}"'
        ) from error
    return _told(pyslurm, "pyslurm", pyslurm=versions[0], slurm=versions[1])


def slurm_argv(settings: Settings) -> list[str]:
    """Spell the program that has pyslurm."""
    conf = str(settings.conf) if settings.conf else ""
    return [sys.executable, "-P", "-X", "utf8", "-m", slurm_process.__name__, conf]


def _matching(pyslurm: SlurmApart, commands: SlurmCommands) -> tuple[str, str]:
    """Tell both versions, pyslurm's and Slurm's.

    Raises:
        PermanentError: they do not match, or there is no pyslurm.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise PermanentError(f"{PACKAGE} is not installed")
    installed = commands.version()
    its_own, built_for = pyslurm.versions()
    if not _release(its_own) == _release(built_for) == _release(installed):
        raise PermanentError(f"{PACKAGE} {its_own} was built for Slurm {built_for}, and Slurm {installed} is installed")
    return its_own, installed


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(it) for it in version.split(".")[:2])


def _told(client: SlurmApart | SlurmCommands, word: str, **more: str) -> SlurmApart | SlurmCommands:
    log.event(_LOG, logging.INFO, "slurm-client", client=word, **more)
    return client
