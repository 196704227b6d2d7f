"""The emulated lfs beside hsm_* says, refuses and returns what Lustre 2.15's does (lustre/utils/lfs.c of b2_15)."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated_lustre import USER, EmulatedLustre, build_lfs

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.getuid() != 0, reason="mounting with allow_other is root's"),
]


@pytest.fixture(scope="module")
def lustre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedLustre]:
    lustre = EmulatedLustre(tmp_path_factory.mktemp("lustre") / "e", build_lfs(tmp_path_factory.mktemp("lfs")))
    lustre.blob("in/a", b"A" * 1000)
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


def test_version(lustre: EmulatedLustre) -> None:
    """Parser_version."""
    assert lustre.do("--version") == (0, "lfs 2.15.7\n", "")


def test_unknown_commands_are_told_the_known_ones(lustre: EmulatedLustre) -> None:
    """Parser_execarg."""
    status, out, errors = lustre.do("hsm_stat")
    assert (status, errors) == (1, "")
    assert out.startswith('Try interactive use without arguments or use one of:\n"find"\n')
    assert out.endswith('"--list-commands"\nas argument.\n')


def test_without_arguments_commands_say_how_they_are_used(lustre: EmulatedLustre) -> None:
    """CMD_HELP."""
    assert lustre.do("hsm_state") == (
        4,
        "",
        "Display the HSM information (states, undergoing actions) for given files.\n usage: hsm_state <file> ...\n",
    )
    for command in ("hsm_action", "hsm_set", "hsm_clear", "hsm_restore", "hsm_cancel"):
        status, out, errors = lustre.do(command)
        assert (status, out) == (4, "")
        assert f"usage: {command} " in errors


def test_paths_elsewhere_are_not_lustre(lustre: EmulatedLustre, tmp_path: Path) -> None:
    """ENOTTY from the ioctl, ENOTSUP from llapi_path2fid in a client's build."""
    here = tmp_path / "here"
    here.write_text("x")
    there = tmp_path / "there"
    assert lustre.do("hsm_state", here) == (
        25,
        "",
        f"can't get hsm state for {here}: Inappropriate ioctl for device\n",
    )
    assert lustre.do("hsm_action", there)[2] == f"can't get hsm action for {there}: No such file or directory\n"
    assert lustre.do("hsm_set", "--norelease", here) == (
        25,
        "",
        f"Can't change hsm flags for {here}: Inappropriate ioctl for device\n",
    )
    assert lustre.do("hsm_restore", here) == (95, "", f"Cannot read FID of {here}: Operation not supported\n")
    assert lustre.do("df", here) == (95, f"df:{here} Not a Lustre filesystem\n", "")


def test_df(lustre: EmulatedLustre) -> None:
    """Mntdf and showdf: MDTs, OSTs and the sum."""
    status, out, errors = lustre.do("df", lustre.mount)
    lines = out.splitlines()
    assert (status, errors, len(lines)) == (0, "", 6)
    assert lines[0] == "UUID                   1K-blocks        Used   Available Use% Mounted on"
    assert lines[1] == f"lustrefs-MDT0000_UUID           0           0           0   0% {lustre.mount}[MDT:0]"
    assert lines[2].startswith("lustrefs-OST0000_UUID       97656 ")
    assert lines[2].endswith(f"% {lustre.mount}[OST:0]")
    assert lines[4].split()[:2] == ["filesystem_summary:", "97656"]
    assert lustre.do("df", "-h", lustre.mount)[1].splitlines()[2].split()[1] == "95.4M"
    assert lustre.do("df", lustre.mount / "none") == (
        2,
        "",
        f"error: invalid path '{lustre.mount}/none': No such file or directory\n",
    )


def test_find(lustre: EmulatedLustre) -> None:
    """Types, names, depth, NUL; the directory itself first."""
    top = lustre.mount / "found"
    (top / "sub").mkdir(parents=True)
    for name in ("a.dat", "sub/b.dat", "sub/c\n.txt"):
        (top / name).write_bytes(b"")
    (top / "l").symlink_to("a.dat")
    assert lustre.do("find", top)[1].split("\n")[0] == os.fspath(top)
    assert lustre.do("find", top, "--type", "d")[1] == f"{top}\n{top}/sub\n"
    assert sorted(lustre.do("find", top, "-name", "*.dat")[1].splitlines()) == [f"{top}/a.dat", f"{top}/sub/b.dat"]
    assert sorted(lustre.do("find", top, "-type", "f", "--maxdepth", "1")[1].splitlines()) == [f"{top}/a.dat"]
    names = lustre.do("find", top, "--type=f", "!", "-name", "*.dat", "-print0")[1]
    assert names == f"{top}/sub/c\n.txt\0"
    assert lustre.do("find", f"{top}/none") == (
        2,
        "",
        f"lfs: failed for '{top}/none': No such file or directory\n",
    )
    assert lustre.do("find")[0] == 4


def test_it_starts_in_a_few_milliseconds(lustre: EmulatedLustre, new: Path) -> None:
    """As a program that is compared with the real one must; the median of many runs, on a machine that is busy."""
    taken = []
    for _ in range(21):
        before = time.perf_counter()
        assert lustre.do("hsm_state", new)[0] == 0
        taken.append(time.perf_counter() - before)
    assert sorted(taken)[len(taken) // 2] < 0.05
