"""The configuration that a run's daemon has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.emulator import AMLFS, LFS, RESOURCE_GROUP, SUBSCRIPTION

_TEXT = """\
state_dir = "{folder}/state"

[slurm]
mode = "{mode}"
bin_dir = "{folder}/bin"
conf = "{folder}/slurm.conf"

[azure]
arm_url = "{arm_url}"
poll_seconds = {poll_seconds}

[limits]
attempts = 1000
comment_seconds = 1
workers = 4
lustre_processes = 2
lustre_seconds = {lustre_seconds}

[standby]
renew_seconds = 0.3
takeover_seconds = 4.0

[watchdog]
after_seconds = {behind_seconds}
mend = true

[slot]
pools = {pools}
overhead_seconds = 0.2

[[file_system]]
name = "lustre"
mount = "{folder}/lustre"
namespace = "flat"
subscription = "{subscription}"
resource_group = "{resource_group}"
amlfs = "{amlfs}"
container_url = "{container_url}"
lfs = "{lfs}"
export_by = "{export_by}"

[[grant]]
users = ["*"]
import = ["/in/"]
export = ["/jobs/"]
"""


@dataclass(frozen=True)
class Settings:
    """What differs from run to run. `behind_seconds`: a job that Slurm leaves behind for so long is mended."""

    export_by: str = "arm"
    poll_seconds: float = 0.25
    mode: str = "burst-buffer"
    lustre_seconds: float = 60.0
    behind_seconds: float = 300.0


USUAL = Settings()


def configuration(folder: Path, arm_url: str, container_url: str, settings: Settings) -> str:
    """Write amlfs.toml."""
    return _TEXT.format(
        folder=folder,
        arm_url=arm_url,
        container_url=container_url,
        export_by=settings.export_by,
        poll_seconds=settings.poll_seconds,
        mode=settings.mode,
        pools="false" if settings.mode == "hold" else "true",
        lustre_seconds=settings.lustre_seconds,
        behind_seconds=settings.behind_seconds,
        subscription=SUBSCRIPTION,
        resource_group=RESOURCE_GROUP,
        amlfs=AMLFS,
        lfs=LFS,
    )
