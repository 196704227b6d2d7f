"""What every PoolsPort keeps, and what is true of the file besides."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from slurm_amlfs.adapters.pools import FILE_NAME, PoolsFile
from slurm_amlfs.application.ports import PoolsPort
from slurm_amlfs.domain.capacity import Pool
from slurm_amlfs.errors import TemporaryError
from tests.fakes.pools import FakePools

ONE, TWO = Pool("lustre", 95, 60), Pool("x.y-2", 0, 0)


class PoolsContract:
    """The promises of the PoolsPort."""

    def test_what_is_posted_is_read_back(self, port: PoolsPort) -> None:
        """In its order, and only the latest; nothing before."""
        assert port.posted() == ()
        port.post([ONE, TWO])
        assert port.posted() == (ONE, TWO)
        port.post([TWO])
        assert port.posted() == (TWO,)

    def test_removed_is_gone(self, port: PoolsPort) -> None:
        """Twice, too."""
        port.post([ONE])
        for _ in range(2):
            port.remove()
            assert port.posted() == ()


class TestFakePools(PoolsContract):
    @pytest.fixture
    def port(self) -> FakePools:
        """Make one without pools."""
        return FakePools()


class TestPoolsFile(PoolsContract):
    @pytest.fixture
    def port(self, tmp_path: Path) -> PoolsFile:
        """Make one without a file."""
        return PoolsFile(tmp_path, os.getegid())

    def test_slurmusers_group_reads_it(self, port: PoolsFile, tmp_path: Path) -> None:
        """Nobody else, and nothing half written is left."""
        port.post([ONE])
        assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
        assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o640

    @pytest.mark.parametrize("text", ["", "{", '{"pools":[]}', '{"pools":[{"id":"a","quantity":1}]}\n', "\xff"])
    def test_what_is_not_ours_is_no_pool(self, port: PoolsFile, tmp_path: Path, text: str) -> None:
        """It is replaced as if nothing were there."""
        (tmp_path / FILE_NAME).write_text(text, encoding="latin-1")
        assert port.posted() == ()
        port.post([ONE])
        assert port.posted() == (ONE,)

    def test_no_place(self, port: PoolsFile, tmp_path: Path) -> None:
        """A disk that takes nothing is told as what waiting and an admin mend."""
        (tmp_path / FILE_NAME).mkdir()
        with pytest.raises(TemporaryError, match=r"cannot be written .*; mend the disk"):
            port.post([ONE])
        with pytest.raises(TemporaryError, match=r"cannot be removed .*; remove it"):
            port.remove()
