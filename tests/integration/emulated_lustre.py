"""A mount of the emulated Lustre for tests, and the lfs that is built for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SERVER = Path(__file__).with_name("mounted_emulator.py")
SOURCES = Path(__file__).parents[2] / "slurm_amlfs" / "emulator"
USER = 61001
"""An ordinary user's uid and gid; it needs no name."""
OTHER = 61002
SETPRIV = shutil.which("setpriv") or "/usr/bin/setpriv"


def build_lfs(folder: Path) -> Path:
    """Compile lfs as the Makefile does."""
    program = folder / "lfs"
    sources = [os.fspath(path) for path in sorted(SOURCES.glob("lfs*.c"))]
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["/usr/bin/cc", *flags, "-o", os.fspath(program), *sources], check=True)
    folder.chmod(0o755)
    return program


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@dataclass
class EmulatedLustre:
    """One mount, served by another process. Everything is under `folder`."""

    folder: Path
    lfs: Path
    capacity: int = 100_000_000
    options: dict[str, float] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.mount = self.folder / "mnt"
        (self.folder / "blobs").mkdir(parents=True)
        (self.folder / "imports").touch()
        (self.folder / "log").touch()
        path = self.folder
        while path != Path("/") and path != Path("/tmp"):  # noqa: S108 - a test's folder is made by pytest
            path.chmod(path.stat().st_mode | 0o011)
            path = path.parent

    def blob(self, name: str, data: bytes, uid: int = USER, mode: int = 0o644) -> Path:
        """Put a blob into the container and its released file on the file system of the next start."""
        where = self.folder / "blobs" / name
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
        with (self.folder / "imports").open("ab") as imports:
            imports.write(os.fsencode(f"{name} {len(data)} {uid} {mode:o}\n"))
        return self.mount / name

    def start(self) -> None:
        """Serve the mount."""
        (self.folder / "options.json").write_text(json.dumps({"capacity": self.capacity, **self.options}))
        command = [sys.executable, os.fspath(SERVER), os.fspath(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the server and say how it ended."""
        assert self.process is not None
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        status = self.process.wait(30)
        self.process = None
        return status

    def clean(self) -> None:
        """Leave nothing mounted."""
        self.let_go()
        if self.process is not None:
            self.stop()
        if self.is_mounted():
            subprocess.run(["/usr/bin/umount", "--lazy", os.fspath(self.mount)], check=False)

    def is_mounted(self) -> bool:
        """Look into the mount table, not at the mount."""
        return f" {self.mount} " in Path("/proc/self/mountinfo").read_text()

    def behind(self, *lines: str) -> None:
        """Change files as an import does, behind the mount."""
        (self.folder / "engine").write_text("".join(f"{line}\n" for line in lines))
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGUSR1)
        assert self.process.stdout.readline() == b"done\n"

    def hold(self) -> None:
        """Let fetches and stores wait."""
        (self.folder / "hold").touch()

    def let_go(self) -> None:
        """Let them go on."""
        (self.folder / "hold").unlink(missing_ok=True)

    def log(self) -> list[str]:
        """What was fetched and stored, in order."""
        return (self.folder / "log").read_bytes().decode("utf-8", "surrogateescape").splitlines()

    def run(
        self, *words: str | Path | bytes, uid: int = 0, groups: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program, as another user if so asked."""
        command = [word if isinstance(word, bytes) else os.fsencode(word) for word in words]
        if uid:
            as_user = [SETPRIV, f"--reuid={uid}", f"--regid={uid}"]
            as_user.append(f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups")
            command = [*map(os.fsencode, as_user), *command]
        return subprocess.run(command, capture_output=True, check=False, timeout=60)

    def do(self, *words: str | Path | bytes, uid: int = 0, groups: Sequence[int] = ()) -> tuple[int, str, str]:
        """Run lfs: exit status, output, errors."""
        done = self.run(self.lfs, *words, uid=uid, groups=groups)
        return done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr)

    def state(self, path: Path) -> str:
        """Read a file's HSM state as lfs prints it after the name."""
        status, out, errors = self.do("hsm_state", path)
        assert (status, errors) == (0, "")
        return out.removeprefix(f"{path}: ").removesuffix("\n")
