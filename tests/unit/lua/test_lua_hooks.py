"""Each hook gives Slurm what its release expects, and the daemon what it needs."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_mock import Returned, SlurmMock, finish, told

from slurm_amlfs.wire import Answer, Board, RequestKind, Site

DONE, BUSY = Returned(("0",)), Returned(("0", "BUSY"))
BOTH = ("stage_in prefix=/in/", "stage_out prefix=/out/ on=always")
HOOKS = """job_process pools job_teardown setup data_in test_data_in real_size paths pre_run post_run data_out
    test_data_out get_status"""


def until(condition: Callable[[], bool], what: str) -> None:
    """Watch for something that another process does."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited 20 s for {what}"
        time.sleep(0.01)


def begin(slurm: SlurmMock, function: str, *args: str) -> subprocess.Popen[str]:
    """Start a hook that waits; come back when its request is in the inbox."""
    process = slurm.start(function)
    assert process.stdin
    process.stdin.write(told(*args))
    process.stdin.close()
    process.stdin = None
    until(lambda: bool(slurm.inbox_files()), "a request in the inbox")
    return process


def test_all_thirteen_hooks_are_there(any_release: SlurmMock) -> None:
    """Slurm does not start unless every hook that its release knows is there."""
    assert set(any_release.call("functions").values) == {"slurm_bb_" + name for name in HOOKS.split()}


@pytest.mark.parametrize("gone", [[], ["script", "grammar", "pools", "text"]])
def test_job_process_takes_every_script(any_release: SlurmMock, gone: list[str]) -> None:
    """Slurm drops a refusal when it splits a task off an array, and the task hangs; so none is made.

    Not for a line that a later grammar refuses, not for a script that cannot be read, not in the midst of an upgrade.
    """
    for part in gone:
        (any_release.conf / f"amlfs_{part}.lua").unlink()
    (any_release.conf / "amlfs.lua").write_text("nonsense" if gone else "error('not needed')")
    for lines in (BOTH, ("stage_in prefix=/a/../b",), ("stage_in prefix=/a/ capacity=9T pool=none",)):
        path = any_release.script(*lines)
        assert any_release.call("slurm_bb_job_process", path) == DONE
        assert any_release.call("slurm_bb_job_process", path, "61001", "100", info_array_task_id="4") == DONE
    assert any_release.call("slurm_bb_job_process", path + ".gone") == DONE


def test_setup_tells_who_and_what(old: SlurmMock) -> None:
    """On 22.05 only setup knows the job's uid and gid, so its request has them, and the directives."""
    path = old.script(*BOTH)
    assert old.call("slurm_bb_setup", "7", "61001", "100", "(null)", "0", path) == DONE
    (request,) = old.requests()
    assert (request.kind, request.job_id, request.uid, request.gid) == (RequestKind.SETUP, 7, 61001, 100)
    assert request.directives == BOTH
    assert (request.token, request.exit_code, request.hurry) == ("", -1, False)


def test_a_job_that_only_exports_asks_on_old_slurm(old: SlurmMock) -> None:
    """Its AMLFS_EXPORT_DIR comes from the board, so it waits for one, and a refusal comes before it runs."""
    old.post(Board(7, 61001, "e", poll_seconds=0))
    process = begin(old, "slurm_bb_data_in", "7", old.script(BOTH[1]))
    (request,) = old.requests()
    assert (request.kind, request.job_id, request.directives) == (RequestKind.DATA_IN, 7, BOTH[1:])
    old.post(Board(7, 61001, "e", request.token, Answer.ERROR, message="amlfs: may not export"))
    assert finish(process, *process.communicate(timeout=20)) == Returned(("-1", "amlfs: may not export"))


def test_a_job_that_only_exports_asks_on_new_slurm(new: SlurmMock) -> None:
    """From 24.05 on test_data_in says BUSY until the daemon has let the job pass or refused it."""
    args = ("7", new.script(BOTH[1]), "61001", "100")
    assert new.call("slurm_bb_data_in", *args) == DONE
    (request,) = new.requests()
    assert (request.kind, request.directives) == (RequestKind.DATA_IN, BOTH[1:])
    assert new.call("slurm_bb_test_data_in", *args) == BUSY
    new.post(Board(7, 61001, "e", request.token, Answer.ERROR, message="amlfs: may not export"))
    assert new.call("slurm_bb_test_data_in", *args) == Returned(("-1", "amlfs: may not export"))
    new.post(Board(7, 61001, "e", request.token, Answer.DONE))
    assert new.call("slurm_bb_test_data_in", *args) == DONE


