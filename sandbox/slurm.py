"""slurmctld and slurmd of a site, and its commands as users type them."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from sandbox.accounts import ACCOUNTS
from sandbox.emulator import PATH
from sandbox.options import Options
from sandbox.ports import answers
from sandbox.service import Service
from sandbox.slurm_files import Place

COMMAND_SECONDS = 120.0
WHOLE_LINES = ("AdminComment", "Comment", "SystemComment", "Command", "WorkDir", "StdErr", "StdIn", "StdOut")
"""Fields of `scontrol show job` that have a line of their own, so that their texts may hold anything."""

_RELEASE = re.compile(r" (\d+)\.(\d+)")
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_:/]*)=(.*?)(?= +[A-Za-z][A-Za-z0-9_:/]*=|$)")


class CommandError(RuntimeError):
    """A command failed; the text is what it printed."""


class SubmitRefused(CommandError):  # noqa: N818 - it is what happened, and no error of the sandbox
    """sbatch refused a job; the text is what it printed."""


def release(prefix: Path) -> tuple[int, int]:
    """Ask an installed Slurm for its release."""
    slurmctld = str(prefix / "sbin/slurmctld")
    text = subprocess.run([slurmctld, "-V"], check=True, capture_output=True, text=True).stdout
    found = _RELEASE.search(text)
    if found is None:
        raise CommandError(f"{slurmctld} -V does not name its release: {text!r}")
    return int(found[1]), int(found[2])


class Slurm:
    """One Slurm: its services and its commands."""

    def __init__(self, place: Place, options: Options, logs: Path) -> None:
        self._place = place
        self._prefix = options.slurm_prefix
        slurm = pwd.getpwnam("slurm")
        spool = place.folder / "spool"
        for path in (place.folder / "slurmctld", spool, *(spool / name for name in place.nodes)):
            path.mkdir()
        os.chown(place.folder / "slurmctld", slurm.pw_uid, slurm.pw_gid)
        environment = {"SLURM_CONF": str(place.conf), "PATH": PATH}
        self.slurmctld = Service(
            "slurmctld",
            [str(self._prefix / "sbin/slurmctld"), "-D"],
            logs,
            lambda _: answers(place.slurmctld_port) and self._pings(),
            environment,
            user="slurm",
        )
        self.slurmds = tuple(
            Service(
                f"slurmd-{name}",
                [str(self._prefix / "sbin/slurmd"), "-D", "-N", name],
                logs,
                partial(self._is_up, name),
                environment,
            )
            for name in place.nodes
        )

    def run(self, user: str | None, argv: Sequence[str], **more: str) -> str:
        """Run a command as a user (None is root) in his home; return what it printed on stdout.

        `more` goes into its environment. A command without a path is one of Slurm's, or on the system's path.

        Raises:
            CommandError: it failed.
        """
        done = self._run(user, argv, more)
        if done.returncode != 0:
            raise CommandError(f"{argv[0]} exited with {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout

    def submit(self, user: str, script: Path, *options: str) -> int:
        """Submit a job script by sbatch, as a user; return the job's id.

        Raises:
            SubmitRefused: sbatch failed.
        """
        done = self._run(user, ["sbatch", "--parsable", *options, str(script)], {})
        if done.returncode != 0:
            raise SubmitRefused(done.stderr)
        return int(done.stdout.split(";")[0])

    def job(self, job_id: int) -> dict[str, str]:
        """Read a job's record by `scontrol show job`.

        Raises:
            CommandError: there is no such job (any more).
        """
        return parse_job(self.run(None, ["scontrol", "show", "job", str(job_id)]))

    def _run(self, user: str | None, argv: Sequence[str], more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        account = pwd.getpwnam(user or "root")
        environment = {
            "HOME": account.pw_dir,
            "LANG": "C.UTF-8",
            "PATH": f"{self._prefix / 'bin'}:{PATH}",
            "SLURM_CONF": str(self._place.conf),
            "USER": account.pw_name,
            **more,
        }
        return subprocess.run(
            ["/usr/bin/env", *argv],
            check=False,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            env=environment,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd=account.pw_dir if user in ACCOUNTS else "/",
        )

    def _pings(self) -> bool:
        return self._run(None, ["scontrol", "ping"], {}).returncode == 0

    def _is_up(self, node: str, _: str) -> bool:
        return self._run(None, ["sinfo", "-h", "-n", node, "-o", "%T"], {}).stdout.strip() == "idle"


def parse_job(text: str) -> dict[str, str]:
    """Read the text of `scontrol show job` for one job. A line without a field goes on the field before it."""
    fields: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and (name in WHOLE_LINES or name == "BurstBuffer"):
            fields[name], last = value, name
            continue
        found = dict(_FIELD.findall(line.strip()))
        if found and (line.startswith(("   ", "JobId="))):
            fields.update(found)
            last = ""
        elif last:
            fields[last] += f"\n{line}"
    return fields
