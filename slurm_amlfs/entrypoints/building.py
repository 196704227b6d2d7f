"""Build the daemon's parts from the configuration, and join them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from datetime import timedelta
from functools import cache

from azure.core.credentials import TokenCredential
from azure.identity import DefaultAzureCredential

from slurm_amlfs.adapters.arm import ArmFileSystem
from slurm_amlfs.adapters.blob import BlobContainer
from slurm_amlfs.adapters.board import BoardFolder
from slurm_amlfs.adapters.clock import SystemClock
from slurm_amlfs.adapters.inbox import MaildirInbox
from slurm_amlfs.adapters.lfs import Lfs
from slurm_amlfs.adapters.lustre import LustreMount
from slurm_amlfs.adapters.pools import PoolsFile
from slurm_amlfs.adapters.retry import Retry, RetryBudget, RetryingArm
from slurm_amlfs.adapters.slurm_cli import SlurmCommands
from slurm_amlfs.adapters.store import FILE_NAME, SqliteStore
from slurm_amlfs.application.looking import Pace
from slurm_amlfs.application.loop import Loop, Outside
from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.config import ANY, Config
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.policy import Grant, site_lines
from slurm_amlfs.domain.world import FsRules, Rules
from slurm_amlfs.errors import UserError
from slurm_amlfs.wire import Site


def build(config: Config) -> Loop:
    """Build the daemon.

    Raises:
        UserError: the configuration names what this host does not have.
        PermanentError, TemporaryError: the state directory or the database cannot be used.
    """
    slurm_user = _user(config.slurm.user, "slurm.user")
    board = BoardFolder(config.state_dir, slurm_user.pw_uid, slurm_user.pw_gid)
    inbox = MaildirInbox(config.state_dir / "inbox", {0, os.geteuid(), slurm_user.pw_uid})
    store = SqliteStore(config.state_dir / FILE_NAME)
    rules = _rules(config, store.epoch)
    board.publish_site(_site(rules))
    outside = Outside(
        file_systems=_file_systems(config),
        slurm=SlurmCommands(config.slurm.bin_dir, config.slurm.conf),
        inbox=inbox,
        board=board,
        store=store,
        pools=_pools(config, slurm_user.pw_gid),
    )
    pace = Pace(arm=timedelta(seconds=config.azure.poll_seconds))
    return Loop(outside, rules, pace, workers=config.limits.workers, restore_window=config.limits.restore_window)


def _pools(config: Config, slurm_gid: int) -> PoolsFile | None:
    """Make what tells Slurm of pools; without them, see to it that Slurm is told of none."""
    pools = PoolsFile(config.state_dir, slurm_gid)
    if config.slot.pools:
        return pools
    pools.remove()
    return None


def _file_systems(config: Config) -> dict[str, FileSystem]:
    retry = Retry(RetryBudget(config.azure.retries_per_hour), SystemClock().now)
    credential: Callable[[], TokenCredential] = cache(DefaultAzureCredential)
    return {
        it.name: FileSystem(
            arm=RetryingArm(
                ArmFileSystem(config.azure.arm_url, it.subscription, it.resource_group, it.amlfs, credential), retry
            ),
            blobs=BlobContainer(it.container_url, credential),
            lustre=LustreMount(it.mount, Lfs(it.lfs)),
            namespace=it.namespace,
        )
        for it in config.file_systems
    }


def _rules(config: Config, epoch: str) -> Rules:
    return Rules(
        file_systems={it.name: FsRules(it.name, str(it.mount), it.namespace) for it in config.file_systems},
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
        fresh=timedelta(minutes=config.slot.believe_minutes),
        ahead=config.slot.ahead,
        keep_lease=timedelta(hours=config.slot.keep_hours),
    )


def _uids(users: tuple[str, ...]) -> frozenset[int] | None:
    return None if ANY in users else frozenset(_user(name, "grant.users").pw_uid for name in users)


def _user(name: str, key: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        raise UserError(
            f"{key}: there is no user {name!r} on this host; correct the name or create the user"
        ) from error


def _site(rules: Rules) -> Site:
    return Site(
        epoch=rules.epoch,
        file_systems=tuple(f"{it.name} {it.mount}" for it in rules.file_systems.values()),
        import_grants=site_lines(rules.grants, Direction.IN),
        export_grants=site_lines(rules.grants, Direction.OUT),
    )
