"""What sbatch sees: options become directives, and what is wrong is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from lua_process import Luas
from slurm_mock import Returned, SlurmMock

from slurm_amlfs.wire import Site

TAKEN = ("0",)
REFUSED = ("2094",)
BODY = "#!/bin/bash\n#SBATCH -N1\n\n# text\nsrun true\n"
BROKEN = "return function() return { to_lines = function() error('broken') end } end"
SITE = Site("e", ("scratch /mnt", "other /o"), ("* * /",), ("* * /jobs/", "scratch 61001 /alice/"))


def env(**options: str) -> list[str]:
    """Write options as the SPANK plugin leaves them in the job's environment."""
    return ["OTHER=1", *(f"_SLURM_SPANK_OPTION_amlfs_amlfs_{name}={value}" for name, value in options.items())]


@pytest.fixture(params=["5.1", "5.2", "5.3", "5.4"])
def slurm(request: pytest.FixtureRequest, tmp_path: Path) -> SlurmMock:
    mock = SlurmMock(tmp_path, request.param, "22.05")
    mock.publish(SITE)
    return mock


def submit(slurm: SlurmMock, script: str = BODY, burst_buffer: str | None = None, uid: int = 61001,
           options: dict[str, str] | None = None) -> Returned:  # fmt: skip
    """Submit a job."""
    fields: dict[str, str | list[str]] = {"job_user_id": str(uid), "env": env(**(options or {}))}
    if script:
        fields["job_script"] = script
    if burst_buffer is not None:
        fields["job_burst_buffer"] = burst_buffer
    return slurm.call("slurm_job_submit", **fields)


def test_options_become_directives(slurm: SlurmMock) -> None:
    """The job's burst_buffer holds the lines; nothing is said."""
    lines = "#AMLFS stage_in prefix=/in/a prefix=b64:L2luL2IgYw max_errors=0", "#AMLFS stage_out prefix=/jobs/x/"
    returned = submit(slurm, options={"import": "/in/a,/in/b c", "export": "/jobs/x/", "max_errors": "0"})
    assert returned == Returned(TAKEN, burst_buffer="\n".join(lines))


def test_what_the_user_gave_is_kept(slurm: SlurmMock) -> None:
    """--bb's text stays, after our lines, so that its last backslash takes none of them in."""
    given = "#AMLFS stage_in prefix=/z \\"
    returned = submit(slurm, burst_buffer=given, options={"import": "/in/"})
    assert returned == Returned(TAKEN, burst_buffer="#AMLFS stage_in prefix=/in/\n" + given)


def test_jobs_without_directives_are_untouched(slurm: SlurmMock) -> None:
    """Every other job of the cluster passes, also when a burst buffer of another kind is asked for."""
    assert submit(slurm) == Returned(TAKEN)
    assert submit(slurm, script="") == Returned(TAKEN)
    assert submit(slurm, burst_buffer="#DW x") == Returned(TAKEN, burst_buffer="#DW x")


def test_salloc_gets_its_lines(slurm: SlurmMock) -> None:
    """A job without a script (salloc, srun) is checked and gets its lines too."""
    assert submit(slurm, script="", options={"import": "/in/"}).burst_buffer == "#AMLFS stage_in prefix=/in/"
    assert submit(slurm, script="", options={"import": "in/"}).values == REFUSED


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fs": "scratch"}, "--amlfs-fs says nothing by itself"),
        ({"import": "data"}, 'does not begin with "/"'),
        ({"import": "/a/../b"}, '".." part'),
        ({"import": ""}, "has no value"),
        ({"import": "/a\n#AMLFS stage_out prefix=/etc/"}, "control character"),
        ({"import": "/" + "x" * 9216}, "--amlfs-import has 9217 bytes; at most 4096"),
        ({"import": ",".join(["/a"] * 1000), "fs": "scratch"}, "bytes of directives; at most 8192"),
        ({"import": "/in", "max_errors": "-2"}, "max_errors cannot be"),
        ({"import": "/in", "max_errors": "9" * 20}, "max_errors cannot be"),
        ({"import": "/in", "fs": "nope"}, 'unknown file system "nope"; this site has "scratch", "other"'),
        ({"export": "/secret/$(x)%j'\""}, 'uid 61001 may not export "/secret/$(x)%j\'\\""'),
    ],
)
def test_bad_options_are_one_line(slurm: SlurmMock, options: dict[str, str], words: str) -> None:
    """Each is refused with one printable line, and the job is as it was."""
    returned = submit(slurm, options=options)
    assert returned.values == REFUSED
    (line,) = returned.said
    assert words in line
    assert line.isascii()
    assert line.isprintable()
    assert returned.burst_buffer == ""


