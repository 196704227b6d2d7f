"""The SPANK plugin on a real Slurm: help, where options may stand, what reaches job_submit.lua, and what must not."""

from __future__ import annotations

import re

import pytest

from sandbox.site import Site
from tests.integration import seeing

pytestmark = pytest.mark.integration

OPTIONS = (
    "amlfs-import",
    "amlfs-export",
    "amlfs-fs",
    "amlfs-conflict",
    "amlfs-max-errors",
    "amlfs-hydrate",
    "amlfs-export-on",
    "amlfs-export-to",
    "amlfs-pack",
    "amlfs-release",
    "amlfs-refresh",
)
EXPORT_NOTHING = "#!/bin/sh\n#SBATCH --amlfs-export=/jobs/{name}/ --output=/dev/null\n"


@pytest.mark.parametrize("command", ["sbatch", "salloc", "srun"])
def test_help_shows_every_option_with_its_usage(site: Site, command: str) -> None:
    """Each option of interface.md, with an argument and a text."""
    text = site.run("alice", [command, "--help"])
    shown = re.findall(r"--(amlfs-[a-z-]+)=\S+\s+(\S.*)", text)
    assert [option for option, _ in shown] == list(OPTIONS)


def test_options_work_in_the_script_and_on_the_command_line(site: Site, name: str) -> None:
    """Both reach job_submit.lua; of an option given in both places the command line's counts."""
    script = f"#!/bin/sh\n#SBATCH --amlfs-import=/{name}/\n#SBATCH --amlfs-max-errors=5\n"
    options = [f"--amlfs-export=/jobs/{name}/", "--amlfs-import=/a/,/b c/", "--hold"]
    job = site.submit("alice", script, *options)
    assert directives(site, job) == [
        "#AMLFS stage_in prefix=/a/ prefix=b64:L2IgYy8 max_errors=5",
        f"#AMLFS stage_out prefix=/jobs/{name}/",
    ]
    site.run("alice", ["scancel", str(job)])


def test_a_job_does_not_hand_its_options_to_the_jobs_that_it_submits(site: Site, name: str) -> None:
    """Slurm puts options into the job's environment, from which sbatch would take them again."""
    out = site.mount / "jobs" / name / "inner"
    inner = "sbatch --hold --parsable --output=/dev/null --wrap=true"
    script = EXPORT_NOTHING.format(name=name)
    script += f'mkdir -p "$AMLFS_EXPORT_DIR"\n{inner} > "{out}"\nenv | grep -c amlfs_export >> "{out}"\n'
    job = site.submit("alice", script)
    seeing.wait_until_closed(site, job)
    submitted, carried = seeing.blob(site, f"jobs/{name}/inner").split()
    assert int(carried) >= 1, "Slurm no longer carries options in the environment; the plugin need not forget them"
    assert directives(site, int(submitted)) == []
    site.run("alice", ["scancel", submitted.decode()])


def test_a_step_takes_the_options_without_a_word(site: Site, name: str) -> None:
    """The plugin in slurmstepd knows what srun sends it."""
    script = EXPORT_NOTHING.format(name=name)
    script += 'mkdir -p "$AMLFS_EXPORT_DIR"\n'
    script += 'srun --amlfs-import=/x/ --amlfs-hydrate=none sh -c "echo step" > "$AMLFS_EXPORT_DIR/said" 2>&1\n'
    seeing.wait_until_closed(site, site.submit("alice", script))
    assert seeing.blob(site, f"jobs/{name}/said") == b"step\n"


def directives(site: Site, job: int) -> list[str]:
    """Read the lines that job_submit.lua made."""
    text = site.run(None, ["scontrol", "show", "job", str(job)])
    return re.findall(r"#AMLFS .*", text)
