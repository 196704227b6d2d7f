"""The emulated lfs hsm_* says, refuses and returns what Lustre 2.15's does (lustre/utils/lfs.c of b2_15)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated_lustre import OTHER, USER, EmulatedLustre, build_lfs, until

from slurm_amlfs.adapters.lfs import Lfs
from slurm_amlfs.adapters.lustre import LustreMount
from slurm_amlfs.domain.view import HsmState

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.getuid() != 0, reason="mounting with allow_other is root's"),
]

MOST_FILES = 52
"""What one request holds (ll_dir_ioctl: (MDS_MAXREQSIZE / 3 - 24) / 32)."""


@pytest.fixture(scope="module")
def lustre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedLustre]:
    lustre = EmulatedLustre(tmp_path_factory.mktemp("lustre") / "e", build_lfs(tmp_path_factory.mktemp("lfs")))
    lustre.blob("in/a", b"A" * 1000)
    for number in range(MOST_FILES + 1):
        lustre.blob(f"list/{number}", b"x")
    lustre.blob("secret", b"secret", uid=USER, mode=0o600)
    lustre.start()
    lustre.mount.chmod(0o777)
    yield lustre
    lustre.clean()


@pytest.fixture
def new(lustre: EmulatedLustre) -> Iterator[Path]:
    path = lustre.mount / "new"
    path.write_bytes(b"new")
    yield path
    path.unlink()


def archived(lustre: EmulatedLustre, path: Path) -> None:
    assert lustre.do("hsm_archive", path) == (0, "", "")
    until(lambda: lustre.state(path) == "(0x00000009) exists archived, archive_id:1")


def test_hsm_state_of_several(lustre: EmulatedLustre, new: Path) -> None:
    """lfs_hsm_state: one line each; a directory has no state."""
    a, top = lustre.mount / "list/0", lustre.mount
    assert lustre.do("hsm_state", a, new, top) == (
        0,
        f"{a}: (0x0000000d) released exists archived, archive_id:1\n{new}: (0x00000000)\n{top}: (0x00000000)\n",
        "",
    )


def test_hsm_state_stops_at_the_first_that_fails(lustre: EmulatedLustre, new: Path) -> None:
    """The exit status is the errno."""
    missing = lustre.mount / "missing"
    assert lustre.do("hsm_state", new, missing, new) == (
        2,
        f"{new}: (0x00000000)\n",
        f"can't get hsm state for {missing}: No such file or directory\n",
    )


def test_hsm_state_needs_read_permission(lustre: EmulatedLustre) -> None:
    """llapi_hsm_state_get opens the file for reading."""
    secret = lustre.mount / "secret"
    assert lustre.do("hsm_state", secret, uid=OTHER) == (
        13,
        "",
        f"can't get hsm state for {secret}: Permission denied\n",
    )
    assert lustre.do("hsm_state", secret, uid=USER)[0] == 0


def test_requests_look_at_every_file_first(lustre: EmulatedLustre) -> None:
    """lfs_hsm_prepare_file: nothing is sent if one is wrong."""
    missing = lustre.mount / "missing"
    released = lustre.mount / "list/1"
    assert lustre.do("hsm_restore", released, missing) == (
        2,
        "",
        f"Cannot stat {missing}: No such file or directory\n",
    )
    status, out, errors = lustre.do("hsm_restore", released, lustre.mount / "list")
    assert (status, out) == (4, "")
    assert errors.startswith(
        f'error: "{lustre.mount}/list" is not a regular file\nRestore file from external storage.\n'
    )
    status, out, errors = lustre.do("hsm_restore", released, "/etc/passwd")
    assert (status, out, errors) == (22, "", "All files should be on the same filesystem: /etc/passwd\n")
    assert "released" in lustre.state(released)


def test_one_request_holds_52_files(lustre: EmulatedLustre) -> None:
    """More is E2BIG, whether in a list or not."""
    files = [lustre.mount / f"list/{number}" for number in range(MOST_FILES + 1)]
    names = lustre.folder / "names"
    names.write_text("".join(f"{path}\n" for path in files))
    refused = (7, "", f"Cannot send HSM request (use of {files[0]}): Argument list too long\n")
    assert lustre.do("hsm_restore", "--filelist", names) == refused
    assert lustre.do("hsm_restore", *files) == refused
    assert lustre.do("hsm_restore", "--data", "x" * 18, *files[:-1]) == refused
    names.write_text("".join(f"{path}\n" for path in files[1:-1]))
    assert lustre.do("hsm_restore", "--filelist", names, files[0], uid=OTHER) == (0, "", "")
    until(lambda: "released" not in lustre.do("hsm_state", *files[:-1])[1])


def test_relative_names_and_descriptors_name_the_same_files(lustre: EmulatedLustre) -> None:
    """As a shell in that directory gives them, or a careful daemon."""
    folder = os.open(lustre.mount / "list", os.O_RDONLY)
    name = f"/proc/{os.getpid()}/fd/{folder}/{MOST_FILES}"
    assert lustre.do("hsm_restore", name) == (0, "", "")
    until(lambda: lustre.do("hsm_state", name)[1] == f"{name}: (0x00000009) exists archived, archive_id:1\n")
    os.close(folder)
    done = lustre.run("/bin/sh", "-c", f"cd {lustre.mount}/list && {lustre.lfs} hsm_release {MOST_FILES} ./0 ../list/1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "released" in lustre.state(lustre.mount / f"list/{MOST_FILES}")
    assert "released" in lustre.state(lustre.mount / "list/1")


def test_users_may_restore_and_no_more(lustre: EmulatedLustre, new: Path) -> None:
    """hsm_action_permission: EPERM."""
    released = lustre.mount / "in/a"
    assert lustre.do("hsm_restore", released, uid=OTHER) == (0, "", "")
    until(lambda: "released" not in lustre.state(released))
    refused = (1, "", f"Cannot send HSM request (use of {new}): Operation not permitted\n")
    os.chown(new, USER, USER)
    assert lustre.do("hsm_archive", new, uid=USER) == refused
    archived(lustre, new)
    assert lustre.do("hsm_remove", new, uid=USER) == refused


def test_release_is_for_those_who_may_write(lustre: EmulatedLustre, new: Path) -> None:
    """ll_hsm_release opens a lease for writing; there is no other check on the way (mdt_hsm_release)."""
    archived(lustre, new)
    os.chown(new, USER, USER)
    assert lustre.do("hsm_release", new, uid=OTHER) == (
        13,
        "",
        f"Cannot send HSM request (use of {new}): Permission denied\n",
    )
    assert lustre.do("hsm_release", new, uid=USER) == (0, "", "")
    assert "released" in lustre.state(new)


def test_release_refuses_what_would_lose_data(lustre: EmulatedLustre, new: Path) -> None:
    """Not archived, dirty: EPERM; open for writing: EBUSY; released already: success."""
    not_permitted = (1, "", f"Cannot send HSM request (use of {new}): Operation not permitted\n")
    assert lustre.do("hsm_release", new) == not_permitted
    archived(lustre, new)
    with new.open("ab") as file:
        busy = (16, "", f"Cannot send HSM request (use of {new}): Device or resource busy\n")
        assert lustre.do("hsm_release", new) == busy
        file.write(b"more")
    assert lustre.state(new) == "(0x0000000b) exists dirty archived, archive_id:1"
    assert lustre.do("hsm_release", new) == not_permitted
    assert lustre.do("hsm_restore", new) == not_permitted
    archived(lustre, new)
    assert lustre.do("hsm_release", new) == (0, "", "")
    assert lustre.do("hsm_release", new) == (0, "", "")


def test_flags_are_set_and_cleared(lustre: EmulatedLustre, new: Path) -> None:
    """lfs_hsm_change_flags, in the words of lfs_hsm_state."""
    assert lustre.do("hsm_set", "--norelease", "--noarchive", new) == (0, "", "")
    assert lustre.state(new) == "(0x00000030) never_release never_archive"
    assert lustre.do("hsm_archive", new)[0] == 1
    assert lustre.do("hsm_clear", "--norelease", "--noarchive", new) == (0, "", "")
    assert lustre.do("hsm_set", "--dirty", new) == (
        22,
        "",
        f"Can't change hsm flags for {new}: Invalid argument\n",
    )
    assert lustre.do("hsm_set", "--exists", "--archived", "--lost", "--archive-id", "2", new) == (0, "", "")
    assert lustre.state(new) == "(0x00000049) exists archived lost_from_hsm, archive_id:2"
    assert lustre.do("hsm_set", new, "x")[0] == 4
    assert lustre.do("hsm_set", "--released", new)[2].startswith("lfs: unrecognized option '--released'\n")


def test_users_set_user_flags_of_files_that_they_may_write(lustre: EmulatedLustre, new: Path) -> None:
    """HSM_USER_MASK, and O_WRONLY in llapi_hsm_state_set."""
    assert lustre.do("hsm_set", "--norelease", new, uid=USER)[0] == 13
    os.chown(new, USER, USER)
    assert lustre.do("hsm_set", "--norelease", new, uid=USER) == (0, "", "")
    assert lustre.do("hsm_set", "--exists", new, uid=USER)[0] == 1


def test_hsm_action_shows_what_waits_and_what_runs(lustre: EmulatedLustre) -> None:
    """lfs_hsm_action, and what cancel does to it."""
    names = [f"acted/{number}" for number in range(6)]
    for name in names:
        (lustre.mount / name).parent.mkdir(exist_ok=True)
        (lustre.mount / name).write_bytes(b"data")
    paths = [lustre.mount / name for name in names]
    assert lustre.do("hsm_action", paths[0]) == (0, f"{paths[0]}: NOOP\n", "")
    lustre.hold()
    assert lustre.do("hsm_archive", *paths) == (0, "", "")
    until(lambda: lustre.do("hsm_action", *paths[:4])[1].count("running") == 4)
    assert lustre.do("hsm_action", paths[0], paths[5])[1] == (
        f"{paths[0]}: ARCHIVE running (0 bytes moved)\n{paths[5]}: ARCHIVE waiting (from 0 to EOF)\n"
    )
    assert lustre.state(paths[0]) == "(0x00000001) exists, archive_id:1"
    assert lustre.do("hsm_cancel", paths[5], uid=USER)[0] == 1
    assert lustre.do("hsm_cancel", paths[5]) == (0, "", "")
    assert lustre.do("hsm_action", paths[5])[1] == f"{paths[5]}: NOOP\n"
    lustre.let_go()
    until(lambda: "archived" in lustre.state(paths[4]))
    assert lustre.state(paths[5]) == "(0x00000000)"


def test_removed_copies_by_fid_are_roots(lustre: EmulatedLustre) -> None:
    """With --mntpath names are FIDs; of files that are gone, root may remove and cancel."""
    fid = "[0x200000401:0x1:0x0]"
    assert lustre.do("hsm_remove", "--mntpath", lustre.mount, fid) == (0, "", "")
    assert lustre.do("hsm_restore", "--mntpath", lustre.mount, fid)[0] == 2
    assert lustre.do("hsm_remove", "--mntpath", lustre.mount, "x") == (22, "", "hsm: 'x' is not a valid FID\n")
    assert lustre.do("hsm_remove", "--mntpath", "/etc", fid) == (
        19,
        "",
        "Cannot send HSM request (use of /etc): No such device\n",
    )


def test_archive_numbers_are_for_archive_and_remove(lustre: EmulatedLustre, new: Path) -> None:
    """lfs_hsm_request."""
    status, _, errors = lustre.do("hsm_restore", "--archive", "1", new)
    assert (status, errors.splitlines()[0]) == (4, "error: -a is supported only when archiving or removing")
    assert lustre.do("hsm_archive", "--archive", "3", new) == (0, "", "")
    until(lambda: lustre.state(new) == "(0x00000009) exists archived, archive_id:3")


def test_an_archive_under_way_is_told_from_one_that_is_over(lustre: EmulatedLustre, new: Path) -> None:
    """The state is 0x01 during the copy; only hsm_action says that somebody is at it, and the adapter reads that."""
    port = LustreMount(lustre.mount, Lfs(lustre.lfs), lambda _: True)
    path = f"/{new.name}"
    lustre.hold()
    assert port.archive([path]) == ()
    until(lambda: port.hsm_states([path]) == {path: HsmState.EXISTS})
    during = port.hsm_busy([path, "/list/0"])
    lustre.let_go()
    until(lambda: port.hsm_states([path])[path].clean)
    until(lambda: port.hsm_busy([path]) == frozenset())
    assert during == {path}