def test_lines_in_the_script_are_checked(slurm: SlurmMock) -> None:
    """The same checks hold for #AMLFS lines, and only where Slurm reads them."""
    assert submit(slurm, "#!/bin/sh\n#AMLFS stage_in prefix=/in\ntrue\n#AMLFS nonsense\n") == Returned(TAKEN)
    assert "does not know" in submit(slurm, "#!/bin/sh\n#AMLFS stage_in prefix=/in why=x\ntrue\n").said[0]
    assert "may not export" in submit(slurm, "#!/bin/sh\n#AMLFS stage_out prefix=/etc/\ntrue\n").said[0]
    assert "unknown directive" in submit(slurm, burst_buffer="#AMLFS_OTHER x").said[0]


def test_grants_are_the_job_owners(slurm: SlurmMock) -> None:
    """Alice may export to /alice/ on scratch; Bob may not, nor Alice elsewhere."""
    options = {"export": "/alice/run/"}
    assert submit(slurm, options=options).values == TAKEN
    assert submit(slurm, options=options, uid=61002).values == REFUSED
    assert submit(slurm, options=options | {"fs": "other"}).values == REFUSED


def test_without_a_site_file_only_the_grammar_counts(slurm: SlurmMock) -> None:
    """Before the daemon's first start, or with a site file that is not whole, the daemon decides later."""
    (slurm.state / "site").write_text("amlfs-site 1\nfs=x /")
    assert submit(slurm, options={"export": "/etc/", "fs": "nope"}).values == TAKEN
    (slurm.state / "site").unlink()
    assert submit(slurm, options={"export": "/etc/", "fs": "nope"}).values == TAKEN
    assert submit(slurm, options={"export": "etc/"}).values == REFUSED


def test_a_mistake_of_ours_refuses_the_job(slurm: SlurmMock) -> None:
    """Slurm 22.05 takes a job whose job_submit raised, so nothing may be raised."""
    (slurm.conf / "amlfs_options.lua").write_text(BROKEN)
    returned = submit(slurm, options={"import": "/in/"})
    assert returned.values == REFUSED
    assert "tell the site's admins" in returned.said[0]
    assert submit(slurm) == Returned(TAKEN)


NO_DIRECTIVE = 'is not a directive; write "{}" at its beginning'
NOT_READ = "is not read, for line {} is no comment; move it above that"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("# AMLFS stage_in prefix=/in/", NO_DIRECTIVE.format("#AMLFS")),
        ("#amlfs stage_in prefix=/in/", NO_DIRECTIVE.format("#AMLFS")),
        ("# amlfs prefix=/in/", NO_DIRECTIVE.format("#AMLFS")),
        ("\t#AMLFS\tstage_out prefix=/jobs/", NO_DIRECTIVE.format("#AMLFS")),
        ("# SBATCH --amlfs-import=/in/", NO_DIRECTIVE.format("#SBATCH")),
        ("#sbatch -N1 --amlfs-import=/in/", NO_DIRECTIVE.format("#SBATCH")),
        ("true\n#AMLFS stage_in prefix=/in/", NOT_READ.format(2)),
        ("true\n\n#SBATCH --amlfs-import=/in/", NOT_READ.format(2)),
        (" # indented\n#AMLFS stage_in prefix=/in/", NOT_READ.format(2)),
    ],
)
def test_near_misses_are_said(slurm: SlurmMock, line: str, words: str) -> None:
    """A line that looks like a directive and is none does not pass in silence; the job is taken all the same."""
    returned = submit(slurm, f"#!/bin/sh\n{line}\nhostname\n")
    assert returned.values == TAKEN
    (said,) = returned.said
    number = 2 + line.count("\n")
    shown = line.splitlines()[-1].replace("\t", r"\x09")
    assert said == f'amlfs: line {number} "{shown}" {words}'