def test_nobody_is_asked_for_what_no_line_asks(any_release: SlurmMock) -> None:
    """Without directives there is no stage-in, and without a stage_out line no stage-out, to wait for."""
    assert any_release.call("slurm_bb_data_in", "7", any_release.script()) == DONE
    assert any_release.call("slurm_bb_test_data_in", "7", any_release.script()) == DONE
    assert any_release.call("slurm_bb_data_out", "7", any_release.script(BOTH[0])) == DONE
    assert any_release.call("slurm_bb_test_data_out", "7", any_release.script(BOTH[0])) == DONE
    assert any_release.requests() == []


def test_data_in_waits_on_old_slurm(old: SlurmMock) -> None:
    """On 22.05 data_in comes back only when its own ask is answered."""
    old.publish(Site(epoch="e"))
    old.post(Board(7, 61001, "e", "1-1", Answer.DONE, poll_seconds=0))
    process = begin(old, "slurm_bb_data_in", "7", old.script(*BOTH))
    (request,) = old.requests()
    assert (request.kind, request.job_id, request.directives) == (RequestKind.DATA_IN, 7, BOTH)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until(lambda: bool(children.read_text()), "its sleep, which comes after a look at the older answer")
    assert process.poll() is None, "an answer to an older ask is none"
    old.post(Board(7, 61001, "e", request.token, Answer.DONE))
    assert finish(process, *process.communicate(timeout=20)) == DONE


def test_data_in_fails_on_old_slurm_with_the_message(old: SlurmMock) -> None:
    """An error answer is the job's message, in one line that fits Slurm's SystemComment."""
    old.post(Board(7, 61001, "e", poll_seconds=0))
    process = begin(old, "slurm_bb_data_in", "7", old.script(*BOTH))
    (request,) = old.requests()
    old.post(Board(7, 61001, "e", request.token, Answer.ERROR, message="no blobs under\n/in/ " + "é" * 900))
    code, message = finish(process, *process.communicate(timeout=20)).values
    assert code == "-1"
    assert message.startswith("no blobs under /in/ éé")
    assert 890 < len(message.encode()) <= 900


def test_data_in_and_polls_on_new_slurm(new: SlurmMock) -> None:
    """From 24.05 on data_in only asks, and test_data_in says BUSY until the answer to that ask is there."""
    new.publish(Site(epoch="e"))
    args = ("7", new.script(*BOTH), "61001", "100")
    assert new.call("slurm_bb_data_in", *args, info_job_state="0") == DONE
    (request,) = new.requests()
    assert (request.kind, request.uid, request.gid) == (RequestKind.DATA_IN, 61001, 100)

    def answer(token: str, answer_in: Answer, epoch: str = "e", message: str = "") -> Returned:
        new.post(Board(7, 61001, epoch, token, answer_in, message=message))
        return new.call("slurm_bb_test_data_in", *args, info_job_state="0")

    assert new.call("slurm_bb_test_data_in", *args, info_job_state="0") == BUSY
    assert answer(request.token, Answer.BUSY) == BUSY
    assert answer("1-1", Answer.DONE) == BUSY
    assert answer(request.token, Answer.DONE, epoch="older") == BUSY
    assert answer(request.token, Answer.ERROR, message="no blobs") == Returned(("-1", "no blobs"))
    assert answer(request.token, Answer.DONE) == DONE
    assert new.requests() == [request], "it asks again only after a while"


def test_a_cancelled_job_is_not_staged_in(new: SlurmMock) -> None:
    """A poll after the teardown of a cancelled job (state 4, with flags) fails and asks nobody."""
    args = ("7", new.script(*BOTH), "61001", "100")
    code, message = new.call("slurm_bb_test_data_in", *args, info_job_state=str(4 + 0x8000)).values
    assert (code, message.split(";")[0]) == ("-1", "amlfs: the job is no longer pending")
    assert new.requests() == []


def test_an_unanswered_ask_is_put_again_in_the_same_file(new: SlurmMock) -> None:
    """Half a minute without an answer: the same ask once more, and never a second file of it."""
    args = ("7", new.script(*BOTH), "61001", "100")
    new.call("slurm_bb_data_in", *args)
    first = new.inbox()
    token = first[0].name.split(".0.")[0].replace(".", "-")
    ask = new.state / "asks/7.in"
    assert ask.read_text().split()[0] == token
    ask.write_text(f"{token} {int(time.time()) - 31}\n")
    first[0].write_text("to be replaced")
    assert new.call("slurm_bb_test_data_in", *args) == BUSY
    assert new.inbox() == first
    assert new.requests()[0].token == token
    first[0].unlink()
    assert new.call("slurm_bb_test_data_in", *args) == BUSY
    assert new.inbox() == []


def test_a_lost_ask_is_made_anew(new: SlurmMock) -> None:
    """Without its note of the ask the hook asks anew rather than failing."""
    args = ("7", new.script(*BOTH), "61001", "100")
    assert new.call("slurm_bb_test_data_in", *args) == BUSY
    assert [request.kind for request in new.requests()] == [RequestKind.DATA_IN]


