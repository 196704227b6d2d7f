"""The kernel's table of mounts says what is Lustre, at once and whatever mounts do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import kernel
from slurm_amlfs.adapters.mount_table import MountTable
from slurm_amlfs.errors import TemporaryError

pytestmark = pytest.mark.integration


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Make a folder with a name that the table writes in another way."""
    place = tmp_path / "a b\\n\tc"
    place.mkdir()
    yield place
    while place.is_mount():
        kernel.unmount(str(place))


def test_what_comes_and_goes_is_seen(place: Path) -> None:
    """A plain folder is no mount; what is mounted is one at once, and none as soon as it is taken away."""
    table = MountTable(["tmpfs"])
    for _ in range(2):
        assert not table(place)
        kernel.mount("x", str(place), "tmpfs", kernel.Mount.NOTHING)
        assert table(place)
        assert table(place)
        kernel.unmount(str(place))


def test_another_type_is_not_taken_for_lustre(place: Path) -> None:
    """It is told what is there; a mount over the right one hides it."""
    table = MountTable(["tmpfs"])
    kernel.mount("x", str(place), "tmpfs", kernel.Mount.NOTHING)
    kernel.mount("x", str(place), "ramfs", kernel.Mount.NOTHING)
    with pytest.raises(TemporaryError, match="is ramfs and not Lustre; mount the file system there"):
        table(place)
    kernel.unmount(str(place))
    assert table(place)


def test_what_is_mounted_when_somebody_comes(place: Path) -> None:
    """An automount point is gone to, and then it is what was mounted there."""
    automounter = [sys.executable, str(Path(__file__).with_name("automounter.py")), str(place)]
    with subprocess.Popen(automounter, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            assert MountTable(["tmpfs"])(place)
        finally:
            process.kill()
            kernel.unmount(str(place))


def test_a_link_above_it(place: Path, tmp_path: Path) -> None:
    """The configured path may lead over links."""
    (tmp_path / "link").symlink_to(tmp_path)
    kernel.mount("x", str(place), "tmpfs", kernel.Mount.NOTHING)
    assert MountTable(["tmpfs"])(tmp_path / "link" / place.name)
