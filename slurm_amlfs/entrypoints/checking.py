"""`slurm-amlfs config check`: what the configuration was taken to say, to compare with what was meant."""

from __future__ import annotations

import pwd
from collections.abc import Sequence
from pathlib import Path

from slurm_amlfs.config import ANY, Config
from slurm_amlfs.domain.world import ExportBy


def is_user(name: str) -> bool:
    """Say whether this host knows a login name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


_EXPORTS = {ExportBy.ARM: "", ExportBy.HSM: "; exports by Lustre's HSM"}


def as_text(path: Path, it: Config) -> str:
    """Write one line for each file system and each grant, and what was not looked at."""
    lines = [f"{path}: right; state in {it.state_dir}, Slurm's user {it.slurm.user}, ARM at {it.azure.arm_url}"]
    for number, system in enumerate(it.file_systems):
        default = ", the default" if number == 0 else ""
        lines.append(
            f"  file system {system.name}{default}: {system.mount} is {system.amlfs} in resource group "
            f"{system.resource_group}, with {system.container_url} ({system.namespace.value}) behind it"
            f"{_EXPORTS[system.export_by]}"
        )
    for number, grant in enumerate(it.grants, 1):
        users = "everybody" if ANY in grant.users else ", ".join(grant.users)
        where = "any file system" if grant.file_system == ANY else grant.file_system
        moves = f"import {_prefixes(grant.imports)}, export {_prefixes(grant.exports)}"
        lines.append(f"  grant {number}: {users} on {where}: {moves}")
    lines.append(
        "Only the file and its users were looked up; whether Azure, Lustre and Slurm answer, slurm-amlfsd says."
    )
    return "\n".join(lines) + "\n"


def _prefixes(prefixes: Sequence[str]) -> str:
    return " ".join(prefixes) or "nothing"