def test_nothing_to_write_to_is_waited_out(new: SlurmMock) -> None:
    """No inbox, no board, no asks: jobs wait, and teardown lets go."""
    args = ("7", new.script(*BOTH), "61001", "100")
    for name in ("inbox", "board", "asks"):
        shutil.rmtree(new.state / name)
    assert new.call("slurm_bb_setup", "7", "61001", "100", "(null)", "0", args[1]) == DONE
    assert new.call("slurm_bb_data_in", *args) == DONE
    assert new.call("slurm_bb_test_data_in", *args) == BUSY
    assert new.call("slurm_bb_paths", "7", args[1], str(new.state / "gone/path")) == DONE
    assert new.call("slurm_bb_pre_run", *args) == DONE
    assert new.call("slurm_bb_post_run", *args) == DONE
    assert new.call("slurm_bb_job_teardown", "7", args[1], "false") == DONE


def test_a_script_that_cannot_be_read_is_waited_for(new: SlurmMock) -> None:
    """Without its script nobody knows what the job needs, so it must not start; nor on an answer to an earlier ask."""
    args = ("7", str(new.state / "script"), "61001", "100")
    (new.state / "asks/7.in").write_text("1-1 1\n")
    new.post(Board(7, 61001, "e", "1-1", Answer.DONE))
    assert new.call("slurm_bb_data_in", *args) == DONE
    assert new.call("slurm_bb_test_data_in", *args) == BUSY
    new.script(*BOTH)
    assert new.call("slurm_bb_test_data_in", *args) == BUSY
    assert [request.kind for request in new.requests()] == [RequestKind.DATA_IN]


@pytest.mark.parametrize("script", [None, ""])
def test_a_task_without_a_script_has_its_lines_from_its_record(new: SlurmMock, script: str | None) -> None:
    """From 24.11 on a task that was split off its array has none, and an empty one after a teardown."""
    path = new.state / "script"
    if script is not None:
        path.write_text(script)
    record = "".join(f"#AMLFS {line}\n" for line in BOTH)
    assert new.call("slurm_bb_setup", "7", "61001", "100", "", "0", str(path), info_burst_buffer=record) == DONE
    args = ("7", str(path), "61001", "100")
    for hook in ("data_in", "data_out"):
        assert new.call(f"slurm_bb_{hook}", *args, info_burst_buffer=record) == DONE
        assert new.call(f"slurm_bb_test_{hook}", *args, info_burst_buffer=record, info_job_state="0") == BUSY
    assert {request.kind: request.directives for request in new.requests()} == {
        RequestKind.SETUP: BOTH,
        RequestKind.DATA_IN: BOTH,
        RequestKind.DATA_OUT: BOTH,
    }


def test_data_out_on_new_slurm(new: SlurmMock) -> None:
    """data_out asks with the job's wait status, and test_data_out waits for the answer to it."""
    args = ("7", new.script(*BOTH), "61001", "100")
    assert new.call("slurm_bb_post_run", *args, info_exit_code="256") == DONE
    assert new.call("slurm_bb_data_out", *args, info_exit_code="256") == DONE
    out = next(request for request in new.requests() if request.kind is RequestKind.DATA_OUT)
    assert sorted((request.kind.value, request.exit_code) for request in new.requests()) == [
        ("data_out", 256),
        ("post_run", 256),
    ]
    assert new.call("slurm_bb_test_data_out", *args) == BUSY
    new.post(Board(7, 61001, "e", token_out=out.token, answer_out=Answer.DONE))
    assert new.call("slurm_bb_test_data_out", *args, info_job_state="3") == DONE


def test_data_out_waits_on_old_slurm(old: SlurmMock) -> None:
    """On 22.05 data_out comes back only when its own ask is answered."""
    old.post(Board(7, 61001, "e", poll_seconds=0))
    process = begin(old, "slurm_bb_data_out", "7", old.script(*BOTH))
    (request,) = old.requests()
    old.post(Board(7, 61001, "e", token_out=request.token, answer_out=Answer.DONE))
    assert finish(process, *process.communicate(timeout=20)) == DONE


def test_data_out_ends_with_the_teardown_of_a_job_cancelled_in_a_hurry(old: SlurmMock) -> None:
    """On 22.05 `scancel --hurry` leaves it running: it must not ask anew for what the teardown has dropped."""
    old.post(Board(7, 61001, "e", poll_seconds=0))
    process = begin(old, "slurm_bb_data_out", "7", old.script(*BOTH))
    (request,) = old.requests()
    assert old.call("slurm_bb_job_teardown", "7", old.script(*BOTH), "true") == DONE
    assert finish(process, *process.communicate(timeout=20)) == DONE
    assert [it.token for it in old.requests() if it.kind is RequestKind.DATA_OUT] == [request.token]


