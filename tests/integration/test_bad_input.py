"""Bad input: each with one clear line, and nothing moved."""

from __future__ import annotations

import pytest

from sandbox.site import Site
from sandbox.slurm import SubmitRefused

pytestmark = pytest.mark.integration

TRUE = "#!/bin/sh\ntrue\n"

CASES = [
    ("--amlfs-import=genomics/", "/"),
    ("--amlfs-import=/a/../b/", ".."),
    ("--amlfs-import=", "no value"),
    ("--amlfs-import=/a\nb/", "control"),
    ("--amlfs-import=" + "/a" * 4608, "4096"),
    ("--amlfs-export=/home/", "may not export"),
    ("--amlfs-export=/jobs", "may not export"),
]
ODD_BUT_LEGAL = ['/a"b/', "/a%41/", "/$(touch /tmp/amlfs-pwned)/", "/a b/", "/capacity=1/"]


@pytest.mark.parametrize(("option", "says"), CASES, ids=lambda it: it[:30].replace("\n", "\\n"))
def test_a_bad_option_is_refused_in_one_line(site: Site, option: str, says: str) -> None:
    """Refused at submit; the line names what is wrong."""
    line = refusal(site, option)
    assert says in line


@pytest.mark.parametrize("value", ["-2", "99999999999999999999", "many", ""])
def test_bad_error_limits_are_refused(site: Site, value: str) -> None:
    """Negative and huge max-errors."""
    assert "max" in refusal(site, "--amlfs-import=/a/", f"--amlfs-max-errors={value}")


def test_an_unknown_file_system_is_refused(site: Site) -> None:
    """The line names the ones that there are."""
    assert "nowhere" in refusal(site, "--amlfs-import=/a/", "--amlfs-fs=nowhere")


@pytest.mark.parametrize(
    "line", ["stage_in prefix=/a/ colour=red", "stage_sideways prefix=/a/", "stage_in", "stage_in prefix=/a/ to=x/y"]
)
def test_a_bad_directive_is_refused(site: Site, line: str) -> None:
    """Unknown words, a direction without prefix, and what this release does not have."""
    with pytest.raises(SubmitRefused) as refused:
        site.submit("alice", f"#!/bin/sh\n#AMLFS {line}\ntrue\n")
    assert one_line(str(refused.value)).startswith("amlfs: ")


@pytest.mark.parametrize("prefix", ODD_BUT_LEGAL)
def test_odd_prefixes_are_carried_and_come_to_nothing_worse_than_no_blobs(site: Site, prefix: str) -> None:
    """Quotes, percent, shell text, blanks and Slurm's own words are only names: held, as nothing lies under them."""
    job = site.submit("alice", TRUE, f"--amlfs-import={prefix}")
    site.wait(lambda: "no blobs under" in site.job(job).get("SystemComment", ""), 60, "the message")
    site.run("alice", ["scancel", str(job)])
    assert not site.exists("/tmp/amlfs-pwned")  # noqa: S108 - what the shell text would have made


def test_a_near_miss_is_said_and_the_job_is_taken(site: Site) -> None:
    """What sbatch prints names the line that nobody reads, and how to write it; the job runs as it stands."""
    script = "#!/bin/sh\n# AMLFS stage_in prefix=/a/\ntrue\n#SBATCH --amlfs-import=/a/\n"
    path = site.folder / "scripts/near-miss.sh"
    path.write_text(script)
    said = site.run("alice", ["sh", "-c", f"sbatch --parsable {path} 2>&1"]).splitlines()
    assert said[0].endswith(
        'amlfs: line 2 "# AMLFS stage_in prefix=/a/" is not a directive; write "#AMLFS" at its beginning'
    )
    assert said[1].endswith('"#SBATCH --amlfs-import=/a/" is not read, for line 3 is no comment; move it above that')
    job = int(said[2])
    site.wait(lambda: site.job(job)["JobState"] == "COMPLETED", 60, "the job's end")


def refusal(site: Site, *options: str) -> str:
    """Submit, and return the one line of the refusal."""
    with pytest.raises(SubmitRefused) as refused:
        site.submit("alice", TRUE, *options)
    return one_line(str(refused.value))


def one_line(stderr: str) -> str:
    """Return our one line of what sbatch printed."""
    lines = [line for line in stderr.splitlines() if "amlfs" in line]
    assert len(lines) == 1, stderr
    return lines[0][lines[0].index("amlfs: ") :]
