"""What a site can be asked to be."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.passage import ROOT

PREFIX_VARIABLE, SPANK_VARIABLE, CLIENT_VARIABLE = "AMLFS_SLURM_PREFIX", "AMLFS_SPANK_PLUGIN", "AMLFS_SLURM_CLIENT"
"""What a whole run of tests has in place of this machine's Slurm, of the plugin built for that, and of "auto"."""


def _given(variable: str, otherwise: str) -> str:
    return os.environ.get(variable) or otherwise


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
        spank_plugin: Our SPANK plugin, built for that.
        client: amlfs.toml's word for how the daemon reaches Slurm.
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
    slurm_prefix: Path = field(default_factory=lambda: Path(_given(PREFIX_VARIABLE, "/usr")))
    spank_plugin: Path = field(default_factory=lambda: Path(_given(SPANK_VARIABLE, str(ROOT / "build/spank_amlfs.so"))))
    client: str = field(default_factory=lambda: _given(CLIENT_VARIABLE, "auto"))
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
