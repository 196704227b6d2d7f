"""Reading what squeue prints, and commands that fail; on a real slurmctld: integration."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from slurm_amlfs.adapters.slurm_cli import SlurmCommands, one_line
from slurm_amlfs.adapters.slurm_living import parse_living
from slurm_amlfs.adapters.slurm_queue import count_tasks, directive_lines, parse_jobs, parse_queue
from slurm_amlfs.adapters.slurm_records import OWNERS_HOLD, parse_records
from slurm_amlfs.domain.view import Hold, JobName, JobRecord, JobView, LivingJob, QueuedJob
from slurm_amlfs.errors import PermanentError, TemporaryError

MARK = "|m|"


def record(*texts: str) -> str:
    """Write a record as squeue -O does: the mark behind each field."""
    return "".join(f"{text}{MARK}" for text in texts) + "\n"


def squeue(folder: Path, known: set[int]) -> Path:
    """Put a squeue in place that knows some jobs, and fails over one that it does not when it stands alone.

    Returns: the file that tells the ids of each call.
    """
    program(
        folder,
        "squeue",
        "for a; do case $a in --Format=*) m=${a#*:0}; m=${m%%,*};; --jobs=*) ids=${a#*=};; esac; done\n"
        f"echo $ids >> {folder}/calls\n"
        f"some=; for id in $(echo $ids | tr , ' ' | xargs -n1 | sort -u); do case ' {' '.join(map(str, known))} ' in\n"
        '*" $id "*) some=1; for f in $id 1 PENDING none 0 0 1 1 1795 $id N/A none alice None; do\n'
        'printf %s%s "$f" "$m"; done\n'
        "echo;;\n"
        "esac; done\n"
        'case $ids in *,*) exit 0;; esac; [ -n "$some" ]',
    )
    return folder / "calls"


def program(folder: Path, name: str, text: str) -> None:
    """Put a shell script in a command's place."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_records() -> None:
    """Each field of the record is the job's; what Slurm prints for none is none."""
    text = record(
        "7",
        "61001",
        "PENDING",
        "staging-in",
        "0",
        "2",
        "4294901759",
        "1",
        "1795348800",
        "5",
        "12",
        "phys",
        "alice",
        "BurstBufferStageIn",
    )
    text += record(
        "8", "61002", "STAGE_OUT", "(null)", "768", "0", "0", "0", "N/A", "8", "N/A", "(null)", "bob", "None"
    )
    text += record("9", "61003", "PENDING", "(null)", "0", "0", "1", "1", "N/A", "9", "3-4,7", "", "nobody", "None")
    more: dict[str, Any] = {"account": "phys", "user": "alice", "restarts": 2, "priority": 4294901759}
    more["task"] = JobName(5, 12)
    more["submitted"] = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert parse_jobs(text, MARK) == {
        7: JobView(7, 61001, "PENDING", "BurstBufferStageIn", "staging-in", **more),
        8: JobView(8, 61002, "STAGE_OUT", "None", exit_code=3, user="bob", held=True, interactive=True, priority=0),
        9: JobView(9, 61003, "PENDING", "None"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", (0, 0)), ("256", (1, 0)), ("9", (0, 9)), ("15", (0, 15)), ("3:0", (3, 0)), ("0:9", (0, 9)), ("", (0, 0))],
)
def test_ends(text: str, expected: tuple[int, int]) -> None:
    """22.05 prints a wait status, 23.02 and later code and signal."""
    [job] = parse_jobs(
        record("7", "1", "FAILED", "", text, "0", "1", "1", "N/A", "7", "N/A", "", "alice", ""), MARK
    ).values()
    assert (job.exit_code, job.exit_signal) == expected


def test_a_reason_may_be_any_text() -> None:
    """A message with lines and bars in it stays in its own field."""
    reason = "burst_buffer/lua: bad\n9|x|1|x|RUNNING"
    jobs = parse_jobs(record("7", "1", "PENDING", "", "0", "0", "1", "1", "N/A", "7", "N/A", "", "alice", reason), MARK)
    assert {job_id: job.reason for job_id, job in jobs.items()} == {7: reason}


@pytest.mark.parametrize("text", ["hello\n", record("7", "1"), record("7", *["x"] * 8)])
def test_another_form_is_told(text: str) -> None:
    """What is no record of ours is no job."""
    with pytest.raises(PermanentError, match="report Slurm's version"):
        parse_jobs(text, MARK)


def test_comment_is_one_plain_line() -> None:
    """AdminComment gets one line of at most 1,000 characters without double quotes."""
    assert one_line('a "b"\nJobId=1\x1b[0m') == "a 'b' JobId=1 [0m"
    assert len(one_line("x" * 2000)) == 1000


def test_no_ids_no_call(tmp_path: Path) -> None:
    """Nothing is run for nothing."""
    assert SlurmCommands(tmp_path).jobs([]) == {}


def test_slurm_is_down(tmp_path: Path) -> None:
    """A slurmctld that does not answer is waited for."""
    program(tmp_path, "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    program(tmp_path, "scontrol", "exit 1")
    slurm = SlurmCommands(tmp_path)
    with pytest.raises(TemporaryError, match="Unable to contact slurm controller"):
        slurm.jobs([7])
    with pytest.raises(TemporaryError):
        slurm.comment(7, "x")


def test_no_commands(tmp_path: Path) -> None:
    """A wrong bin_dir names what is missing; an upgrade may just be replacing it, so no job is given up for it."""
    with pytest.raises(TemporaryError, match=r"squeue cannot be started .*; install it"):
        SlurmCommands(tmp_path).jobs([7])


def test_comment_on_a_job_that_is_gone(tmp_path: Path) -> None:
    """Refused for a job that Slurm no longer knows is success; for one that it knows, a fault."""
    program(tmp_path, "scontrol", "echo refused >&2; exit 1")
    program(tmp_path, "squeue", "exit 0")
    SlurmCommands(tmp_path).comment(7, "x")
    squeue(tmp_path, {7})
    with pytest.raises(PermanentError, match="run the daemon as root or SlurmUser"):
        SlurmCommands(tmp_path).comment(7, "x")


def test_notify(tmp_path: Path) -> None:
    """One argument that no shell reads; who cannot be told is one line."""
    program(
        tmp_path, "scontrol", f'for a; do echo "<$a>"; done > {tmp_path}/told; [ "$2" != 8 ] || {{ echo no; exit 1; }}'
    )
    slurm = SlurmCommands(tmp_path)
    slurm.notify(7, "amlfs: no blobs under '/$(touch x)/'\nJobId=1")
    assert (tmp_path / "told").read_text() == "<notify>\n<7>\n<amlfs: no blobs under '/$(touch x)/' JobId=1>\n"
    with pytest.raises(TemporaryError, match="nobody who waits for job 8 can be told"):
        slurm.notify(8, "x")


def test_few_jobs_are_asked_for_one_by_one(tmp_path: Path) -> None:
    """More than one id makes squeue load every job of the cluster."""
    calls = squeue(tmp_path, {5, 6, 7, *range(20, 29)})
    slurm = SlurmCommands(tmp_path)
    assert set(slurm.jobs([5, 6, 7])) == {5, 6, 7}
    assert calls.read_text().split() == ["5", "6", "7"]
    calls.unlink()
    assert set(slurm.jobs(range(20, 29))) == set(range(20, 29))
    assert calls.read_text().split() == ["20,21,22,23,24,25,26,27,28"]


def test_an_unknown_job_among_few(tmp_path: Path) -> None:
    """Alone it is an error to squeue, as a slurmctld that is down is; one list tells of it and of those after it."""
    calls = squeue(tmp_path, {5, 7})
    assert set(SlurmCommands(tmp_path).jobs([5, 6, 7])) == {5, 7}
    assert calls.read_text().split() == ["5", "6", "6,7"]
    calls.unlink()
    assert SlurmCommands(tmp_path).jobs([6]) == {}
    assert calls.read_text().split() == ["6", "6,6"]


def test_what_the_commands_are_given(tmp_path: Path) -> None:
    """SLURM_CONF and the C locale, and one call for many ids."""
    program(tmp_path, "squeue", f'echo "$SLURM_CONF $LC_ALL $*" >> {tmp_path}/calls')
    slurm = SlurmCommands(tmp_path, Path("/etc/x/slurm.conf"))
    slurm.jobs([5])
    slurm.jobs(range(1, 1001))
    slurm.jobs(range(1, 1002))
    slurm.queue()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[:2] for call in calls] == [["/etc/x/slurm.conf", "C"]] * 5
    calls = [call for call in calls if "--version" not in call]
    ids = [call.partition("--jobs=")[2].split(" ")[0].split(",") for call in calls]
    assert [(len(some), some[0], some[-1]) for some in ids] == [(1, "5", "5"), (1000, "1", "1000"), *[(1, "", "")] * 2]


def test_tasks_apart_from_their_array(tmp_path: Path) -> None:
    """How squeue is told so is found out once, and anew when it fails: it may be another release's then."""
    trouble = tmp_path / "trouble"

    def install(refused: str) -> None:
        program(
            tmp_path,
            "squeue",
            f'echo "$*" >> {tmp_path}/calls\ncase "$*" in *--version*) ;; *) [ ! -e {trouble} ] || exit 1;; esac\n'
            f'for a; do [ "$a" != "{refused}" ] || exit 1; done',
        )

    def asked() -> list[str]:
        return (tmp_path / "calls").read_text().splitlines()

    install(refused="")
    slurm = SlurmCommands(tmp_path)
    slurm.jobs(range(1, 50))
    slurm.queue()
    assert ["--version" in call for call in asked()] == [True, False, False]
    assert all("--array-unique" in call.split() for call in asked())
    install(refused="--array-unique")
    with pytest.raises(TemporaryError):
        slurm.queue()
    slurm.queue()
    slurm.jobs(range(1, 50))
    assert [call.split()[-2] for call in asked()[-2:]] == ["--array"] * 2
    trouble.touch()
    with pytest.raises(TemporaryError):
        slurm.queue()


def test_an_arrays_record_that_is_printed_for_each_of_its_tasks() -> None:
    """It is one job of many tasks, and waits as its tasks together do."""
    depends = "aftercorr:7_*(unfulfilled)"
    text = "".join(record(*WAITS[:5], str(task), *WAITS[6:-2], depends, LINES) for task in range(3, 9))
    text += record("12", *WAITS[1:5], "2", *WAITS[6:-2], depends, LINES)
    head, task = parse_queue(text, MARK)
    assert (head.job_id, head.tasks, head.after) == (7, 6, {JobName(7)})
    assert (task.job_id, task.tasks, task.after) == (12, 1, {JobName(7, 2)})
    shown = ("PENDING", "none", "0", "0", "1", "1", "1795", "7")
    text = "".join(record("7", "1", *shown, str(task), "", "alice", "None") for task in range(3, 9))
    text += record("12", "1", *shown, "2", "", "alice", "None")
    assert {job_id: job.task for job_id, job in parse_jobs(text, MARK).items()} == {7: None, 12: JobName(7, 2)}


def test_of_all_jobs_only_those_asked_for(tmp_path: Path) -> None:
    """So many ids are not given to squeue, which then tells of every job."""
    squeue(tmp_path, {5, 6000})
    text = (tmp_path / "squeue").read_text().replace("for id in $(echo", "ids=${ids:-5,6000}; for id in $(echo")
    (tmp_path / "squeue").write_text(text)
    assert set(SlurmCommands(tmp_path).jobs(range(1, 5001))) == {5}


LINES = "#AMLFS stage_in prefix=/a/\n#AMLFS stage_out prefix=/b/"
WAITS = ("7", "61001", "4294901759", "1", "1795391176", "N/A", "phys", "alice", "(null)", LINES)


def test_queue() -> None:
    """Each field is the job's; jobs without directives are not told."""
    text = record(*WAITS)
    text += record(
        "8", "61002", "0", "1", "N/A", "0-9,12,20-40:5%2", "(null)", "nobody", "(null)", "#AMLFS stage_in prefix=/c/"
    )
    text += record("9", "61002", "1", "1", "Unknown", "N/A", "(null)", "bob", "afterok:7(unfulfilled)", "(null)")
    assert parse_queue(text, MARK) == (
        QueuedJob(
            job_id=7,
            uid=61001,
            directives=("stage_in prefix=/a/", "stage_out prefix=/b/"),
            user="alice",
            account="phys",
            priority=4294901759,
            expected_start=datetime(2026, 11, 22, 23, 46, 16, tzinfo=UTC),
        ),
        QueuedJob(8, 61002, ("stage_in prefix=/c/",), priority=0, held=True, tasks=16),
    )


@pytest.mark.parametrize(
    ("depends", "after"),
    [
        ("afterok:7(unfulfilled)", {JobName(7)}),
        ("afterok:7_0(unfulfilled)", {JobName(7, 0)}),
        ("afterburstbuffer:7_*(unfulfilled),afterany:12(unfulfilled)", {JobName(7), JobName(12)}),
        ("afterany:7_3(unfulfilled)?afternotok:8_31+5(failed)", {JobName(7, 3), JobName(8, 31)}),
        ("aftercorr:7_*(unfulfilled)", {JobName(7)}),
        ("after:7+10(unfulfilled)", {JobName(7)}),
        ("singleton(unfulfilled)", set()),
        ("(null)", set()),
    ],
)
def test_whose_end_a_job_waits_for(depends: str, after: set[JobName]) -> None:
    """Each job is named once, an array by its own id, and a task by its array's and its number."""
    [job] = parse_queue(record(*WAITS[:-2], depends, LINES), MARK)
    assert job.after == after


def test_a_task_waits_for_the_task_of_its_own_number() -> None:
    """By aftercorr Slurm shows the array; tasks that still share a record wait for all of it."""
    depends = "aftercorr:7_*(unfulfilled),afterok:8_*(unfulfilled)"
    after = {}
    for tasks in ("3", "3-5"):
        [job] = parse_queue(record(*WAITS[:5], tasks, *WAITS[6:-2], depends, LINES), MARK)
        after[tasks] = job.after
    assert after == {"3": {JobName(7, 3), JobName(8)}, "3-5": {JobName(7), JobName(8)}}


def test_a_job_without_directives_waits_for_exports_by_afterburstbuffer() -> None:
    """By any other dependency it begins when the other job's processes have ended."""
    [job] = parse_queue(record(*WAITS[:-2], "afterburstbuffer:9(unfulfilled)", "(null)"), MARK)
    assert (job.directives, job.after) == ((), {JobName(9)})
    assert parse_queue(record(*WAITS[:-2], "afterok:9(unfulfilled)", "(null)"), MARK) == ()


def test_a_directive_is_no_record() -> None:
    """What looks like another job's record, and bytes that are no text, stay in their field."""
    text = "#AMLFS stage_in prefix=/a/\n#AMLFS 9|x|1|x|\udcff"
    [job] = parse_queue(record(*WAITS[:-1], text), MARK)
    assert job.directives == ("stage_in prefix=/a/", "9|x|1|x|\udcff")


@pytest.mark.parametrize(
    "texts",
    [
        WAITS[:-1],
        ("x", *WAITS[1:]),
        (*WAITS[:4], "2026-11-22T23:46:16", *WAITS[5:]),
        (*WAITS[:5], "1-5...", *WAITS[6:]),
    ],
)
def test_another_form_of_the_queue_is_told(texts: tuple[str, ...]) -> None:
    """A field short, no number, a time that may be local, tasks that are cut: none is taken for anything."""
    with pytest.raises(PermanentError, match="report Slurm's version"):
        parse_queue(record(*texts), MARK)


def test_a_queue_that_cannot_be_read(tmp_path: Path) -> None:
    """It is waited for, and no empty queue."""
    program(tmp_path, "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(TemporaryError, match="start slurmctld"):
        SlurmCommands(tmp_path).queue()


@pytest.mark.parametrize(
    ("text", "tasks"),
    [("N/A", 1), ("17", 1), ("0-999%10", 1000), ("0,3,5-6", 4), ("0-198:2%5", 100), ("1-2", 2), ("3-11:4", 3)],
)
def test_tasks(text: str, tasks: int) -> None:
    """All of an array's ways to be written are counted."""
    assert count_tasks(text) == tasks


def test_lines_of_a_batch_job_are_joined_already() -> None:
    """Slurm has done it, and left the last of two backslashes that no directive follows (_xlate_batch)."""
    text = "#AMLFS stage_in prefix=/a\\\n#AMLFS  stage_out prefix=/b/"
    assert directive_lines(text, batch=True) == ("stage_in prefix=/a\\", "stage_out prefix=/b/")
    assert directive_lines(text, batch=False) == ("stage_in prefix=/a  stage_out prefix=/b/",)


JOB = ("1", "PENDING", "(null)", "0", "0", "0", "1", "N/A")


@pytest.mark.parametrize(
    ("job_id", "tasks", "name", "count"),
    [
        ("7", "N/A", "", 1),
        ("9", "2", "", 1),
        ("7", "2", "7_[2]", 1),
        ("7", "0-3,9%2", "7_[0-3,9]", 5),
        ("7", "0-6:3,8", "7_[0,3,6,8]", 4),
        ("7", "0,1,2,3,5,7,8", "7_[0-3,5,7-8]", 7),
    ],
)
def test_what_scontrol_calls_a_record(job_id: str, tasks: str, name: str, count: int) -> None:
    """By an array's id it would take all its tasks, so one whose id that is, or that has several, is named by them."""
    text = record(job_id, *JOB, "7", tasks, "", "alice", "JobHeldUser", "afterok:5(unfulfilled)", "N/A", "N/A",
                  "#AMLFS stage_in prefix=/a/")  # fmt: skip
    found = parse_records(text, MARK)[int(job_id)]
    assert (found.name, found.tasks, found.after) == (name, count, {JobName(5)})


def test_records_with_directives() -> None:
    """What job_submit wrote is read as it was; others' burst buffers are none of ours."""
    lines = f"{OWNERS_HOLD}\n#AMLFS stage_in prefix=/a/\n#AMLFS stage_out prefix=/b/"
    text = record("7", *JOB, "7", "N/A", "", "alice", "JobHeldUser", "", "1795348800", "6", lines)
    text += record("8", *JOB, "8", "N/A", "", "alice", "JobHeldAdmin", "", "N/A", "N/A", "#BB_LUA AMLFS")
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    job = JobView(7, 1, "PENDING", "JobHeldUser", user="alice", held=True, priority=0)
    asks = ("stage_in prefix=/a/", "stage_out prefix=/b/")
    assert parse_records(text, MARK) == {7: JobRecord(job, asks, begins=noon, leader=6, owner_holds=True)}


@pytest.mark.parametrize(
    ("reason", "held", "hold"),
    [
        ("JobHeldUser", True, Hold.OWNER),
        ("job requeued in held state", True, Hold.OWNER),
        ("JobHeldAdmin", True, Hold.ADMIN),
        ("JobHoldMaxRequeue", True, Hold.ADMIN),
        ("Priority", False, Hold.NONE),
    ],
)
def test_whose_hold_it_is(reason: str, held: bool, hold: Hold) -> None:  # noqa: FBT001 - drawn
    """By what Slurm lets its owner release (job_mgr.c: WAIT_HELD_USER)."""
    assert JobView(7, 1, "PENDING", reason, held=held).hold is hold


def test_a_gate_is_turned_by_name(tmp_path: Path) -> None:
    """Scontrol is told what the job is called; a refusal is an error only of a job that waits and is not so yet."""
    program(tmp_path, "scontrol", f'echo "$@" >> {tmp_path}/said; exit 1')
    calls = squeue(tmp_path, {7})
    slurm = SlurmCommands(tmp_path)
    with pytest.raises(PermanentError, match=r"refuses to hold job 7 .*run the daemon as root"):
        slurm.turn_gate(7, Hold.ADMIN)
    slurm.turn_gate(7, Hold.NONE, "7_[2-3]")
    slurm.turn_gate(8, Hold.OWNER)
    assert (tmp_path / "said").read_text() == "hold 7\nrelease 7_[2-3]\nuhold 8\n"
    assert calls.exists()


def test_jobs_that_use_their_files() -> None:
    """Those with directives that are staged, run or end; of an interactive one the directives are found as hooks do."""
    lines = "#AMLFS stage_in prefix=/a/\n#AMLFS stage_out prefix=/jobs/7/"
    told = [
        ("7", "61001", "61002", "RUNNING", "running", "1", "N/A", lines),
        ("8", "61001", "61002", "PENDING", "staged-in", "0", "N/A", "#AMLFS stage_in prefix=/b/\n#other"),
        ("9", "61001", "61002", "PENDING", "pending", "1", "N/A", lines),
        ("10", "61001", "61002", "COMPLETED", "(null)", "1", "N/A", lines),
        ("11", "61001", "61002", "RUNNING", "(null)", "1", "N/A", ""),
    ]

    assert parse_living("".join(record(*it) for it in told), MARK) == (
        LivingJob(7, 61001, 61002, ("stage_in prefix=/a/", "stage_out prefix=/jobs/7/"), "RUNNING", "running"),
        LivingJob(8, 61001, 61002, ("stage_in prefix=/b/",), "PENDING", "staged-in"),
    )
