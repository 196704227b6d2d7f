"""What Lustre 2.15 allows, HSM flag by HSM flag. Pure.

Source: lustre/mdt/mdt_hsm.c, mdt_hsm_cdt_client.c, mdt_coordinator.c and mdt_open.c of lustre-release, branch b2_15;
each function here names its original. Flags are plain integers, because they are read and written for every file.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from enum import StrEnum

EXISTS, DIRTY, RELEASED, ARCHIVED, NORELEASE, NOARCHIVE, LOST = (1 << bit for bit in range(7))

USER_MASK = NORELEASE | NOARCHIVE | DIRTY
"""Flags that a file's writer may set and clear (HSM_USER_MASK of lustre_user.h)."""

ALL_FLAGS = EXISTS | DIRTY | RELEASED | ARCHIVED | NORELEASE | NOARCHIVE | LOST

DEFAULT_ARCHIVE_ID = 1
"""cdt_default_archive_id (mdt_hsm_cdt_init)."""

MAX_REQUESTS = 3
"""cdt_max_requests, how many requests run at a time (mdt_hsm_cdt_init)."""


class HsmAction(StrEnum):
    """What can be asked for; the values are what `lfs hsm_action` prints (hsm_user_action2name)."""

    ARCHIVE = "ARCHIVE"
    RESTORE = "RESTORE"
    RELEASE = "RELEASE"
    REMOVE = "REMOVE"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class HsmRecord:
    """What a file carries with it: `flags`, `archive_id` (0 for none) and `blob`.

    `blob` is the name in the archive where the file's path no longer tells it (after a rename), else "".
    """

    flags: int = 0
    archive_id: int = 0
    blob: str = ""


IMPORTED = HsmRecord(EXISTS | ARCHIVED | RELEASED, DEFAULT_ARCHIVE_ID)
"""A file whose name came and whose contents did not (ll_hsm_import: 0x0d)."""


def is_needed(action: HsmAction, flags: int) -> bool:
    """Say whether there is anything to do; if not, the request is a success (hsm_action_is_needed)."""
    match action:
        case HsmAction.ARCHIVE:
            return bool(flags & DIRTY) or not flags & ARCHIVED
        case HsmAction.RESTORE:
            return bool(flags & (RELEASED | DIRTY))
        case HsmAction.REMOVE:
            return bool(flags & (ARCHIVED | EXISTS))
        case _:
            return True


def is_compatible(action: HsmAction, record: HsmRecord, archive_id: int) -> bool:
    """Say whether the file's flags allow the action; if not, the request is EPERM (mdt_hsm_is_action_compat)."""
    flags = record.flags
    match action:
        case HsmAction.ARCHIVE:
            elsewhere = bool(flags & EXISTS) and archive_id not in {0, record.archive_id}
            return not flags & NOARCHIVE and is_needed(action, flags) and not elsewhere
        case HsmAction.RESTORE:
            return flags & (RELEASED | ARCHIVED | DIRTY | LOST) == RELEASED | ARCHIVED
        case HsmAction.REMOVE:
            return not flags & RELEASED and bool(flags & (ARCHIVED | EXISTS))
        case _:
            return True


def may_ask(action: HsmAction, *, privileged: bool) -> bool:
    """Say whether this caller may ask (hsm_action_permission).

    The default masks for owner, group and others all hold RESTORE only (mdt_hsm_cdt_init; sanity-hsm test_24c).
    """
    return privileged or action is HsmAction.RESTORE


def may_release(flags: int) -> bool:
    """Say whether the flags allow a release; if not it is EPERM (mdt_hsm_release_allow)."""
    return bool(flags & ARCHIVED) and not flags & (DIRTY | NORELEASE | LOST)


def written(record: HsmRecord) -> HsmRecord:
    """Give the record after a write: dirty, if an archive has or is getting a copy (mdt_add_dirty_flag)."""
    return replace(record, flags=record.flags | DIRTY) if record.flags & EXISTS else record


def changed(record: HsmRecord, to_set: int, to_clear: int, archive_id: int, *, privileged: bool) -> HsmRecord:
    """Apply `lfs hsm_set` or `hsm_clear` (mdt_hsm_state_set).

    An archive id for a file that does not exist in the archive changes nothing at all and is no error, as there.

    Raises:
        OSError: EPERM for flags that only root may touch, EINVAL for an unknown or contradictory set.
    """
    if (to_set | to_clear) & ~ALL_FLAGS:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if (to_set | to_clear) & ~USER_MASK and not privileged:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    flags = (record.flags | to_set) & ~to_clear
    if archive_id and not flags & EXISTS:
        return record
    contradictory = (
        (flags & DIRTY and not flags & EXISTS)
        or (flags & RELEASED and flags & DIRTY)
        or (flags & (RELEASED | LOST) and not flags & ARCHIVED)
    )
    if contradictory:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return replace(record, flags=flags, archive_id=archive_id or record.archive_id)
