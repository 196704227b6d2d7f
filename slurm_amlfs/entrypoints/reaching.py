"""Build what reaches a mounted Lustre, as the daemon has it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from slurm_amlfs.adapters.apart_pool import ApartPool
from slurm_amlfs.adapters.lustre_apart import LustreApart
from slurm_amlfs.adapters.mount_table import LUSTRE
from slurm_amlfs.config import Limits
from slurm_amlfs.entrypoints import lustre_process

_LFS_PART = 0.75
"""What of the bound of a call one run of `lfs` may take: who then says so is the process that ran it, not its end."""


def reach_lustre(  # noqa: PLR0913 - what a site decides, and what tests and benchmarks have in its place
    name: str,
    mount: Path,
    lfs: Path,
    limits: Limits,
    *,
    types: Sequence[str] = LUSTRE,
    program: str = lustre_process.__name__,
) -> LustreApart:
    """Reach a file system by processes apart. None is started before it is needed; `close` ends them."""
    argv = [sys.executable, "-P", "-X", "utf8", "-m", program, str(mount), ",".join(types), str(lfs)]
    argv.append(str(limits.lustre_seconds * _LFS_PART))
    return LustreApart(ApartPool(name, argv, limits.lustre_seconds, limits.lustre_processes))
