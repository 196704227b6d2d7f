from __future__ import annotations

import errno
import itertools
import os
import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from slurm_amlfs.adapters.inbox import MOST_BAD, MOST_OF_ONE, MOST_OF_OTHERS, MaildirInbox
from slurm_amlfs.errors import PermanentError, TemporaryError
from slurm_amlfs.wire import MAX_BYTES, Request, RequestKind, dump_request
from tests.contract.inbox_contract import Drop, InboxContract
from tests.fakes.inbox import FakeInbox

ME = os.geteuid()
ASK = Request(RequestKind.DATA_IN, 7)


class TestFakeInbox(InboxContract):
    @pytest.fixture
    def inbox(self) -> FakeInbox:
        """Make an empty inbox."""
        return FakeInbox()

    @pytest.fixture
    def drop(self, inbox: FakeInbox) -> Drop:
        """Drop as a hook does."""
        return inbox.drop


class TestMaildirInbox(InboxContract):
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Name the inbox's folder."""
        return tmp_path / "state" / "inbox"

    @pytest.fixture
    def inbox(self, folder: Path) -> MaildirInbox:
        """Make an empty inbox."""
        return MaildirInbox(folder, {ME})

    @pytest.fixture
    def drop(self, inbox: MaildirInbox, folder: Path) -> Drop:
        """Write in tmp, rename into new, a second later each time."""
        assert inbox
        counter = itertools.count(1)

        def drop(request: Request) -> None:
            number = next(counter)
            place_file(folder, f"1.2.{number}.{request.job_id}-{request.kind.value}", dump_request(request), number)

        return drop

    def test_modes(self, inbox: MaildirInbox, folder: Path) -> None:
        """Anybody drops, nobody lists; what is claimed is the daemon's alone; all of it is passable."""
        assert inbox
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert modes == {"tmp": 0o1733, "new": 0o1733, "cur": 0o700, "bad": 0o700}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o711
        assert stat.S_IMODE(folder.parent.stat().st_mode) & 0o711 == 0o711

    def test_a_crash_forgets_nothing(self, inbox: MaildirInbox, folder: Path, drop: Drop) -> None:
        """A new daemon finds what the old one had claimed."""
        drop(ASK)
        assert len(list(inbox.take())) == 1
        assert [request.job_id for _, request in MaildirInbox(folder, {ME}).take()] == [7]

    def test_a_full_disk_costs_no_request(
        self, inbox: MaildirInbox, folder: Path, drop: Drop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It stays where it is, and is taken in when the disk has room for its name."""
        drop(ASK)

        def full(*_: object) -> NoReturn:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "rename", full)
        for _ in range(2):
            with pytest.raises(TemporaryError, match="No space left on device"):
                list(inbox.take())
        assert len(list((folder / "new").iterdir())) == 1
        monkeypatch.undo()
        assert [it.kind for _, it in inbox.take()] == [ASK.kind]

    def test_a_folder_that_is_away_is_told(self, inbox: MaildirInbox, folder: Path) -> None:
        """As one that can be mended."""
        away = folder.with_name("away")
        folder.rename(away)
        with pytest.raises(TemporaryError, match="cannot be used"):
            list(inbox.take())
        away.rename(folder)
        assert list(inbox.take()) == []

    def test_the_sender_is_the_files_owner(self, inbox: MaildirInbox, drop: Drop) -> None:
        """What the file says of its sender counts nothing."""
        drop(replace(ASK, sender_uid=12345))
        [(_, request)] = inbox.take()
        assert request.sender_uid == ME

    def test_hooks_speak_for_slurm_only(self, folder: Path, drop: Drop) -> None:
        """From anybody else only a wish to retry or cancel is taken."""
        inbox = MaildirInbox(folder, {ME + 1})
        for kind in RequestKind:
            drop(replace(ASK, kind=kind))
        assert {request.kind for _, request in inbox.take()} == {RequestKind.RETRY, RequestKind.CANCEL}
        assert len(list((folder / "bad").iterdir())) == len(RequestKind) - 2

    @pytest.mark.parametrize(
        ("fs", "prefix", "taken"),
        [
            ("lustre", "/a b%/é/", 1),
            ("lustre", "a/", 0),
            ("lustre", "/a/../b", 0),
            ("lu stre", "/a/", 0),
            ("", "/a/", 0),
        ],
    )
    def test_a_request_about_leases_names_a_prefix_that_we_carry(
        self, inbox: MaildirInbox, drop: Drop, fs: str, prefix: str, taken: int
    ) -> None:
        """Whatever else it names is set aside; it has no job."""
        drop(Request(RequestKind.PIN, 0, fs=fs, prefix=prefix))
        assert [(it.job_id, it.fs, it.prefix) for _, it in inbox.take()] == [(0, fs, prefix)] * taken

    def test_of_one_user_some_are_taken_at_a_time(self, folder: Path, drop: Drop) -> None:
        """The rest waits until these are done, and then it comes."""
        inbox = MaildirInbox(folder, {ME + 1})
        for job_id in range(1, MOST_OF_ONE + 6):
            drop(Request(RequestKind.RETRY, job_id))
        first = list(inbox.take())
        assert [handle for handle, _ in inbox.take()] == [handle for handle, _ in first]
        for handle, _ in first:
            inbox.done(handle)
        rest = list(inbox.take())
        assert (len(first), len(rest)) == (MOST_OF_ONE, 5)
        assert {request.job_id for _, request in [*first, *rest]} == set(range(1, MOST_OF_ONE + 6))

    @pytest.mark.skipif(ME != 0, reason="only root gives files away")
    def test_junk_of_users_holds_back_no_hook(self, inbox: MaildirInbox, folder: Path, drop: Drop) -> None:
        """However old it says it is, the hook's request is taken before it, and no more of it than is bearable."""
        for number in range(10 * 30):
            place_file(folder, f"junk{number}", dump_request(Request(RequestKind.RETRY, 9)), -number)
            os.chown(folder / "new" / f"junk{number}", 61001 + number // 30, -1)
        drop(ASK)
        taken = [request for _, request in inbox.take()]
        users = Counter(request.sender_uid for request in taken[1:])
        assert taken[0].sender_uid == 0
        assert len(taken) == 1 + MOST_OF_OTHERS
        assert set(users.values()) == {MOST_OF_ONE}
        drop(replace(ASK, job_id=8))
        assert [request.job_id for _, request in inbox.take()][:3] == [7, 8, 9]

    def test_a_name_replaces_nobodys_request(self, inbox: MaildirInbox, folder: Path) -> None:
        """Two files dropped under one name are two requests."""
        for job_id in (7, 8):
            place_file(folder, "same", dump_request(replace(ASK, job_id=job_id)), job_id)
            list(inbox.take())
        assert [request.job_id for _, request in inbox.take()] == [7, 8]

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"amlfs-request 1\nkind=data_in\njob_id=7\n",
            b"amlfs-request 1\nkind=boom\njob_id=7\nend=1\n",
            b"amlfs-request 1\nkind=data_in\njob_id=0\nend=1\n",
            b"amlfs-request 1\nkind=data_in\njob_id=-7\nend=1\n",
            b"amlfs-request 1\nkind=data_in\njob_id=2147483648\nend=1\n",
            b"amlfs-request 1\nkind=data_in\njob_id=" + b"9" * 5000 + b"\nend=1\n",
            b"\xff\xfe\x00",
            dump_request(ASK) + b"more",
        ],
    )
    def test_malformed_is_set_aside(self, inbox: MaildirInbox, folder: Path, data: bytes) -> None:
        """It is kept to look at, and what is beside it is taken."""
        place_file(folder, "bad", data, 1)
        place_file(folder, "good", dump_request(ASK), 2)
        assert [request.job_id for _, request in inbox.take()] == [7]
        assert [path.read_bytes() for path in (folder / "bad").iterdir()] == [data]

    def test_too_long_is_dropped(self, inbox: MaildirInbox, folder: Path) -> None:
        """A file that fills the disk is not kept."""
        place_file(folder, "long", b"x" * (MAX_BYTES + 1), 1)
        assert list(inbox.take()) == []
        assert [list((folder / name).iterdir()) for name in ("new", "cur", "bad")] == [[], [], []]

    def test_what_is_no_file_is_dropped(self, inbox: MaildirInbox, folder: Path, tmp_path: Path) -> None:
        """Links, pipes and folders neither stop the daemon nor lead it anywhere."""
        victim = tmp_path / "victim"
        victim.write_bytes(dump_request(ASK))
        (folder / "new" / "link").symlink_to(victim)
        os.mkfifo(folder / "new" / "pipe")
        (folder / "new" / "folder" / "deep").mkdir(parents=True)
        (folder / "new" / "folder" / "link").symlink_to(tmp_path)
        os.link(victim, folder / "new" / "hard")
        assert list(inbox.take()) == []
        assert list((folder / "new").iterdir()) + list((folder / "cur").iterdir()) == []
        assert victim.read_bytes() == dump_request(ASK)

    def test_bad_is_bounded(self, inbox: MaildirInbox, folder: Path) -> None:
        """A flood of rubbish does not fill the folder."""
        for number in range(MOST_BAD + 20):
            place_file(folder, f"n{number}", b"rubbish", number)
        assert list(inbox.take()) == []
        assert len(list((folder / "bad").iterdir())) == MOST_BAD

    def test_no_place(self, tmp_path: Path) -> None:
        """A state directory that cannot be made says so."""
        (tmp_path / "file").write_text("")
        with pytest.raises(PermanentError, match=r"cannot be made .*; mend state_dir"):
            MaildirInbox(tmp_path / "file" / "inbox", {ME})


def place_file(folder: Path, name: str, data: bytes, age: int) -> None:
    """Drop a file as old as `age` says."""
    draft = folder / "tmp" / name
    draft.write_bytes(data)
    os.utime(draft, ns=(0, 10**18 + age * 10**9))
    draft.rename(folder / "new" / name)
