"""The configuration's parts: which keys there are, and their bounds and defaults.

What a key is for stands in `etc/amlfs.toml`. The `examples` are what a message shows where there is no default.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from slurm_amlfs.config.values import (
    AbsolutePath,
    ArmName,
    ContainerUrl,
    Count,
    FolderPrefix,
    GrantPrefixes,
    Name,
    SafeUrl,
    Subscription,
    absolute,
)
from slurm_amlfs.domain.prefix import Namespace
from slurm_amlfs.domain.world import Ahead, ExportBy, Mode

ANY = "*"
"""Stands for every file system, and for every user."""


MOST_MINUTES = 525_600
"""A year."""

FileSystemOrAny = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,62})$")]


class Part(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Client(StrEnum):
    """By what Slurm is reached: pyslurm where it matches, pyslurm or not at all, or Slurm's commands."""

    AUTO = "auto"
    PYSLURM = "pyslurm"
    COMMANDS = "commands"


class Slurm(Part):
    """How to reach Slurm, and what keeps jobs from starting.

    `user` is slurm.conf's SlurmUser; `conf` is SLURM_CONF for the commands and pyslurm, None for theirs.
    """

    user: Name = "slurm"
    mode: Mode = Mode.BURST_BUFFER
    client: Client = Client.AUTO
    bin_dir: AbsolutePath = Path("/usr/bin")
    conf: Annotated[Path | None, BeforeValidator(lambda text: None if text == "" else absolute(text))] = None


class Azure(Part):
    """How to reach ARM, how many retries an hour all of the daemon may make, and how often it looks."""

    arm_url: SafeUrl = "https://management.azure.com"
    retries_per_hour: Annotated[int, Field(strict=True, ge=0)] = 600
    poll_seconds: Annotated[float, Field(strict=True, ge=0.05, le=300)] = 5.0


Seconds = Annotated[float, Field(strict=True, ge=0.1, le=86_400)]


class Limits(Part):
    """Bounds of one daemon's work; their reasons and units are in the sample."""

    attempts: Count = 3
    prefixes_per_import: Annotated[int, Field(strict=True, ge=1, le=100)] = 100
    restore_window: Count = 2000
    archive_window: Count = 2000
    comment_seconds: Count = 10
    workers: Annotated[int, Field(strict=True, ge=1, le=64)] = 8
    stall_minutes: Count = 10
    lustre_seconds: Annotated[float, Field(strict=True, ge=1, le=3600)] = 60.0
    lustre_processes: Annotated[int, Field(strict=True, ge=1, le=64)] = 4


class Slot(Part):
    """How the slot of each file system is shared; reasons and units are in the sample."""

    turn_seconds: Seconds = 60.0
    cut_seconds: Seconds = 10.0
    overhead_seconds: Seconds = 5.0
    blobs_per_second: Annotated[float, Field(strict=True, ge=1, le=1e9)] = 2000.0
    list_seconds: Seconds = 120.0
    list_blobs: Count = 5_000_000
    believe_minutes: Count = 10
    keep_hours: Count = 168
    most_leases: Count = 100_000
    ahead: Ahead = Ahead.BATCH
    pools: Annotated[bool, Field(strict=True)] = False


class Standby(Part):
    """How one daemon holds the state directory, and another takes over; reasons and units are in the sample."""

    renew_seconds: Annotated[float, Field(strict=True, ge=0.1, le=60)] = 3.0
    takeover_seconds: Annotated[float, Field(strict=True, ge=1, le=3600)] = 20.0
    hang_seconds: Annotated[float, Field(strict=True, ge=10, le=86_400)] = 600.0


class Watchdog(Part):
    """What is done about jobs that Slurm has left behind; the sample has the whole of it."""

    after_seconds: Seconds = 300.0
    mend: Annotated[bool, Field(strict=True)] = False


class FileSystem(Part):
    """One AMLFS file system: where it is mounted here, which Azure resource it is, and the container behind it."""

    name: Annotated[Name, Field(examples=["lustre"])]
    mount: Annotated[AbsolutePath, Field(examples=["/lustre"])]
    namespace: Annotated[Namespace, Field(examples=["flat"])]
    subscription: Annotated[Subscription, Field(examples=["UUID"])]
    resource_group: Annotated[ArmName, Field(examples=["hpc"])]
    amlfs: Annotated[ArmName, Field(examples=["amlfs1"])]
    container_url: Annotated[ContainerUrl, Field(examples=["https://ACCOUNT.blob.core.windows.net/CONTAINER"])]
    lfs: AbsolutePath = Path("/usr/bin/lfs")
    export_by: ExportBy = ExportBy.ARM


class Grant(Part):
    """Who may move what. `users` are login names or "*"; prefixes end with "/"."""

    file_system: FileSystemOrAny = ANY
    users: Annotated[
        tuple[Annotated[str, Field(pattern=r"^(\*|[^\s:*/]{1,256})$")], ...],
        Field(min_length=1, examples=[["alice", "bob"]]),
    ]
    imports: Annotated[GrantPrefixes, Field(alias="import", examples=[["/data/"]])] = ()
    exports: Annotated[GrantPrefixes, Field(alias="export", examples=[["/jobs/"]])] = ()


class AgeLimit(Part):
    """How old a proof may be that serves later jobs under a prefix, which ends with "/"."""

    file_system: FileSystemOrAny = ANY
    prefix: Annotated[FolderPrefix, Field(examples=["/reference/"])]
    minutes: Annotated[int, Field(strict=True, ge=0, le=MOST_MINUTES, examples=[1440])]


class Config(Part):
    """The whole file. The first file system is the site's default."""

    state_dir: AbsolutePath = Path("/var/lib/slurm-amlfs")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    slurm: Slurm = Slurm()
    azure: Azure = Azure()
    limits: Limits = Limits()
    slot: Slot = Slot()
    standby: Standby = Standby()
    watchdog: Watchdog = Watchdog()
    file_systems: Annotated[tuple[FileSystem, ...], Field(alias="file_system")] = ()
    grants: Annotated[tuple[Grant, ...], Field(alias="grant")] = ()
    age_limits: Annotated[tuple[AgeLimit, ...], Field(alias="age_limit")] = ()
