"""slurm-amlfsd, and the configuration that it runs with."""

from __future__ import annotations

from pathlib import Path

from sandbox.emulator import AMLFS, CODE, LFS, PATH, PROGRAMS, RESOURCE_GROUP, SUBSCRIPTION
from sandbox.service import Service

FILE_SYSTEM = "lustre"
SECOND = "second"

_CONFIGURATION = """\
state_dir = "{state_dir}"
log_level = "info"

[slurm]
mode = "{mode}"
client = "{client}"
bin_dir = "{bin_dir}"
conf = "{slurm_conf}"

[azure]
arm_url = "http://127.0.0.1:{arm_port}"
poll_seconds = {poll_seconds}

[standby]
{standby}

[limits]
{limits}
[slot]
{slot}

{file_systems}
[[grant]]
users = ["*"]
import = ["/"]
export = ["/jobs/"]
"""


_FILE_SYSTEM = """\
[[file_system]]
name = "{name}"
mount = "{mount}"
namespace = "{namespace}"
subscription = "{subscription}"
resource_group = "{resource_group}"
amlfs = "{amlfs}"
container_url = "{container_url}"
lfs = "{lfs}"
export_by = "{export_by}"
"""


def configuration(  # noqa: PLR0913 - one word for each line that a site decides
    *,
    state_dir: Path,
    client: str,
    bin_dir: Path,
    slurm_conf: Path,
    arm_port: int,
    poll_seconds: float,
    limits: tuple[str, ...],
    slot: tuple[str, ...],
    standby: tuple[str, ...],
    mount: Path,
    namespace: str,
    container_url: str,
    export_by: str,
    mode: str,
    second: Path | None,
) -> str:
    """Write amlfs.toml; `second` is where the second file system is mounted, if there is one."""
    file_systems = [(FILE_SYSTEM, AMLFS, mount, export_by)]
    if second is not None:
        file_systems.append((SECOND, SECOND, second, "arm"))
    blocks = [
        _FILE_SYSTEM.format(
            name=name,
            amlfs=amlfs,
            mount=where,
            export_by=by,
            namespace=namespace,
            subscription=SUBSCRIPTION,
            resource_group=RESOURCE_GROUP,
            container_url=container_url,
            lfs=LFS,
        )
        for name, amlfs, where, by in file_systems
    ]
    return _CONFIGURATION.format(
        state_dir=state_dir,
        client=client,
        bin_dir=bin_dir,
        slurm_conf=slurm_conf,
        arm_port=arm_port,
        poll_seconds=poll_seconds,
        limits="\n".join(limits),
        slot="\n".join(slot),
        standby="\n".join(standby),
        mode=mode,
        file_systems="\n".join(blocks),
    )


def daemon(config: Path, logs: Path, name: str = "slurm-amlfsd", *, standby: bool = False) -> Service:
    """Make the daemon, or one that waits to take over; that is ready when it waits."""
    argv = [str(PROGRAMS / "slurm-amlfsd"), f"--config={config}", *(["--standby"] if standby else [])]
    environment = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **CODE}
    return Service(name, argv, logs, _waits if standby else _is_ready, environment)


def _is_ready(said: str) -> bool:
    return _has_word(said, "ready")


def _waits(said: str) -> bool:
    return _has_word(said, "standby") or _is_ready(said)


def _has_word(said: str, word: str) -> bool:
    return any(f" {word} " in f" {line} " for line in said.splitlines())
