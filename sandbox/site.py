"""A whole site in one folder; `with Site.temporary() as site:` in a cell.

Started in order, each part with something that shows that it is ready; stopped in reverse order, by pid.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from azure.storage.blob import ContainerClient

from sandbox import cell, watch
from sandbox.accounts import ACCOUNTS
from sandbox.azurite import azurite, container, container_url
from sandbox.daemon import SECOND, configuration, daemon
from sandbox.emulator import CODE, LFS, PROGRAMS, Emulator, mount_point
from sandbox.munge import munge_socket, munged
from sandbox.options import Options
from sandbox.ports import Ports
from sandbox.service import Service
from sandbox.slurm import CommandError, Slurm, release
from sandbox.slurm_files import Place, install
from sandbox.strays import end_strays
from slurm_amlfs.emulator.control import Control
from slurm_amlfs.entrypoints import status
from slurm_amlfs.errors import AmlfsError

TEMPORARY = Path("/run")
"""The cell's own, so what is made there ends with the cell."""


class Site:
    """A site, made in an empty or new folder that every user can reach.

    Attributes:
        mount: Where Lustre is mounted.
        second_mount: Where the second one is, with `Options.second`.
        state_dir: The daemon's.
        config: amlfs.toml.
        logs: The folder with a log of each service.
        lfs: The `lfs` program.
        cli: The beginning of a `slurm-amlfs` command line.
        blobs: The container.
        faults: What makes the emulator fail.
        munged, azurite, emulator, second, daemon: Services; `stop`, `start`, `kill`, `restart`.
        slurm: slurmctld, slurmds and their commands.
    """

    def __init__(self, folder: Path, options: Options | None = None) -> None:
        if not cell.inside():
            raise cell.CellError("a site needs a cell; run it by: python -m sandbox.cell COMMAND ...")
        self.options = options = options or Options()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.mount, self.state_dir, self.logs = mount_point(folder), folder / "state", folder / "log"
        self.config, self.lfs = folder / "amlfs.toml", LFS
        code = (f"{name}={value}" for name, value in CODE.items())
        self.cli = ("/usr/bin/env", *code, str(PROGRAMS / "slurm-amlfs"), f"--config={self.config}")
        self.second_mount = mount_point(folder / SECOND)
        for path in (self.mount, self.logs, folder / "scripts", self.second_mount):
            path.mkdir(parents=True)
        self._scripts = count(1)
        self._ports = Ports()
        self._stop = ExitStack()
        blob_port, arm_port, second_port, slurmctld_port = (self._ports.take() for _ in range(4))
        place = Place(
            folder=folder,
            munge_socket=munge_socket(folder),
            state_dir=self.state_dir,
            mount=self.mount,
            slurmctld_port=slurmctld_port,
            slurmd_ports=tuple(self._ports.take() for _ in range(options.nodes)),
            release=release(options.slurm_prefix),
        )
        install(place, options)
        self.slurm_conf = place.conf
        self.config.write_text(self._configuration(place, arm_port, blob_port), encoding="utf-8")
        self.munged = munged(folder, self.logs)
        self.azurite = azurite(folder, self.logs, blob_port)
        more = [*options.emulator, *(["--hierarchical"] if options.hierarchical else [])]
        self.emulator = Emulator(folder, self.logs, arm_port, container_url(blob_port), more)
        self.second = Emulator(folder / SECOND, self.logs, second_port, container_url(blob_port), more, SECOND)
        self.slurm = Slurm(place, options, self.logs)
        self.daemon = daemon(self.config, self.logs)
        self.blobs: ContainerClient = container(blob_port)
        self.faults = Control(f"http://127.0.0.1:{arm_port}")

    @classmethod
    @contextmanager
    def temporary(cls, options: Options | None = None) -> Iterator[Self]:
        """Run a site in a folder that is removed afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="site-", dir=TEMPORARY))
        folder.chmod(0o755)
        try:
            with cls(folder, options) as site:
                yield site
        finally:
            shutil.rmtree(folder)

    def __enter__(self) -> Self:
        self._ports.let_go()
        try:
            self._start()
        except BaseException:
            self._stop.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.close()

    @property
    def slurmctld(self) -> Service:
        """The controller."""
        return self.slurm.slurmctld

    @property
    def services(self) -> tuple[Service, ...]:
        """All of them, in the order of their start."""
        return (self.munged, self.azurite, self.emulator, self.second, self.slurmctld, self.daemon, *self.slurm.slurmds)

    def home(self, user: str) -> Path:
        """Name a test user's home, where his jobs run."""
        return ACCOUNTS[user].home

    def submit(self, user: str, script: str, *options: str) -> int:
        """Submit a job script's text as a user, by sbatch with these options; return the job's id.

        Raises:
            SubmitRefused: with what sbatch printed.
        """
        path = self.folder / "scripts" / f"{next(self._scripts)}.sh"
        path.write_text(script, encoding="utf-8", errors="surrogateescape")
        return self.slurm.submit(user, path, *options)

    def run(self, user: str | None, argv: Sequence[str], **environment: str) -> str:
        """Run a command as a user, None for root, with this site's Slurm; return its stdout.

        Raises:
            CommandError: it failed; a RuntimeError with what it printed.
        """
        return self.slurm.run(user, argv, **environment)

    def job(self, job_id: int) -> dict[str, str]:
        """Read a job's record, as `scontrol show job` names its fields.

        Raises:
            CommandError: Slurm does not know the job.
        """
        return self.slurm.job(job_id)

    def status(self, job_id: int) -> dict[str, Any]:
        """Read what `slurm-amlfs status JOB --json` tells, without the second that a new Python takes to begin.

        Raises:
            CommandError: nothing is known of the job.
        """
        try:
            boards = status.read(self.state_dir, job_id)
        except AmlfsError as error:
            raise CommandError(error.message) from error
        told: dict[str, Any] = json.loads(status.as_json(boards, single=True))
        return told

    def wait(self, done: Callable[[], object], seconds: float, what: str) -> None:
        """Return as soon as `done()` is true.

        Raises:
            NotYetError: not in time; with the last lines of each log.
        """
        try:
            watch.until(done, seconds, what)
        except watch.NotYetError as error:
            tails = "\n".join(service.tail() for service in self.services if service.log.exists())
            raise watch.NotYetError(f"{error}\n{tails}") from error

    def exists(self, path: str) -> bool:
        """Say whether a path is there, links not followed."""
        return os.path.lexists(path)

    def _start(self) -> None:
        first = [self.munged, *([self.azurite] if self.options.lustre else [])]
        self._launch(*first)
        self._await(*first)
        second = [self.slurmctld, *([self.emulator] if self.options.lustre else [])]
        second += [self.second] if self.options.second else []
        self._launch(*second)
        self._await(*second)
        if self.options.lustre:
            self._open_exports()
        third = [*([self.daemon] if self.options.daemon else []), *self.slurm.slurmds]
        if not self.options.daemon:
            self._stop.callback(self.daemon.stop)  # a test may start it later
        self._stop.callback(end_strays, self.slurm_conf)
        self._launch(*third)
        self._await(*third)

    def _open_exports(self) -> None:
        """Make the folder that exports are granted under, for everybody to make his own in, as an admin would."""
        exports = self.mount / "jobs"
        exports.mkdir(exist_ok=True)
        exports.chmod(0o1777)

    def _launch(self, *services: Service) -> None:
        for service in services:
            self._stop.callback(service.stop)
            service.launch()

    def _await(self, *services: Service) -> None:
        for service in services:
            service.wait_until_ready()

    def _configuration(self, place: Place, arm_port: int, blob_port: int) -> str:
        return configuration(
            state_dir=self.state_dir,
            client=self.options.client,
            bin_dir=self.options.slurm_prefix / "bin",
            slurm_conf=place.conf,
            arm_port=arm_port,
            poll_seconds=self.options.poll_seconds,
            limits=self.options.limits,
            slot=self.options.slot,
            standby=self.options.standby,
            mount=self.mount,
            namespace="hierarchical" if self.options.hierarchical else "flat",
            container_url=container_url(blob_port),
            export_by=self.options.export_by,
            mode="hold" if self.options.hold else "burst-buffer",
            second=self.second_mount if self.options.second else None,
        )
