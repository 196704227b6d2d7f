"""Reading the file, for the daemon and the commands (`load`) and for who has just edited it (`check`)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import ValidationError

from slurm_amlfs.config.faults import faults
from slurm_amlfs.config.parts import Config
from slurm_amlfs.config.whole import contradictions, idle, left_as_they_were
from slurm_amlfs.errors import UserError

DEFAULT_PATH = Path("/etc/slurm-amlfs/amlfs.toml")


def load(path: Path) -> Config:
    """Read a configuration file that a daemon can work with.

    A sample whose placeholders are still in it is refused: the daemon would ask Azure for ever for what nobody has. No
    grant at all is a right configuration, of a site that has closed its doors.

    Raises:
        UserError: it cannot be read, is not TOML, or is wrong; one line for each fault.
    """
    config = _read(path)
    _refuse(path, contradictions(config), left_as_they_were(config))
    return config


def check(path: Path, is_user: Callable[[str], bool]) -> Config:
    """Read a configuration file as `load` does, and refuse besides what cannot be meant.

    Args:
        path: The file.
        is_user: Whether this host knows a login name.

    Raises:
        UserError: as in `load`; or nobody may move anything; or a user is not known here.
    """
    config = _read(path)
    _refuse(path, contradictions(config), left_as_they_were(config), idle(config, is_user))
    return config


def _read(path: Path) -> Config:
    try:
        tree = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); create it from etc/amlfs.toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not TOML: {error}; mend that line") from error
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise UserError(_lines(path, faults(error))) from error


def _refuse(path: Path, *found: Iterable[str]) -> None:
    if lines := _lines(path, (fault for faults_of_one_kind in found for fault in faults_of_one_kind)):
        raise UserError(lines)


def _lines(path: Path, told: Iterable[str]) -> str:
    return "\n".join(f"{path}: {line}" for line in told)
