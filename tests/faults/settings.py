"""The configuration that a run's daemon has."""

from __future__ import annotations

from pathlib import Path

from sandbox.emulator import AMLFS, LFS, RESOURCE_GROUP, SUBSCRIPTION

_TEXT = """\
state_dir = "{folder}/state"

[slurm]
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

[slot]
pools = true
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


def configuration(folder: Path, arm_url: str, container_url: str, export_by: str, poll_seconds: float) -> str:
    """Write amlfs.toml."""
    return _TEXT.format(
        folder=folder,
        arm_url=arm_url,
        container_url=container_url,
        export_by=export_by,
        poll_seconds=poll_seconds,
        subscription=SUBSCRIPTION,
        resource_group=RESOURCE_GROUP,
        amlfs=AMLFS,
        lfs=LFS,
    )
