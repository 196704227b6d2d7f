"""PrologSlurmctld and EpilogSlurmctld in hold mode, each run as Slurm runs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slurm_amlfs import wire
from slurm_amlfs.wire import Answer, Request, RequestKind
from tests.unit.hook_site import JOB, Site

PROLOG, EPILOG = "prolog/amlfs-slurmctld", "epilog/amlfs-slurmctld"
EXPORT = {"SPANK__SLURM_SPANK_OPTION_amlfs_amlfs_export": "/a/"}
RUN = {"SLURM_JOB_RESTART_COUNT": "2"}
TOKEN = "run-2"  # noqa: S105 - the name of an ask, no secret
HOSTILE = "x\n$(touch PWNED) `touch PWNED` ; touch PWNED %s %d \\n 'é\"\tend=1\nkind=cancel"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the hooks read only root's configuration; run as root")


@pytest.fixture(params=[("/bin/dash",), ("/bin/bash", "--posix")], ids=["dash", "bash"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    """Make a site in hold mode, whose squeue knows a job without directives that ended well."""
    made = Site(tmp_path, request.param)
    (tmp_path / "site").write_bytes(wire.dump_site(wire.Site("e", mode="hold")))
    with made.conf.open("a") as conf:
        conf.write(f"AMLFS_SLURM_BIN={tmp_path}/bin\nAMLFS_SLURM_CONF=/etc/elsewhere/slurm.conf\n")
    squeue(made, "(null)")
    return made


def squeue(site: Site, burst_buffer: str, reason: str = "None", code: int = 0) -> None:
    """Put a squeue in place."""
    site.program(
        "squeue",
        f'echo "$SLURM_CONF $*" >>{site.folder}/squeue.log\n'
        f"case $* in *--format=%r*) echo '{reason}' ;; *) echo '{burst_buffer}' ;; esac; exit {code}",
    )


@pytest.mark.parametrize("hook", [PROLOG, EPILOG])
def test_others_pass_in_silence(site: Site, hook: str) -> None:
    """Slurm is asked once whether a job that starts has directives, and not at its end."""
    done = site.run(hook, SLURM_JOB_EXIT_CODE2="0:0", **RUN)
    assert (done.returncode, done.stdout, done.stderr, site.told("logger"), site.notes()) == (0, "", "", "", [])
    assert site.told("squeue").count("\n") == (hook == PROLOG)


def test_a_proved_run_passes(site: Site) -> None:
    """The board answers this very run, and Slurm need not be asked."""
    site.board(token_in=TOKEN, answer_in=Answer.DONE)
    assert site.run(PROLOG, **RUN, **EXPORT).returncode == 0
    assert site.told("squeue") == ""


@pytest.mark.parametrize(("token", "answer", "why"), [
    (TOKEN, Answer.BUSY, "not proved"),
    (TOKEN, Answer.ERROR, "not proved"),
    ("run-1", Answer.DONE, "older ask"),
    ("run-22", Answer.DONE, "older ask"),
    ("", Answer.DONE, "older ask"),
])  # fmt: skip
def test_what_is_not_proved_is_sent_back(site: Site, token: str, answer: Answer, why: str) -> None:
    """An answer to an earlier run is none: what that one used may be gone."""
    site.board(token_in=token, answer_in=answer)
    assert site.run(PROLOG, **RUN).returncode == 1
    assert why in site.told("logger")


@pytest.mark.parametrize("lines", ["#AMLFS stage_in prefix=/a/", "# held by its owner\n#AMLFS stage_out prefix=/b/"])
def test_a_job_that_the_daemon_has_not_seen_is_sent_back(site: Site, lines: str) -> None:
    """Its owner has released it at once, or the daemon is down; its record has its directives."""
    squeue(site, lines)
    assert site.run(PROLOG, **RUN).returncode == 1
    assert "slurm-amlfsd has not seen it yet" in site.told("logger")
    [asked] = site.told("squeue").splitlines()
    assert asked.startswith("/etc/elsewhere/slurm.conf ")
    assert f"--jobs={JOB} " in asked


NO_ANSWER = "slurm_load_jobs error: Unable to contact slurm controller"


def test_a_silent_slurm_stops_nobody(site: Site) -> None:
    """Most jobs are none of ours; asked three times, it leaves one line that tells of the job that was not checked."""
    squeue(site, NO_ANSWER, code=1)
    assert site.run(PROLOG, **RUN).returncode == 0
    assert f"job {JOB} starts unchecked" in site.told("logger")
    assert site.told("squeue").count("\n") == 3


@pytest.mark.parametrize(("fails", "lines", "code"), [(1, "#AMLFS stage_in prefix=/a/", 1), (2, "(null)", 0)])
def test_a_slurm_that_is_silent_for_a_moment_is_asked_again(site: Site, fails: int, lines: str, code: int) -> None:
    """What it says then counts."""
    log = site.folder / "squeue.log"
    site.program(
        "squeue",
        f"echo asked >>{log}\n[ $(wc -l <{log}) -gt {fails} ] || {{ echo '{NO_ANSWER}'; exit 1; }}\necho '{lines}'",
    )
    assert site.run(PROLOG, **RUN).returncode == code
    assert site.told("squeue").count("\n") == fails + 1
    assert "starts unchecked" not in site.told("logger")


@pytest.mark.parametrize("name", ["import", "export"])
def test_our_options_need_no_word_of_slurms(site: Site, name: str) -> None:
    """Only the SPANK plugin sets them, so a job that has one and no board is sent back unasked."""
    squeue(site, NO_ANSWER, code=1)
    assert site.run(PROLOG, **RUN, **{f"SPANK__SLURM_SPANK_OPTION_amlfs_amlfs_{name}": "/a/"}).returncode == 1
    assert f"--amlfs-{name}, and slurm-amlfsd has not seen it yet" in site.told("logger")
    assert site.told("squeue") == ""


@pytest.mark.parametrize(("code2", "reason", "code"), [
    ("0:0", "None", 0), ("0:0", "TimeLimit", -1), ("0:0", "NodeDown", -1), ("3:0", "NonZeroExitCode", 3),
    ("0:15", "None", 143), ("", "None", -1),
])  # fmt: skip
def test_an_end_asks_for_the_export(site: Site, code2: str, reason: str, code: int) -> None:
    """With all that is needed if the daemon forgets and Slurm too: directives, owner, and how the job ended."""
    squeue(site, "(null)", reason)
    lines = ("stage_in prefix=/a/", f"stage_out prefix=/jobs/{HOSTILE}/")
    site.board(directives=lines)
    done = site.run(EPILOG, SLURM_JOB_EXIT_CODE2=code2, SLURM_JOB_UID="61001", SLURM_JOB_GID="61002", **RUN)
    assert (done.returncode, done.stderr) == (0, "")
    expected = Request(RequestKind.DATA_OUT, JOB, TOKEN, 61001, 61002, exit_code=code, directives=lines, sender_uid=0)
    assert site.notes() == [expected]


@pytest.mark.parametrize(("states", "code2", "absent"), [
    ("ALLOCATED+CLOUD+NOT_RESPONDING+POWERING_UP", "0:0", True),
    ("IDLE\nCOMPLETING+CLOUD+POWERED_DOWN", "0:0", True),
    ("DOWN+CLOUD+NOT_RESPONDING+POWERED_DOWN", "0:0", True),
    ("allocated+cloud+powered_down", "0:0", True),
    ("mixed+cloud\nallocated+cloud+not_responding+powering_up", "0:0", True),
    ("allocated+cloud+powering_up", "0:15", False),
    ("idle+reboot_issued+powering_up", "0:0", False),
    ("completing+cloud", "0:0", False),
    ("IDLE+REBOOT_ISSUED+POWERING_UP", "0:0", False),
    ("COMPLETING+CLOUD", "0:0", False),
    ("DOWN+NOT_RESPONDING", "0:0", False),
    ("POWERING_UP; exit 1", "0:0", False),
])  # fmt: skip
def test_an_end_tells_that_nodes_were_not_up(site: Site, states: str, code2: str, absent: bool) -> None:  # noqa: FBT001 - drawn
    """Then the run never began. One that failed or was killed did, and what sinfo does not tell counts as up."""
    words, _, fails = states.partition("; ")
    site.program("sinfo", f'echo "$SLURM_CONF $*" >>{site.folder}/sinfo.log\necho "{words}"; {fails or "exit 0"}')
    site.board(directives=("stage_out prefix=/a/",))
    site.run(EPILOG, SLURM_JOB_EXIT_CODE2=code2, SLURM_JOB_NODELIST="c[1-2]", **RUN)
    [note] = site.notes()
    assert (note.absent, note.token, note.directives) == (absent, TOKEN, ("stage_out prefix=/a/",))
    asked = site.told("sinfo")
    assert asked.count("\n") == (code2 == "0:0")
    assert "--nodes=c[1-2] " in asked or not asked


def test_an_end_without_nodes_asks_for_none(site: Site) -> None:
    """An empty list would be all nodes, one of which is always about to come."""
    site.program("sinfo", "echo POWERING_UP")
    site.run(EPILOG, SLURM_JOB_EXIT_CODE2="0:0", **RUN, **EXPORT)
    assert not site.notes()[0].absent


def test_an_end_without_a_board_is_told_as_well(site: Site) -> None:
    """The daemon finds the directives in the record, if it is still there."""
    site.run(EPILOG, SLURM_JOB_EXIT_CODE2="1:0", SLURM_JOB_UID="61001", SLURM_JOB_GID="61002", **RUN, **EXPORT)
    [note] = site.notes()
    assert (note.kind, note.token, note.directives) == (RequestKind.DATA_OUT, TOKEN, ())
