"""A place to run the hooks in: a state directory, a Lustre mount, a configuration.

The hooks run in a mount namespace of their own, in which Lustre is a bind mount and `sync` and `logger` write down
what they were told.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from slurm_amlfs.wire import Board, Request, dump_board, load_request

ROOT = Path(__file__).parents[2]
JOB = 4711

IN_NAMESPACE = """
for program in sync logger; do mount --bind "$1/bin/$program" "/usr/bin/$program"; done
[ "$2" = no ] || mount --bind "$1/lustre" "$1/lustre"
shift 2; exec "$@"
"""


def type_of(folder: Path) -> str:
    """Read of what type the file system is that a folder is on: a bind mount has it too."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    return max((it for it in mounts if folder.is_relative_to(it[0])), key=lambda it: len(it[0]))[1]


@dataclass
class Site:
    """A state directory, a Lustre mount, a configuration, and what `sync` and `logger` were told."""

    folder: Path
    shell: tuple[str, ...]
    mounted: bool = True

    def __post_init__(self) -> None:
        for name in ("inbox/tmp", "inbox/new", "board", "asks", "bin", "lustre/.amlfs/receipts"):
            (self.folder / name).mkdir(parents=True)
        for program in ("sync", "logger"):
            self.program(program, f'echo "$@" >>{self.folder}/{program}.log')
        self.conf = self.folder / "amlfs-hooks.conf"
        self.conf.write_text(
            f'AMLFS_STATE_DIR={self.folder}\nAMLFS_MOUNTS="{self.lustre}"\nAMLFS_FLUSH_SECONDS=1\n'
            f"AMLFS_MOUNT_TYPES={type_of(self.folder)}\n"
        )

    @property
    def lustre(self) -> Path:
        """The mount point."""
        return self.folder / "lustre"

    @property
    def receipt(self) -> Path:
        """Where the job's receipt is, if there is one."""
        return self.lustre / f".amlfs/receipts/{JOB}"

    def program(self, name: str, script: str) -> None:
        """Put a script in a program's place."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def told(self, program: str) -> str:
        """Read the arguments of every call of a program, a line each."""
        log = self.folder / f"{program}.log"
        return log.read_text() if log.exists() else ""

    def asked(self, token: str) -> None:
        """Have Lua's data_in asked for the job."""
        (self.folder / f"asks/{JOB}.in").write_text(f"{token} 1795381044\n")

    def board(self, **values: object) -> None:
        """Have the daemon answered."""
        board = Board(job_id=JOB, uid=1, epoch="e", **values)  # type: ignore[arg-type]
        (self.folder / f"board/{JOB}").write_bytes(dump_board(board))

    def notes(self) -> list[Request]:
        """Read what the daemon would take from the inbox."""
        return [load_request(path.read_bytes(), 0) for path in sorted((self.folder / "inbox/new").iterdir())]

    def run(self, hook: str, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one hook; whatever it leaves under the name PWNED is a command that was never asked for."""
        command = [*self.shell, str(root / hook)]
        mounted = "yes" if self.mounted else "no"
        done = subprocess.run(
            ["/usr/bin/unshare", "--mount", "/bin/sh", "-ec", IN_NAMESPACE, "-", str(self.folder), mounted, *command],
            env={"SLURM_JOB_ID": str(JOB), "AMLFS_HOOKS_CONF": str(self.conf), **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert not list(self.folder.rglob("PWNED"))
        return done
