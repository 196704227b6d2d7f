"""The sandbox keeps its promises: a working site, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import watch
from sandbox.accounts import ALICE, HOST_NAME
from sandbox.options import PLAIN, Options
from sandbox.passage import ROOT
from sandbox.service import StartError
from sandbox.site import Site
from sandbox.slurm import SubmitRefused
from sandbox.slurm_files import Place, install
from sandbox.strays import find_strays
from tests.integration.conftest import MakeSite

pytestmark = pytest.mark.integration

SLEEPER = "#!/bin/sh\nsleep 1000\n"

INSIDE = """
import os, sys, time
from sandbox.options import PLAIN
from sandbox.site import Site
with Site.temporary(PLAIN) as site:
    job = site.submit("alice", "#!/bin/sh\\nsleep 1000\\n")
    site.wait(lambda: site.job(job)["JobState"] == "RUNNING", 30, "the job runs")
    print("ready", flush=True)
    sys.stdin.read()
"""


def run_nested(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a cell within this one, as from the machine."""
    return subprocess.run(nested(*command), check=False, capture_output=True, text=True, cwd=ROOT, env=outside())


def nested(*command: str) -> list[str]:
    """Write the command line of a cell."""
    return [sys.executable, "-m", "sandbox.cell", *command]


def outside() -> dict[str, str]:
    """Write an environment that does not say that we are in a cell already."""
    return {key: value for key, value in os.environ.items() if key != "AMLFS_CELL_PID"}


def processes() -> set[int]:
    """List the pids that there are."""
    return {int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()}


def machine() -> dict[str, object]:
    """Read what a cell has its own of, and must not change outside."""
    return {
        "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()),
        "run": sorted(Path("/run").iterdir()),
        "etc": sorted(Path("/etc").iterdir()),
        "files": [Path("/etc", it).read_bytes() for it in ("passwd", "group", "shadow", "hosts", "hostname")],
        "name": socket.gethostname(),
    }


def open_for_writing(pid: int) -> list[str]:
    """List the files that a process may write to."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        flags = (link.parent.parent / "fdinfo" / link.name).read_text("ascii").partition("flags:")[2].split()[0]
        path = str(link.readlink())
        if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY and path.startswith("/"):
            found.append(path)
    return found


def all_ended(before: set[int]) -> None:
    """Wait until there are no processes but those, or fail."""
    try:
        watch.until(lambda: processes() <= before, 30, "all processes have ended")
    except watch.NotYetError as error:
        left = [Path(f"/proc/{pid}/cmdline") for pid in sorted(processes() - before)]
        error.add_note(", ".join(f"{it.parent.name} {it.read_bytes()!r}" for it in left if it.exists()))
        raise


@pytest.fixture
def untouched() -> Iterator[None]:
    """Compare the machine before and after."""
    before = machine()
    yield
    assert machine() == before


def test_a_plain_site_runs_a_job_as_an_ordinary_user(make_site: MakeSite) -> None:
    """Slurm without us: alice's job runs as alice, in her home, on every node."""
    site = make_site(PLAIN)
    job = site.submit("alice", "#!/bin/sh\nid -un; pwd; srun hostname\n")
    site.wait(lambda: site.job(job)["JobState"] == "COMPLETED", 30, "the job is done")
    output = (site.home("alice") / f"slurm-{job}.out").read_text(encoding="utf-8")
    assert output.splitlines() == ["alice", str(ALICE.home), HOST_NAME]


def test_several_nodes_on_one_host(make_site: MakeSite) -> None:
    """A job may have two nodes."""
    site = make_site(Options(plugins=False, lustre=False, daemon=False, nodes=2))
    told = site.run("bob", ["srun", "-N2", "sh", "-c", "echo $SLURMD_NODENAME"])
    assert sorted(told.split()) == ["n1", "n2"]


def test_what_sbatch_refuses_is_told(make_site: MakeSite) -> None:
    """The words of sbatch are in the error."""
    site = make_site(PLAIN)
    with pytest.raises(SubmitRefused, match="invalid partition"):
        site.submit("alice", SLEEPER, "--partition=nowhere")


def test_a_site_that_cannot_start_says_why(make_site: MakeSite) -> None:
    """The end of the log is in the error, and nothing runs on."""
    before = processes()
    with pytest.raises(StartError, match="Colour"):
        make_site(Options(plugins=False, lustre=False, daemon=False, slurm_conf=("Colour=red",)))
    all_ended(before)


