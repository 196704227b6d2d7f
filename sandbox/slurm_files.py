"""slurm.conf and what stands beside it, as a site would install it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.accounts import HOST_NAME
from sandbox.options import Options
from sandbox.passage import ROOT

SHIPPED_STATE_DIR = "/var/lib/slurm-amlfs"
"""What the shipped files name; a site edits it there."""

POLLING = (24, 5)
"""From this release on slurmctld asks test_data_in, and knows PollInterval."""

CGROUP_CAN_BE_DISABLED = (23, 11)
"""From this release on slurmd wants to hear that it shall do without cgroups."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one Slurm has its files and ports. `release` is (22, 5) for 22.05."""

    folder: Path
    munge_socket: Path
    state_dir: Path
    mount: Path
    slurmctld_port: int
    slurmd_ports: tuple[int, ...]
    release: tuple[int, int]

    @property
    def etc(self) -> Path:
        """The folder of slurm.conf."""
        return self.folder / "slurm"

    @property
    def conf(self) -> Path:
        """slurm.conf."""
        return self.etc / "slurm.conf"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(f"n{number}" for number, _ in enumerate(self.slurmd_ports, 1))


def install(place: Place, options: Options) -> None:
    """Write slurm.conf, and put our plugins and hooks beside it unless the site is to be plain."""
    place.etc.mkdir()
    (place.etc / "plugstack.conf").touch()
    lines = [*_basics(place), *_nodes(place, options.cpus)]
    if place.release >= CGROUP_CAN_BE_DISABLED:
        (place.etc / "cgroup.conf").write_text("CgroupPlugin=disabled\n", encoding="ascii")
    if options.plugins:
        lines += _plugins(place, options)
    place.conf.write_text("\n".join([*lines, *options.slurm_conf, ""]), encoding="utf-8")


def _basics(place: Place) -> Iterator[str]:
    yield "ClusterName=sandbox"
    yield f"SlurmctldHost={HOST_NAME}(127.0.0.1)"
    yield f"SlurmctldPort={place.slurmctld_port}"
    yield "SlurmUser=slurm"
    yield "AuthType=auth/munge"
    yield f"AuthInfo=socket={place.munge_socket}"
    yield f"StateSaveLocation={place.folder}/slurmctld"
    yield f"SlurmdSpoolDir={place.folder}/spool/%n"
    yield f"SlurmctldPidFile={place.folder}/slurmctld/pid"
    yield f"SlurmdPidFile={place.folder}/spool/%n.pid"
    yield f"PlugStackConfig={place.etc}/plugstack.conf"
    yield "ProctrackType=proctrack/linuxproc"
    yield "TaskPlugin=task/none"
    yield "MpiDefault=none"
    yield "SelectType=select/cons_tres"
    yield "SelectTypeParameters=CR_CPU"
    yield "ReturnToService=2"


def _nodes(place: Place, cpus: int) -> Iterator[str]:
    yield "SlurmdParameters=config_overrides"  # the CPUs below, not this machine's
    for name, port in zip(place.nodes, place.slurmd_ports, strict=True):
        yield f"NodeName={name} NodeHostname={HOST_NAME} NodeAddr=127.0.0.1 Port={port} CPUs={cpus}"
    yield "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP"


def _install_hooks(place: Place, name: str, options: Options) -> None:
    """Put the hooks of one folder into place with the modes of an installation, whatever those of a clone are."""
    (place.etc / name).mkdir()
    for path in (ROOT / name).iterdir():
        made = Path(shutil.copyfile(path, place.etc / name / path.name))
        made.chmod(0o755)
    conf = place.etc / name / "amlfs-hooks.conf"
    lines = [f"AMLFS_STATE_DIR={place.state_dir}", f'AMLFS_MOUNTS="{place.mount}"', "AMLFS_FLUSH_SECONDS=10"]
    lines += [
        'AMLFS_MOUNT_TYPES="fuse.amlfs"',
        f"AMLFS_SLURM_BIN={options.slurm_prefix}/bin",
        f"AMLFS_SLURM_CONF={place.conf}",
        "",
    ]
    conf.write_text("\n".join(lines), encoding="utf-8")
    conf.chmod(0o644)


def _plugins(place: Place, options: Options) -> Iterator[str]:
    """Install our files; yield slurm.conf's lines for them."""
    for path in (ROOT / "etc").glob("*.lua"):
        text = path.read_text(encoding="utf-8").replace(SHIPPED_STATE_DIR, str(place.state_dir))
        (place.etc / path.name).write_text(text, encoding="utf-8")
    burst_buffer = (ROOT / "etc/burst_buffer.conf").read_text(encoding="utf-8")
    if place.release >= POLLING:
        burst_buffer = burst_buffer.replace("#PollInterval=3", "PollInterval=1")
    (place.etc / "burst_buffer.conf").write_text(burst_buffer, encoding="utf-8")
    shutil.copy(options.spank_plugin, place.etc)
    (place.etc / "plugstack.conf").write_text(f"optional {place.etc / options.spank_plugin.name}\n", encoding="utf-8")
    for name in ("prolog", "epilog"):
        _install_hooks(place, name, options)
    yield "JobSubmitPlugins=lua"
    if not options.hold:
        yield "BurstBufferType=burst_buffer/lua"
    yield f"Prolog={place.etc}/prolog/amlfs"
    yield f"Epilog={place.etc}/epilog/amlfs"
    yield f"PrologSlurmctld={place.etc}/prolog/amlfs-slurmctld"
    yield f"EpilogSlurmctld={place.etc}/epilog/amlfs-slurmctld"
    yield f"TaskProlog={place.etc}/prolog/amlfs-task"
    yield "SchedulerParameters=batch_sched_delay=1,nohold_on_prolog_fail,bb_array_stage_cnt=100"
