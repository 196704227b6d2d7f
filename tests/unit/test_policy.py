"""Who may move what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_amlfs.domain.ask import Ask, Direction
from slurm_amlfs.domain.policy import Grant, check, choose_file_system, site_lines
from slurm_amlfs.errors import UserError

EVERYBODY = Grant("*", None, ("/",), ("/jobs/",))
ALICE = Grant("scratch", frozenset({61001}), ("/",), ("/alice/",))


def refusal(ask: Ask, fs_name: str, uid: int, grants: list[Grant]) -> str:
    with pytest.raises(UserError) as refused:
        check(ask, fs_name, uid, grants)
    return refused.value.message


def ask_out(*prefixes: str) -> Ask:
    return Ask(Direction.OUT, prefixes)


def test_a_prefix_below_a_granted_one_passes() -> None:
    """Grants add up, and each holds for its own users and file systems."""
    check(ask_out("/jobs/", "/jobs/x", "/alice/deep/er"), "scratch", 61001, [EVERYBODY, ALICE])
    check(Ask(Direction.IN, ("/anything",)), "other", 61002, [EVERYBODY])


def test_another_file_system_or_user_is_refused() -> None:
    """Alice's grant is hers, and only on scratch."""
    for fs_name, uid in [("other", 61001), ("scratch", 61002)]:
        assert "may not export" in refusal(ask_out("/alice/x"), fs_name, uid, [EVERYBODY, ALICE])


def test_the_refusal_names_the_user() -> None:
    """By name where one is known, else by uid."""
    with pytest.raises(UserError, match=r"^amlfs: alice may not export"):
        check(ask_out("/x/"), "scratch", 61001, [], "alice")
    assert refusal(ask_out("/x/"), "scratch", 61001, []).startswith("amlfs: uid 61001 may not export")


def test_each_prefix_counts() -> None:
    """One prefix outside refuses the whole ask, by name."""
    assert '"/etc/"' in refusal(ask_out("/jobs/a", "/etc/"), "scratch", 61002, [EVERYBODY])


def test_the_mend_is_the_missing_slash_or_what_is_granted() -> None:
    """/jobs would take /jobs2 along, so it needs its slash; else the user sees what is granted."""
    assert 'write it with a "/" at its end: "/jobs/"' in refusal(ask_out("/jobs"), "scratch", 1, [EVERYBODY])
    assert 'granted are "/jobs/"' in refusal(ask_out("/jobs2"), "scratch", 1, [EVERYBODY])
    assert "ask the site's admins" in refusal(ask_out("/jobs/"), "scratch", 1, [])


def test_choose_file_system() -> None:
    """No name is the site's first; a name has to be one of the site's."""
    assert choose_file_system("", ["scratch", "other"]) == "scratch"
    assert choose_file_system("other", ["scratch", "other"]) == "other"
    with pytest.raises(UserError, match='unknown file system "nope"; this site has "scratch", "other"'):
        choose_file_system("nope", ["scratch", "other"])
    with pytest.raises(UserError, match="no file system"):
        choose_file_system("", [])


def test_site_lines() -> None:
    """The site file holds one line per user and prefix."""
    grants = [EVERYBODY, Grant("scratch", frozenset({7, 3}), (), ("/a b/",))]
    assert site_lines(grants, Direction.OUT) == ("* * /jobs/", "scratch 3 /a b/", "scratch 7 /a b/")
    assert site_lines(grants, Direction.IN) == ("* * /",)


@given(
    st.lists(st.sampled_from(["/a/", "/a/b/", "/c/"]), max_size=3), st.sampled_from(["/a/x", "/a", "/ab", "/c/", "/"])
)
def test_granted_is_beginning_with(granted: list[str], prefix: str) -> None:
    """A prefix passes exactly if it begins with a granted one."""
    grants = [Grant("*", frozenset({5}), tuple(granted), ())]
    allowed = any(prefix.startswith(beginning) for beginning in granted)
    if allowed:
        check(Ask(Direction.IN, (prefix,)), "any", 5, grants)
    else:
        assert "may not import" in refusal(Ask(Direction.IN, (prefix,)), "any", 5, grants)
