"""What a job asks of one direction, as read from one directive line.

This module only holds the values; `directive` reads and writes their text, `policy` says who may ask for what.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way the data goes."""

    IN = "stage_in"
    OUT = "stage_out"


class Conflict(StrEnum):
    """What an import does with a path that is on Lustre already (the words of interface.md)."""

    FAIL = "fail"
    SKIP = "skip"
    OVERWRITE_IF_DIRTY = "overwrite-if-dirty"
    OVERWRITE_ALWAYS = "overwrite-always"


OVERWRITES = frozenset({Conflict.OVERWRITE_IF_DIRTY, Conflict.OVERWRITE_ALWAYS})
"""Modes that may replace what is on Lustre."""


class Hydrate(StrEnum):
    """Whether the bytes are restored before the job starts, or at first read."""

    ALL = "all"
    NONE = "none"


class ExportOn(StrEnum):
    """After which end of the job its outputs are exported.

    A run that Slurm ends to run the job again is no end of the job: what it leaves is exported by EACH_RUN alone.
    """

    SUCCESS = "success"
    FAILURE = "failure"
    ALWAYS = "always"
    EACH_RUN = "each-run"


@dataclass(frozen=True, slots=True)
class Ask:
    """One directive line.

    `prefixes` are decoded, absolute in the container, "/" first, in the order given, without duplicates.
    `fs` is "" for the site's default. `max_errors` is -1 for no limit. `release` is None for the direction's default
    (outputs: yes; inputs: kept). `refresh` says that no look at Blob from before the job serves it. `to` is
    "CONTAINER/PREFIX" or "". `capacity_bytes` are what Slurm is to charge for the line in its own pool `pool`, 0 and ""
    for no charge. Words of the other direction keep their defaults.
    """

    direction: Direction
    prefixes: tuple[str, ...]
    fs: str = ""
    conflict: Conflict = Conflict.SKIP
    max_errors: int = 1000
    hydrate: Hydrate = Hydrate.ALL
    on: ExportOn = ExportOn.ALWAYS
    to: str = ""
    pack: str = ""
    release: bool | None = None
    refresh: bool = False
    capacity_bytes: int = 0
    pool: str = ""