@pytest.mark.usefixtures("untouched")
def test_a_site_ends_its_jobs_and_its_folder() -> None:
    """With a job still running, nothing of the site is left when it is over."""
    before = processes()
    with Site.temporary(PLAIN) as site:
        job = site.submit("alice", SLEEPER)
        site.wait(lambda: site.job(job)["JobState"] == "RUNNING", 30, "the job runs")
        conf = site.slurm_conf
        assert list(find_strays(conf))
    assert not site.folder.exists()
    assert not list(find_strays(conf))
    all_ended(before)


def test_a_mount_ends_with_its_emulator_however_that_ends(make_site: MakeSite) -> None:
    """Killed, it takes its dead mount with it, and can be started again."""
    site = make_site(Options(daemon=False))
    site.emulator.kill()
    assert not os.path.ismount(site.mount)
    site.emulator.start()
    assert os.path.ismount(site.mount)
    assert (site.mount / "jobs").is_dir()


@pytest.mark.usefixtures("untouched")
def test_a_cell_is_a_machine_of_its_own() -> None:
    """Its users, its processes, its network; its exit code is the command's."""
    done = run_nested("sh", "-c", "id -u bob; ls -d /proc/[0-9]* | wc -l; cat /proc/net/dev | grep -c :; exit 7")
    assert (done.returncode, done.stderr) == (7, "")
    uid, numbers, interfaces = done.stdout.split()
    assert (uid, interfaces) == ("61002", "1")
    assert int(numbers) < 10


@pytest.mark.usefixtures("untouched")
def test_a_cell_takes_everything_with_it_at_a_normal_end() -> None:
    """What the command leaves running ends when the command does."""
    before = processes()
    done = run_nested("sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & mount -t tmpfs none /mnt; touch /run/x")
    assert done.returncode == 0
    all_ended(before)


@pytest.mark.usefixtures("untouched")
def test_a_cell_takes_everything_with_it_when_it_is_killed() -> None:
    """After SIGKILL there is no slurmctld, no job, no mount, no file in /run."""
    before = processes()
    outer = subprocess.Popen(
        nested(sys.executable, "-c", INSIDE),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=outside(),
    )
    with outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == b"ready\n"
        assert len(processes() - before) > 5
        outer.kill()
    all_ended(before)


@pytest.mark.usefixtures("untouched")
def test_a_cell_passes_sigterm_on() -> None:
    """The command may end in order."""
    script = "trap 'echo ended; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(nested("sh", "-c", script), stdout=subprocess.PIPE, cwd=ROOT, env=outside()) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == b"ready\n"
        outer.send_signal(signal.SIGTERM)
        assert outer.stdout.readline() == b"ended\n"
    assert outer.returncode == 3


def test_only_root_gets_a_cell() -> None:
    """One line, with the mend."""
    command = ["setpriv", "--reuid=61001", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    done = subprocess.run(
        [*command, *nested("true")], check=False, capture_output=True, text=True, cwd=ROOT, env=outside()
    )
    assert done.returncode == 1
    assert done.stderr.startswith("cell: ")
    assert "run it as root" in done.stderr


def test_hooks_are_installed_for_root_alone_to_write(tmp_path: Path) -> None:
    """In a clone whose files the group may write, too: the hooks would leave such a configuration unread."""
    ports = {"slurmctld_port": 1, "slurmd_ports": (2,)}
    place = Place(tmp_path, tmp_path / "munge", tmp_path / "state", tmp_path / "lustre", release=(22, 5), **ports)
    before = os.umask(0o002)
    try:
        install(place, Options())
    finally:
        os.umask(before)
    for name in ("prolog", "epilog"):
        assert (place.etc / name / "amlfs-hooks.conf").stat().st_mode & 0o777 == 0o644
        assert (place.etc / name / "amlfs").stat().st_mode & 0o777 == 0o755


def test_services_use_no_folder_but_their_own(make_site: MakeSite) -> None:
    """What they have open for writing is in the site, in /dev or in the cell's /run."""
    site = make_site(Options())
    running = [it for it in site.services if it.running]
    written = {path for service in running for path in open_for_writing(service.pid)}
    assert written
    assert {path for path in written if not path.startswith((str(site.folder), "/dev/", "/run/", "/memfd:"))} == set()
