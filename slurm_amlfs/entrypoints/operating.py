"""What only operators may see and say: who they are, the daemon's database, and requests about leases."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from slurm_amlfs.adapters.memory_reading import read_records
from slurm_amlfs.adapters.store import FILE_NAME
from slurm_amlfs.config import Config
from slurm_amlfs.domain import keeping
from slurm_amlfs.domain.lineup import draft_of
from slurm_amlfs.domain.prefix import validate
from slurm_amlfs.domain.quote import quote
from slurm_amlfs.domain.records import Records
from slurm_amlfs.entrypoints import asking, ruling
from slurm_amlfs.errors import UserError
from slurm_amlfs.wire import Request, RequestKind


def check_right(config: Config, what: str, instead: str) -> None:
    """Refuse whoever is neither root nor SlurmUser, nor runs the daemon.

    Raises:
        UserError: with what to do instead.
    """
    path = config.state_dir / FILE_NAME
    owner = {path.stat().st_uid} if os.access(path.parent, os.X_OK) and path.exists() else set()
    if os.geteuid() not in {0, ruling.user(config.slurm.user, "slurm.user").pw_uid} | owner:
        raise UserError(f"only root and {config.slurm.user} may {what}; {instead}")


def remembered(config: Config) -> Records:
    """Read what the daemon remembers, whether it runs or not.

    Raises:
        TemporaryError: there is no database, or it cannot be read.
    """
    return read_records(config.state_dir / FILE_NAME)


def say(config: Config, kind: RequestKind, fs: str, prefix: str) -> str:
    """Ask the daemon to pin, unpin or evict a prefix, if that can have an effect; return the file system's name.

    Raises:
        UserError: not an operator, no such file system, no prefix, or it would have no effect; says why.
        TemporaryError: the database cannot be read, or the inbox not written to.
    """
    check_right(config, f"{kind.value} what is on Lustre", "ask an operator")
    names = [it.name for it in config.file_systems]
    if fs and fs not in names:
        raise UserError(f"{quote(fs)} is no configured file system; name one of {', '.join(names)}")
    fs = fs or names[0]
    try:
        validate(prefix)
    except UserError as error:
        raise UserError(error.message.removeprefix("amlfs: ")) from error
    if kind is not RequestKind.PIN and (why := hindrance(config, kind, fs, prefix)):
        raise UserError(why)
    asking.drop(config.state_dir, Request(kind, 0, fs=fs, prefix=prefix), kind.value)
    return fs


def hindrance(config: Config, kind: RequestKind, fs: str, prefix: str) -> str:
    """Say in words why an unpin or evict would have no effect; "" if it may have one."""
    records = remembered(config)
    found = [it for it in records.all_leases() if (it.key.fs, it.key.prefix) == (fs, prefix)]
    where = f"{quote(prefix)} on {fs}"
    if not found:
        return f"nothing is leased under exactly {where}; see: slurm-amlfs leases"
    if kind is RequestKind.UNPIN:
        return "" if any(it.pinned for it in found) else f"{where} is not pinned; see: slurm-amlfs leases"
    if any(it.pinned for it in found):
        return f"{where} is pinned; first: slurm-amlfs unpin {prefix}"
    draft = draft_of(records, ruling.rules_of(config, ""), datetime.now(UTC))
    who = keeping.who_needs(draft, fs, prefix)
    return f"{where} is needed by {who}; evict it when they are over" if who else ""