@pytest.mark.parametrize(
    ("job_state", "over"), [(4, True), (3, True), (3 + 2**23, False), (0, False), (1 + 2**15, False)]
)
def test_a_poll_after_a_teardown_in_a_hurry_asks_nobody(new: SlurmMock, job_state: int, *, over: bool) -> None:
    """Nor while Slurm polls; a job that is staged out, or requeued, has lost its note of the ask and asks again."""
    args = ("7", new.script(*BOTH), "61001", "100")
    answer = new.call("slurm_bb_test_data_out", *args, info_job_state=str(job_state))
    assert answer == (DONE if over else BUSY)
    assert bool(new.requests()) is not over


def test_paths_adds_only_our_variables(any_release: SlurmMock) -> None:
    """A variable that is not ours, or whose value would make a second line, does not reach the job."""
    path_file = any_release.state / "path"
    path_file.write_text("GIVEN=1\n")
    env = ("AMLFS_MOUNT=/mnt", "LD_PRELOAD=/x.so", "AMLFS_IMPORT_DIR=/mnt/a\nPATH=/evil", "AMLFS_EXPORT_DIR=/mnt/é b")
    any_release.post(Board(7, 61001, "e", env=env))
    assert any_release.call("slurm_bb_paths", "7", any_release.script(), str(path_file)) == DONE
    assert path_file.read_text() == "GIVEN=1\nAMLFS_MOUNT=/mnt\nAMLFS_EXPORT_DIR=/mnt/é b\n"


@pytest.mark.parametrize("hurry", ["true", "false"])
def test_teardown_tells_and_forgets(any_release: SlurmMock, hurry: str) -> None:
    """The asks of the job are gone, and the daemon knows how it went."""
    asks = [any_release.state / "asks" / name for name in ("7.in", "7.out", "77.in")]
    for ask in asks:
        ask.write_text("1-1 1\n")
    assert any_release.call("slurm_bb_job_teardown", "7", any_release.script(*BOTH), hurry) == DONE
    assert [ask.exists() for ask in asks] == [False, False, True]
    (request,) = any_release.requests()
    assert (request.kind, request.job_id, request.hurry) == (RequestKind.TEARDOWN, 7, hurry == "true")


def test_get_status_on_new_slurm_is_for_owner_and_admins(new: SlurmMock) -> None:
    """The owner sees phase, figures and message; another user sees that it is another's."""
    eta = int(time.time()) + 100
    new.post(
        Board(
            7, 61001, "e", phase_in="restoring", message="waits for\nspace", files_done=1, files_total=3,
            bytes_done=1 << 40, bytes_total=1 << 42, eta=eta,
        )
    )  # fmt: skip
    code, text = new.call("slurm_bb_get_status", "61001", "100", "7").values
    assert code == "0"
    assert text.startswith("JobId=7 StageIn=restoring StageOut= Files=1/3 Bytes=1099511627776/4398046511104 Done=25% ")
    assert text.endswith("s Message=waits for space\n")
    assert 90 <= int(text.split("TimeLeft=")[1].split("s ")[0]) <= 100
    assert new.call("slurm_bb_get_status", "0", "0", "7").values[1].startswith("JobId=7 ")
    assert "another user's" in new.call("slurm_bb_get_status", "61002", "100", "7").values[1]


def test_get_status_on_old_slurm_shows_no_text(old: SlurmMock) -> None:
    """22.05 does not say who asks, so everybody sees figures and nobody the message."""
    old.post(Board(7, 61001, "e", phase_in="restoring", message="secret", files_done=1, files_total=3))
    (code, text) = old.call("slurm_bb_get_status", "7").values
    assert (code, text) == ("0", "JobId=7 StageIn=restoring StageOut= Files=1/3 Bytes=0/0 Done=33%\n")


@pytest.mark.parametrize("asked", [(), ("../site",), ("7x",), ("-1",), ("9" * 11,)])
def test_get_status_takes_a_number_only(old: SlurmMock, asked: tuple[str, ...]) -> None:
    """Nothing that a user types becomes part of a path unless it is a number."""
    (old.state / "site").write_text("amlfs-board 1\nend=1\n")
    code, text = old.call("slurm_bb_get_status", *asked).values
    assert (code, text) == ("0", "amlfs: name one job by its number: scontrol show bbstat JOBID\n")


def test_get_status_without_a_board(any_release: SlurmMock) -> None:
    """A job that has no board is no error."""
    args = ["61001", "100"] if any_release.release > "22.05" else []
    code, text = any_release.call("slurm_bb_get_status", *args, "8").values
    assert code == "0"
    assert text.startswith("amlfs: job 8 has no board; ")
