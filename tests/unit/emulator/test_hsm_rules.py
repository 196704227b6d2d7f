"""Lustre's rules for HSM flags, as its sources have them."""

import errno

import pytest

from slurm_amlfs.emulator.hsm_rules import (
    ARCHIVED,
    DIRTY,
    EXISTS,
    LOST,
    NOARCHIVE,
    NORELEASE,
    RELEASED,
    HsmAction,
    HsmRecord,
    changed,
    is_compatible,
    is_needed,
    may_ask,
    may_release,
    written,
)

CLEAN = EXISTS | ARCHIVED


def test_the_flags_are_those_of_lustre_user_h() -> None:
    """Enum hsm_states."""
    assert (EXISTS, DIRTY, RELEASED, ARCHIVED, NORELEASE, NOARCHIVE, LOST) == (1, 2, 4, 8, 0x10, 0x20, 0x40)


@pytest.mark.parametrize(
    ("action", "flags", "needed"),
    [
        (HsmAction.ARCHIVE, 0, True),
        (HsmAction.ARCHIVE, EXISTS, True),
        (HsmAction.ARCHIVE, CLEAN, False),
        (HsmAction.ARCHIVE, CLEAN | DIRTY, True),
        (HsmAction.RESTORE, 0, False),
        (HsmAction.RESTORE, CLEAN, False),
        (HsmAction.RESTORE, CLEAN | RELEASED, True),
        (HsmAction.RESTORE, CLEAN | DIRTY, True),
        (HsmAction.REMOVE, 0, False),
        (HsmAction.REMOVE, CLEAN, True),
        (HsmAction.CANCEL, 0, True),
    ],
)
def test_an_action_that_has_nothing_to_do_is_not_needed(action: HsmAction, flags: int, *, needed: bool) -> None:
    """hsm_action_is_needed."""
    assert is_needed(action, flags) is needed


@pytest.mark.parametrize(
    ("action", "flags", "compatible"),
    [
        (HsmAction.ARCHIVE, 0, True),
        (HsmAction.ARCHIVE, NOARCHIVE, False),
        (HsmAction.RESTORE, CLEAN | RELEASED, True),
        (HsmAction.RESTORE, CLEAN | RELEASED | LOST, False),
        (HsmAction.RESTORE, CLEAN | DIRTY, False),
        (HsmAction.REMOVE, CLEAN, True),
        (HsmAction.REMOVE, CLEAN | RELEASED, False),
        (HsmAction.CANCEL, CLEAN | RELEASED, True),
    ],
)
def test_flags_forbid_what_would_lose_data(action: HsmAction, flags: int, *, compatible: bool) -> None:
    """mdt_hsm_is_action_compat."""
    assert is_compatible(action, HsmRecord(flags, 1), 0) is compatible


def test_a_file_cannot_be_archived_into_a_second_archive() -> None:
    """mdt_hsm_is_action_compat: archive_id differs from mh_arch_id while HS_EXISTS."""
    dirty = HsmRecord(CLEAN | DIRTY, 1)
    assert is_compatible(HsmAction.ARCHIVE, dirty, 1)
    assert not is_compatible(HsmAction.ARCHIVE, dirty, 2)
    assert is_compatible(HsmAction.ARCHIVE, HsmRecord(), 2)


def test_ordinary_users_may_only_restore() -> None:
    """The default request masks (sanity-hsm test_24c)."""
    allowed = [action for action in HsmAction if may_ask(action, privileged=False)]
    assert allowed == [HsmAction.RESTORE]
    assert all(may_ask(action, privileged=True) for action in HsmAction)


@pytest.mark.parametrize(
    ("flags", "allowed"),
    [
        (0, False),
        (EXISTS, False),
        (CLEAN, True),
        (CLEAN | RELEASED, True),
        (CLEAN | DIRTY, False),
        (CLEAN | NORELEASE, False),
        (CLEAN | LOST, False),
        (CLEAN | NOARCHIVE, True),
    ],
)
def test_only_a_clean_archived_file_may_be_released(flags: int, *, allowed: bool) -> None:
    """mdt_hsm_release_allow."""
    assert may_release(flags) is allowed


def test_a_write_makes_dirty_what_the_archive_knows() -> None:
    """mdt_add_dirty_flag."""
    assert written(HsmRecord()).flags == 0
    assert written(HsmRecord(EXISTS)).flags == EXISTS | DIRTY
    assert written(HsmRecord(CLEAN, 1, "b")) == HsmRecord(CLEAN | DIRTY, 1, "b")


def test_users_may_set_user_flags_only() -> None:
    """HSM_USER_MASK."""
    assert changed(HsmRecord(), NORELEASE | NOARCHIVE, 0, 0, privileged=False).flags == NORELEASE | NOARCHIVE
    with pytest.raises(OSError, match="not permitted") as refused:
        changed(HsmRecord(), EXISTS, 0, 0, privileged=False)
    assert refused.value.errno == errno.EPERM


@pytest.mark.parametrize(
    ("flags", "to_set", "to_clear"),
    [
        (0, DIRTY, 0),
        (CLEAN | RELEASED, DIRTY, 0),
        (CLEAN | RELEASED, 0, ARCHIVED),
        (0, LOST, 0),
        (0, 0x80, 0),
    ],
)
def test_a_contradictory_set_of_flags_is_refused(flags: int, to_set: int, to_clear: int) -> None:
    """mdt_hsm_state_set: inconsistent flags, out-of-range masks."""
    with pytest.raises(OSError, match="Invalid") as refused:
        changed(HsmRecord(flags), to_set, to_clear, 0, privileged=True)
    assert refused.value.errno == errno.EINVAL


def test_an_archive_id_needs_a_file_that_exists_there() -> None:
    """mdt_hsm_state_set leaves without an error and without a change."""
    assert changed(HsmRecord(), NORELEASE, 0, 3, privileged=True) == HsmRecord()
    assert changed(HsmRecord(), EXISTS, 0, 3, privileged=True) == HsmRecord(EXISTS, 3)
