"""Build the daemon's parts from the configuration, and join them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from functools import cache

from azure.core.credentials import TokenCredential
from azure.identity import DefaultAzureCredential

from slurm_amlfs.adapters.arm import ArmFileSystem
from slurm_amlfs.adapters.azure_transport import CountedCredential
from slurm_amlfs.adapters.blob import BlobContainer
from slurm_amlfs.adapters.board import BoardFolder
from slurm_amlfs.adapters.clock import SteadyClock
from slurm_amlfs.adapters.crash_points import Reach, mined
from slurm_amlfs.adapters.inbox import MaildirInbox
from slurm_amlfs.adapters.pools import PoolsFile
from slurm_amlfs.adapters.repeats import Repeats
from slurm_amlfs.adapters.retry import Retry, RetryingArm
from slurm_amlfs.adapters.retry_ledger import FILE_NAME as RETRIES
from slurm_amlfs.adapters.retry_ledger import RetryLedger
from slurm_amlfs.adapters.slurm_apart import SlurmApart
from slurm_amlfs.adapters.store import FILE_NAME, SqliteStore
from slurm_amlfs.adapters.tenure import Tenure
from slurm_amlfs.application.looking import Pace
from slurm_amlfs.application.loop import Loop, Outside
from slurm_amlfs.application.performing import FileSystem
from slurm_amlfs.application.ports import Lustre
from slurm_amlfs.config import Config
from slurm_amlfs.domain.ask import Direction
from slurm_amlfs.domain.policy import site_lines
from slurm_amlfs.domain.world import Rules
from slurm_amlfs.entrypoints.choosing import choose_slurm
from slurm_amlfs.entrypoints.reaching import reach_lustre
from slurm_amlfs.entrypoints.ruling import operators, rules_of, user
from slurm_amlfs.wire import Site


def build(config: Config, tenure: Tenure, reach: Reach | None = None) -> Loop:
    """Build the daemon, which holds the state directory; `reach` is told the crash points.

    Raises:
        UserError: the configuration names what this host does not have.
        FencedError: another daemon has taken over meanwhile.
        PermanentError, TemporaryError: the state directory or the database cannot be used.
    """
    slurm_user = user(config.slurm.user, "slurm.user")
    board = mined(BoardFolder(config.state_dir, slurm_user.pw_uid, slurm_user.pw_gid), "board", reach)
    inbox = MaildirInbox(config.state_dir / "inbox", operators(config))
    store = SqliteStore(config.state_dir / FILE_NAME, group=slurm_user.pw_gid, term=tenure.number)
    rules = rules_of(config, store.epoch)
    board.publish_site(_site(rules))
    mounts = {it.name: reach_lustre(it.name, it.mount, it.lfs, config.limits) for it in config.file_systems}
    stack = ExitStack()
    for it in mounts.values():
        stack.callback(it.close)
    slurm = choose_slurm(config.slurm)
    if isinstance(slurm, SlurmApart):
        stack.callback(slurm.close)
    outside = Outside(
        file_systems=_file_systems(config, mounts, reach, tenure),
        slurm=mined(slurm, "slurm", reach),
        inbox=mined(inbox, "inbox", reach),
        board=board,
        store=mined(store, "store", reach),
        pools=_pools(config, slurm_user.pw_gid, reach),
        let_go=stack.close,
        tenure=tenure,
    )
    pace = Pace(arm=timedelta(seconds=config.azure.poll_seconds))
    return Loop(
        outside,
        rules,
        pace,
        workers=config.limits.workers,
        restore_window=config.limits.restore_window,
        archive_window=config.limits.archive_window,
    )


def _pools(config: Config, slurm_gid: int, reach: Reach | None) -> PoolsFile | None:
    """Make what tells Slurm of pools; without them, see to it that Slurm is told of none."""
    pools = PoolsFile(config.state_dir, slurm_gid)
    if config.slot.pools:
        return mined(pools, "pools", reach)
    pools.remove()
    return None


def _file_systems(
    config: Config, mounts: Mapping[str, Lustre], reach: Reach | None, tenure: Tenure
) -> dict[str, FileSystem]:
    clock = SteadyClock()
    repeats = Repeats(config.azure.retries_per_hour, RetryLedger(config.state_dir / RETRIES, clock.now()), clock.now)
    retry = Retry(repeats.is_ample, check=tenure.check)

    @cache
    def credential() -> TokenCredential:
        return CountedCredential(DefaultAzureCredential(retry_total=0), repeats)

    return {
        it.name: FileSystem(
            arm=RetryingArm(
                mined(
                    ArmFileSystem(
                        config.azure.arm_url,
                        it.subscription,
                        it.resource_group,
                        it.amlfs,
                        credential,
                        repeats=repeats,
                    ),
                    "arm",
                    reach,
                ),
                retry,
            ),
            blobs=BlobContainer(it.container_url, credential, repeats, retry),
            lustre=mined(mounts[it.name], "lustre", reach),
            namespace=it.namespace,
        )
        for it in config.file_systems
    }


def _site(rules: Rules) -> Site:
    return Site(
        epoch=rules.epoch,
        file_systems=tuple(f"{it.name} {it.mount}" for it in rules.file_systems.values()),
        import_grants=site_lines(rules.grants, Direction.IN),
        export_grants=site_lines(rules.grants, Direction.OUT),
        mode=rules.mode.value,
    )
