"""Leave the demo's site running, and say how to use it."""

from __future__ import annotations

import os
import shlex
import signal
import time

from sandbox import cell
from sandbox.emulator import PATH, PROGRAMS
from sandbox.passage import ROOT
from sandbox.site import Site

_ENTER = """\
#!/bin/sh
# A shell of USER's on this site; or COMMAND as USER.
user=${{1:?usage: enter USER [COMMAND...]}}
shift
[ $# -gt 0 ] || set -- /bin/sh -i
home=$(getent passwd "$user" | cut -d: -f6)
cd "$home"
exec runuser -u "$user" -- env -i HOME="$home" USER="$user" TERM="${{TERM:-dumb}}" LANG=C.UTF-8 \\
    PATH={path} SLURM_CONF={conf} AMLFS_CONFIG={config} PS1="$user@demo\\$ " "$@"
"""

_HOW = """
The site runs until you press Ctrl-C here. From another terminal, as root:

  nsenter --target {pid} --all --root {enter} alice

is a shell of the user alice. There, for instance:

  sbatch {script}
  sbatch --amlfs-import=/genomics/run7/S01/ --wrap='ls $AMLFS_IMPORT_DIR'
  squeue
  slurm-amlfs status JOB
  scontrol show bbstat JOB

Lustre is mounted on {mount}, the container is {container},
slurm.conf, logs and everything else are in {folder}. With root instead of alice: lfs is {lfs}.
"""


def keep(site: Site) -> None:
    """Wait for Ctrl-C or SIGTERM, with the site running."""
    enter = site.folder / "enter"
    text = _ENTER.format(
        path=shlex.quote(f"{PROGRAMS}:{site.options.slurm_prefix / 'bin'}:{PATH}"),
        conf=shlex.quote(str(site.slurm_conf)),
        config=shlex.quote(str(site.config)),
    )
    enter.write_text(text, encoding="utf-8")
    enter.chmod(0o755)
    print(
        _HOW.format(
            pid=os.environ[cell.PID_VARIABLE],
            enter=enter,
            script=ROOT / "docs/examples/first-job.sh",
            mount=site.mount,
            container=site.blobs.url,
            folder=site.folder,
            lfs=site.lfs,
        ),
        flush=True,
    )
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.pause()
    print(f"\n== stopped {time.strftime('%H:%M:%S')}", flush=True)
