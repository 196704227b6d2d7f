"""What a site can be asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a site differs from the usual one: one node, everything started.

    Attributes:
        plugins: Slurm with our job_submit.lua, burst_buffer.lua, SPANK plugin and hooks; False is a plain Slurm.
        lustre: Azurite and the emulator are started.
        daemon: slurm-amlfsd is started with the site; `site.daemon.start()` does it later.
        nodes: How many slurmd; they are called n1, n2, ...
        cpus: CPUs of each node, whatever this machine has.
        slurm_prefix: Where this Slurm is installed (sbin/slurmctld and bin/sbatch are under it).
        slurm_conf: More lines of slurm.conf.
        emulator: More options of `slurm-amlfs emulator`.
        hierarchical: The container has a hierarchical namespace.
        poll_seconds: How often the daemon looks at ARM while a transfer runs.
        limits: Lines of amlfs.toml's [limits].
        standby: Lines of amlfs.toml's [standby].
        slot: Lines of amlfs.toml's [slot].
        second: There is a second file system, SECOND, mounted by an emulator of its own; ARM does not know it.
        export_by: amlfs.toml's word for who archives exports, "arm" or "hsm".
        hold: Hold mode: a Slurm without burst_buffer/lua.
    """

    plugins: bool = True
    lustre: bool = True
    daemon: bool = True
    nodes: int = 1
    cpus: int = 64
    slurm_prefix: Path = Path("/usr")
    slurm_conf: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()
    hierarchical: bool = False
    poll_seconds: float = 0.5
    limits: tuple[str, ...] = ()
    slot: tuple[str, ...] = ()
    standby: tuple[str, ...] = ()
    second: bool = False
    export_by: str = "arm"
    hold: bool = False


PLAIN = Options(plugins=False, lustre=False, daemon=False)
"""Slurm alone, as it is without us."""
