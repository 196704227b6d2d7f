from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from slurm_amlfs.adapters.board import BoardFolder
from slurm_amlfs.errors import TemporaryError
from slurm_amlfs.wire import Board, Site, load_board, load_site
from tests.contract.board_contract import BOARD, BoardContract, Shown
from tests.fakes.board import FakeBoard

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users, which root alone may")
SLURM_GID = 61999


class TestFakeBoard(BoardContract):
    @pytest.fixture
    def port(self) -> FakeBoard:
        """Make an empty board."""
        return FakeBoard()

    @pytest.fixture
    def shown(self, port: FakeBoard) -> Shown:
        """Read it."""
        return port.boards.get


class TestBoardFolder(BoardContract):
    @pytest.fixture
    def port(self, tmp_path: Path) -> BoardFolder:
        """Make an empty board."""
        return BoardFolder(tmp_path / "state", os.geteuid(), os.getegid())

    @pytest.fixture
    def shown(self, tmp_path: Path) -> Shown:
        """Read a file of it."""

        def read(job_id: int) -> Board | None:
            path = tmp_path / "state" / "board" / str(job_id)
            return load_board(path.read_bytes()) if path.exists() else None

        return read

    def test_modes(self, port: BoardFolder, tmp_path: Path) -> None:
        """Boards are passable and not listed; asks are SlurmUser's alone; nothing half written is left."""
        port.post(BOARD)
        state = tmp_path / "state"
        modes = {path: stat.S_IMODE((state / path).stat().st_mode) for path in ("board", "asks", "board/7")}
        assert modes == {"board": 0o711, "asks": 0o700, "board/7": 0o640}
        assert [path.name for path in (state / "board").iterdir()] == ["7"]

    def test_site(self, port: BoardFolder, tmp_path: Path) -> None:
        """Lua reads the site as it was published last."""
        for epoch in ("one", "two"):
            port.publish_site(Site(epoch, ("lustre /lustre",), ("* * /",), ("lustre 61001 /jobs/",)))
        assert load_site((tmp_path / "state" / "site").read_bytes()).epoch == "two"
        assert stat.S_IMODE((tmp_path / "state" / "site").stat().st_mode) == 0o640

    def test_what_a_hook_asked_last(self, port: BoardFolder, tmp_path: Path) -> None:
        """As etc/amlfs_state.lua notes it; nothing else is a token."""
        notes = {7: b"1795348800-321 1795348801\n", 8: b"", 9: b"../x 1\n", 10: b"1-2", 11: b"\xff\n"}
        for job_id, text in notes.items():
            (tmp_path / "state" / "asks" / f"{job_id}.in").write_bytes(text)
        assert [port.asked(it) for it in (*notes, 12)] == ["1795348800-321", "", "", "", "", ""]

    def test_the_notes_of_the_hooks_go_with_the_board(self, port: BoardFolder, tmp_path: Path) -> None:
        """Of the asks that it answered; that of a new ask stays, and so do those of another job."""
        asks = tmp_path / "state" / "asks"
        port.post(replace(BOARD, token_out="5-6"))  # noqa: S106 - names an ask, opens nothing
        (asks / "7.in").write_text("1-2 3\n")
        (asks / "7.out").write_text("5-67 8\n")
        (asks / "77.in").write_text("1-2 3\n")
        port.remove(7)
        assert sorted(it.name for it in asks.iterdir()) == ["7.out", "77.in"]

    def test_a_broken_board_is_replaced(self, port: BoardFolder, tmp_path: Path, shown: Shown) -> None:
        """Half a file after a crash is no board."""
        port.post(BOARD)
        (tmp_path / "state" / "board" / "7").write_bytes(b"amlfs-board 1\njob")
        port.post(BOARD)
        assert shown(7) == BOARD

    def test_a_draft_that_was_left_is_no_obstacle(self, port: BoardFolder, tmp_path: Path, shown: Shown) -> None:
        """A crash between write and rename costs nothing, and no link in the draft's place is followed."""
        victim = tmp_path / "victim"
        victim.write_text("untouched")
        (tmp_path / "state" / "board" / ".7.tmp").symlink_to(victim)
        port.post(BOARD)
        assert shown(7) == BOARD
        assert port.posted() == (7,)
        assert victim.read_text() == "untouched"

    def test_no_place(self, port: BoardFolder, tmp_path: Path) -> None:
        """A disk that takes nothing is told as what waiting and an admin mend."""
        (tmp_path / "state" / "board" / ".7.tmp").mkdir()
        with pytest.raises(TemporaryError, match=r"cannot be written .*; mend the disk"):
            port.post(BOARD)

    @root_only
    def test_readers(self) -> None:
        """The job's owner and SlurmUser's group read a board; another user does not, and nobody but us writes."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o711)
            BoardFolder(Path(folder) / "state", 61998, SLURM_GID).post(BOARD)
            board = str(Path(folder) / "state" / "board" / "7")
            users = {"owner": (61001, 61001), "slurm": (61998, SLURM_GID), "other": (61002, 61002)}
            reads = {name for name, ids in users.items() if works(ids, "/bin/cat", board)}
            writes = {name for name, ids in users.items() if works(ids, "/bin/cp", "/dev/null", board)}
            assert (reads, writes) == ({"owner", "slurm"}, set())
            assert (Path(folder) / "state" / "asks").stat().st_uid == 61998


def works(ids: tuple[int, int], *argv: str) -> bool:
    """Say whether a command works as a user."""
    uid, gid = ids
    return subprocess.run(argv, user=uid, group=gid, extra_groups=[], capture_output=True, check=False).returncode == 0
