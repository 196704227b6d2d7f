"""What the mount tells and does for lfs, and for whom."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_of_bytes import ArchiveOfBytes
from hsm_user import create

from sandbox.emulator import COPYTOOL
from slurm_amlfs.emulator.caller import READ, WRITE, Caller
from slurm_amlfs.emulator.copytool import Copytool
from slurm_amlfs.emulator.door import PREFIX, Door
from slurm_amlfs.emulator.faults import Faults
from slurm_amlfs.emulator.hsm import Hsm
from slurm_amlfs.emulator.tree import HIDDEN

UID, GID = os.getuid(), os.getgid()
ROOT = Caller(0, 0, 0)
STRANGER = Caller(UID + 61001, GID + 61001, 0)


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[Hsm]:
    hsm = Hsm(tmp_path, ArchiveOfBytes({"d/f": b"data"}), 1_000_000)
    hsm.add_released("d/f", 4, 0, UID, GID, 0o640)
    yield hsm
    hsm.close()


def test_state_action_and_path(hsm: Hsm) -> None:
    """The three questions."""
    door = Door(hsm)
    assert door.get("d/f", PREFIX + "state", ROOT) == b"d 1"
    assert door.get("d", PREFIX + "state", ROOT) == b"0 0"
    assert door.get("d/f", PREFIX + "action", ROOT) == b"NOOP none 0 0"
    assert door.get("d", PREFIX + "path", STRANGER) == b"/d"
    assert door.get("", PREFIX + "path", STRANGER) == b"/"


def test_who_may_not_read_is_told_nothing(hsm: Hsm) -> None:
    """EACCES, as from the open that the real lfs does."""
    for verb in ("state", "action"):
        with pytest.raises(PermissionError) as refused:
            Door(hsm).get("d/f", PREFIX + verb, STRANGER)
        assert refused.value.errno == errno.EACCES


@pytest.mark.parametrize("library", [None, COPYTOOL])
def test_states_of_a_directory_are_told_together(tmp_path: Path, library: Path | None) -> None:
    """In the order asked, once, to who asked; what is no file by that name is asked for by itself."""
    copytool = library and Copytool(library, tmp_path, Faults())
    hsm = Hsm(tmp_path / "state", ArchiveOfBytes({}), 1_000_000, copytool=copytool or None)
    for name in ("d/f", "d/\udcff\n", "d/moved", f"d/x{HIDDEN}"):
        hsm.add_released(name, 4, 0, UID, GID, 0o640)
    hsm.files.rename("d/moved", "d/m")
    create(hsm, "d/new")
    hsm.add_directory("d/e", UID, GID, 0o755)
    hsm.files.make_symlink("d/link", "f", UID, GID)
    door = Door(hsm)
    asker = Caller(0, 0, 4711)
    names = [b"f", b"no", b"e", b"..", b"", b".", b"e/../f", b"\xff\n", b"m", b"x.fuse_hidden", b"link", b"n" * 5000]
    door.set("d", PREFIX + "ask", b"\0".join([*names, b"new", b"f", b""]), asker)
    told = door.get("d", PREFIX + "told", asker)

    nothing = [b"-"] * 6
    assert told.split(b"\n") == [b"d 1", *nothing, b"d 1", b"d 1", b"-", b"-", b"-", b"0 0", b"d 1", b"-", b""]
    with pytest.raises(OSError, match="not supported"):
        door.get("d", PREFIX + "told", asker)
    hsm.close()


@pytest.mark.parametrize("asker", [Caller(61009, 61009, 4711), Caller(0, 0, 0)])
def test_who_is_not_known_is_told_nothing_together(hsm: Hsm, asker: Caller) -> None:
    """Only root need not be checked file by file, and an answer has to find its way back."""
    with pytest.raises(OSError, match="not supported"):
        Door(hsm).set("d", PREFIX + "ask", b"f", asker)


def test_several_files_in_one_request(hsm: Hsm) -> None:
    """Names between NULs; anybody may restore."""
    Door(hsm).set("", PREFIX + "request", b"RESTORE 0\0d/f\0d/f", STRANGER)
    hsm.restore("d/f")
    assert Door(hsm).get("d/f", PREFIX + "state", ROOT) == b"9 1"


def test_release_is_for_who_may_write(hsm: Hsm) -> None:
    """EACCES for others."""
    hsm.restore("d/f")
    with pytest.raises(PermissionError) as refused:
        Door(hsm).set("", PREFIX + "request", b"RELEASE 0\0d/f", STRANGER)
    assert refused.value.errno == errno.EACCES
    Door(hsm).set("", PREFIX + "request", b"RELEASE 0\0d/f", ROOT)
    assert Door(hsm).get("d/f", PREFIX + "state", ROOT) == b"d 1"


@pytest.mark.parametrize(
    "value",
    [b"", b"DANCE 0\0d/f", b"RESTORE x\0d/f", b"RESTORE\0d/f", b"RESTORE 0\0../tree/d/f", b"RESTORE 0\0/etc/passwd"],
)
def test_nonsense_is_invalid(hsm: Hsm, value: bytes) -> None:
    """EINVAL, and nothing happens."""
    with pytest.raises(OSError, match="Invalid") as refused:
        Door(hsm).set("", PREFIX + "request", value, ROOT)
    assert refused.value.errno == errno.EINVAL


def test_a_request_does_not_leave_the_folder_by_a_symlink(hsm: Hsm) -> None:
    """Names in a request did not come through the kernel."""
    hsm.files.make_symlink("way", "d", UID, GID)
    with pytest.raises(NotADirectoryError):
        Door(hsm).set("", PREFIX + "request", b"RESTORE 0\0way/f", ROOT)


def test_unknown_verbs_are_not_supported(hsm: Hsm) -> None:
    """As on a file system that has no such attribute."""
    for call in (
        lambda: Door(hsm).get("d/f", PREFIX + "wish", ROOT),
        lambda: Door(hsm).set("d/f", PREFIX + "wish", b"", ROOT),
    ):
        with pytest.raises(OSError, match="not supported") as refused:
            call()
        assert refused.value.errno == errno.EOPNOTSUPP


def test_mode_bits_decide_by_the_first_class_that_fits(tmp_path: Path) -> None:
    """An owner without a bit is refused though others have it; supplementary groups count."""
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o046)
    seen = file.stat()
    owner = Caller(seen.st_uid, seen.st_gid, 0)
    assert ROOT.may(seen, WRITE)
    assert owner.uid == 0 or not owner.may(seen, READ)
    member = Caller(seen.st_uid + 1, seen.st_gid, 0)
    assert (member.may(seen, READ), member.may(seen, WRITE)) == (True, False)
    assert STRANGER.may(seen, WRITE)
    by_supplement = Caller(seen.st_uid + 1, seen.st_gid + 1, os.getpid())
    assert by_supplement.may(seen, WRITE) is (seen.st_gid not in os.getgroups())
