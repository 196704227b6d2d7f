"""What the configuration decides, as the domain's rules. Loads nothing of Azure's: commands need it too."""

from __future__ import annotations

import os
import pwd
from datetime import timedelta

from slurm_amlfs.config import ANY, Config
from slurm_amlfs.domain.belief import AgeLimit
from slurm_amlfs.domain.policy import Grant
from slurm_amlfs.domain.world import FsRules, Rules
from slurm_amlfs.errors import UserError


def rules_of(config: Config, epoch: str) -> Rules:
    """Read off the configuration what decides.

    Raises:
        UserError: it names a user whom this host does not have.
    """
    return Rules(
        file_systems={
            it.name: FsRules(it.name, str(it.mount), it.namespace, it.export_by) for it in config.file_systems
        },
        grants=tuple(
            Grant(grant.file_system, _uids(grant.users), grant.imports, grant.exports) for grant in config.grants
        ),
        epoch=epoch,
        attempts=config.limits.attempts,
        prefixes_per_import=config.limits.prefixes_per_import,
        comment_every=timedelta(seconds=config.limits.comment_seconds),
        stall=timedelta(minutes=config.limits.stall_minutes),
        turn=timedelta(seconds=config.slot.turn_seconds),
        cut=timedelta(seconds=config.slot.cut_seconds),
        overhead=timedelta(seconds=config.slot.overhead_seconds),
        blobs_per_second=config.slot.blobs_per_second,
        list_time=timedelta(seconds=config.slot.list_seconds),
        list_blobs=config.slot.list_blobs,
        fresh=timedelta(minutes=config.slot.believe_minutes),
        age_limits=tuple(
            AgeLimit(it.file_system, it.prefix, timedelta(minutes=it.minutes)) for it in config.age_limits
        ),
        ahead=config.slot.ahead,
        keep_lease=timedelta(hours=config.slot.keep_hours),
        most_leases=config.slot.most_leases,
        operators=operators(config),
        mode=config.slurm.mode,
        left_behind=timedelta(seconds=config.watchdog.after_seconds),
        mend=config.watchdog.mend,
    )


def _uids(users: tuple[str, ...]) -> frozenset[int] | None:
    return None if ANY in users else frozenset(user(name, "grant.users").pw_uid for name in users)


def operators(config: Config) -> frozenset[int]:
    """Name those whose word counts for everybody's data: root, SlurmUser, and whoever runs the daemon."""
    return frozenset({0, os.geteuid(), user(config.slurm.user, "slurm.user").pw_uid})


def user(name: str, key: str) -> pwd.struct_passwd:
    """Look a login name up; `key` is where the configuration has it.

    Raises:
        UserError: this host does not know it.
    """
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        raise UserError(
            f"{key}: there is no user {name!r} on this host; correct the name or create the user"
        ) from error