@pytest.mark.parametrize(
    "body",
    [
        "# amlfs is a file system\n# AMLFS\n##AMLFS stage_in prefix=/in/\ncp x /amlfs/prefix=1\n",
        "#SBATCH --amlfs-import=/in/\n# read by sbatch\n \n#SBATCH --amlfs-fs=scratch\nls /amlfs\n",
        "#AMLFS stage_in prefix=/in/\n\n#other\n#AMLFS stage_out prefix=/jobs/\ntrue\n",
        "cat >job <<END\n#!/bin/sh\n#AMLFS stage_in prefix=/in/\nEND\nsbatch job\n",
        "true\n" + "#\n" * 9000 + "#AMLFS stage_in prefix=/in/\n",
    ],
)
def test_other_lines_are_not_near_misses(slurm: SlurmMock, body: str) -> None:
    """Directives in their place, other comments, scripts that a script writes, and what is far down are not named."""
    assert submit(slurm, "#!/bin/sh\n" + body) == Returned(TAKEN)


def test_hints_are_few_and_plain(slurm: SlurmMock) -> None:
    """Three at most, in printable ASCII, also for a job that is refused."""
    returned = submit(slurm, "#!/bin/sh\n" + "# AMLFS stage_in prefix=/\x1b\udcff%s\n" * 5, options={"fs": "scratch"})
    assert returned.values == REFUSED
    assert len(returned.said) == 4
    assert all(line.isascii() and line.isprintable() for line in returned.said)
    assert "--amlfs-fs says nothing by itself" in returned.said[-1]


def test_job_modify_passes(slurm: SlurmMock) -> None:
    """Slurm itself lets nobody change a burst buffer."""
    assert slurm.call("slurm_job_modify").values == TAKEN


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("#!/bin/sh\n#AMLFS a b\n\n#x\n#AMLFS c\ntrue\n#AMLFS d\n", ["a b", "c"]),
        ("#!/bin/sh\n#AMLFS a \\\n#AMLFS   b\n#AMLFS c", ["a b", "c"]),
        ("#!/bin/sh\n#AMLFS a\\\n#AMLFS b\n", ["a b"]),
        ("#!/bin/sh\n#AMLFS a \\\n#other\n#AMLFS b\n", ["a ", "b"]),
        ("#!/bin/sh\n \n#AMLFS a\n", []),
        ("#AMLFS_X\n#AMLFS\n#AMLFS\tq", ["_X", "", "q"]),
        ("", []),
    ],
)
def test_lines_are_found_as_slurm_finds_them(luas: Luas, body: str, found: list[str]) -> None:
    """burst_buffer_lua.c: _xlate_batch, case by case."""
    assert luas.ask("scan", body) == ["list", *found]


@pytest.mark.parametrize(
    ("body", "added", "script"),
    [
        ("#!/bin/sh\ntrue\n", "#AMLFS a", "#!/bin/sh\n#AMLFS a\ntrue\n"),
        ("#!/bin/sh\ntrue\n", "#AMLFS a\n#AMLFS b\n", "#!/bin/sh\n#AMLFS a\n#AMLFS b\ntrue\n"),
        ("#!/bin/sh", "#AMLFS a", "#!/bin/sh\n#AMLFS a\n"),
        ("true\n", "#AMLFS a", "#AMLFS a\ntrue\n"),
        ("", "#AMLFS a", "#!/bin/bash\n#AMLFS a"),
        ("#!/bin/sh\n", "", "#!/bin/sh\n"),
    ],
)
def test_lines_are_put_where_slurm_puts_them(luas: Luas, body: str, added: str, script: str) -> None:
    """run_command.c: run_command_add_to_script, case by case."""
    assert luas.ask("with", body, added) == [script]
