"""Slurm controllers to submit to: munge and slurmctld, no node, for benchmarks in a cell (sandbox/cell.py).

Each controller has a folder with its slurm.conf and, beside it as Slurm wants it, its Lua scripts. Jobs can be
submitted and never start, so no node, daemon or Azure is needed and none disturbs the measuring.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from slurm_amlfs.wire import Site, dump_site

ROOT = Path(__file__).parents[1]
SPANK = ROOT / "build/spank_amlfs.so"
PATIENCE_SECONDS = 20.0
HOOKS = (
    "job_process pools job_teardown setup data_in test_data_in real_size paths pre_run post_run data_out "
    "test_data_out get_status"
)

CONF = """ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthInfo=socket={folder}/../munge/socket
SlurmUser=slurm
StateSaveLocation={folder}/saved
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MailProg=/bin/true
NodeName=n1 NodeAddr=127.0.0.1 State=DOWN
PartitionName=p Nodes=ALL Default=YES
"""
LUA_CONF = "JobSubmitPlugins=lua\nBurstBufferType=burst_buffer/lua\n"


class Lua(Enum):
    """What slurmctld runs at a submit: no Lua at all, Slurm's two Lua plugins with empty functions, or ours."""

    NONE = "none"
    EMPTY = "empty"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Controller:
    """A running slurmctld; `conf` is what SLURM_CONF has to name."""

    name: str
    conf: Path

    def run(self, *argv: str) -> str:
        """Run a Slurm command against it as root and return its output."""
        environment = {"SLURM_CONF": str(self.conf), "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout

    def submit_rpc_us(self) -> float:
        """Say how long slurmctld took for a submit on average since `sdiag --reset`, in microseconds."""
        (line,) = (line for line in self.run("/usr/bin/sdiag").splitlines() if "REQUEST_SUBMIT_BATCH_JOB" in line)
        return float(line.split("ave_time:")[1].split()[0])


LEAST_JOB_SUBMIT = """
local lines = "#AMLFS stage_in prefix=/genomics/run7/\\n#AMLFS stage_out prefix=/jobs/run7/"
function slurm_job_submit(job_desc)
  for _, option in pairs(job_desc.spank_job_env or {}) do
    job_desc.burst_buffer = lines
    break
  end
  return slurm.SUCCESS
end
function slurm_job_modify() return slurm.SUCCESS end
return slurm.SUCCESS
"""
"""The least that turns options into a job's directives: nothing is read, checked or said."""


@contextmanager
def controllers(folder: Path, kinds: dict[str, Lua]) -> Iterator[dict[str, Controller]]:
    """Run munge and a slurmctld for each of `kinds`, all on loopback.

    Raises:
        RuntimeError: one did not come up; the text has the end of its log.
    """
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.enter_context(_running(folder / "munge.log", _munge(folder / "munge"), user="munge"))
        found = {}
        for port, (name, lua) in enumerate(kinds.items(), start=26817):
            controller = _prepare(folder / name, name, lua, port)
            argv = ["/usr/sbin/slurmctld", "-D", "-f", str(controller.conf)]
            stack.enter_context(_running(folder / f"{name}.log", argv))
            _wait_for(controller)
            found[name] = controller
        yield found


def _munge(folder: Path) -> list[str]:
    folder.mkdir()
    key = folder / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    for path in (folder, key):
        shutil.chown(path, "munge", "munge")
    names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    files = [f"--{option}={folder / name}" for option, name in names.items()]
    return ["/usr/sbin/munged", "--foreground", *files]


def _prepare(folder: Path, name: str, lua: Lua, port: int) -> Controller:
    (folder / "saved").mkdir(parents=True)
    conf = CONF.format(name=name, host=socket.gethostname(), port=port, folder=folder)
    plugins = ""
    if lua is Lua.EMPTY:
        empty = "".join(f"function slurm_bb_{hook}() return slurm.SUCCESS end\n" for hook in HOOKS.split())
        (folder / "burst_buffer.lua").write_text(empty)
        (folder / "job_submit.lua").write_text(LEAST_JOB_SUBMIT)
        plugins = f"required {SPANK}\n"
        shutil.copy(ROOT / "etc/burst_buffer.conf", folder)
    elif lua is Lua.OURS:
        for path in [*(ROOT / "etc").glob("*.lua"), ROOT / "etc/burst_buffer.conf"]:
            text = path.read_text(encoding="utf-8").replace("/var/lib/slurm-amlfs", str(folder / "state"))
            (folder / path.name).write_text(text, encoding="utf-8")
        (folder / "state").mkdir()
        site = Site("e", ("main /amlfs",), ("main * /",), ("main * /",))
        (folder / "state/site").write_bytes(dump_site(site))
        plugins = f"required {SPANK}\n"
    (folder / "slurm.conf").write_text(conf + ("" if lua is Lua.NONE else LUA_CONF))
    (folder / "plugstack.conf").write_text(plugins)
    for path in (folder, folder / "saved"):
        shutil.chown(path, "slurm", "slurm")
    return Controller(name, folder / "slurm.conf")


@contextmanager
def _running(log: Path, argv: list[str], user: str | None = None) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(argv, stdout=output, stderr=output, user=user) as process:
        try:
            yield
        finally:
            process.terminate()


def _wait_for(controller: Controller) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            controller.run("/usr/bin/sinfo", "--noheader")
        except subprocess.CalledProcessError as error:
            if time.monotonic() > end:
                log = controller.conf.with_name("slurmctld.log")
                said = log.read_text(errors="replace")[-500:] if log.exists() else error.stderr
                raise RuntimeError(f"slurmctld {controller.name} did not come up: {said}") from error
            time.sleep(0.1)
        else:
            return
