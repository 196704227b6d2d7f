"""What a run stands on: a real daemon and a real emulator as processes, and an Azurite that all runs share.

Slurm is a model (model_slurm.py) that real programs show to the daemon; nothing else is stood in for.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from azure.storage.blob import ContainerClient

from sandbox.emulator import AMLFS, LFS, RESOURCE_GROUP, SUBSCRIPTION
from slurm_amlfs.adapters.crash_points import VARIABLE
from slurm_amlfs.adapters.lfs import Lfs
from slurm_amlfs.adapters.lustre import LustreMount
from slurm_amlfs.adapters.memory_reading import read_events, read_records
from slurm_amlfs.adapters.store import FILE_NAME
from slurm_amlfs.domain.records import Event, Records
from slurm_amlfs.emulator.azurite import DEVELOPMENT_KEY
from slurm_amlfs.emulator.control import Control
from slurm_amlfs.errors import AmlfsError, UserError
from slurm_amlfs.wire import Board, Request, dump_request, load_board
from tests.faults import plants
from tests.faults.blob_door import BlobDoor
from tests.faults.programs import install
from tests.faults.settings import USUAL, Settings, configuration
from tests.faults.starter import Started, Starter

LONG = 60.0
"""Seconds until something that has to come is called missing."""


class NotInTimeError(AssertionError):
    """What has to come did not."""


def until(done: Callable[[], object], what: str, seconds: float = LONG) -> None:
    """Look until something is so."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise NotInTimeError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


@dataclass(frozen=True)
class Shared:
    """What the runs of one worker share."""

    starter: Starter
    account_url: str
    folder: Path

    @classmethod
    def make(
        cls, folder: Path, account_url: str, begin: Callable[[Mapping[str, str]], Starter] = Starter.begun
    ) -> Shared:
        """Begin what starts the others."""
        return cls(begin(ENVIRONMENT), account_url, folder)


class Ground:
    """One run's. `emulator_options` are the program's own."""

    def __init__(
        self,
        shared: Shared,
        name: str,
        *,
        settings: Settings = USUAL,
        emulator_options: tuple[str, ...] = (),
    ) -> None:
        self.folder = shared.folder / name
        self.folder.mkdir(parents=True)
        self.state_dir, self.mount = self.folder / "state", self.folder / "lustre"
        self.log, self._emulator_log = self.folder / "daemon.log", self.folder / "emulator.log"
        self._starter, self._options = shared.starter, emulator_options
        self._settings = settings
        self._container_url = f"{shared.account_url}/{name}"
        behind = urlsplit(shared.account_url)
        self.door = BlobDoor(behind.port or 80)
        self._daemons_url = f"http://127.0.0.1:{self.door.port}{behind.path}/{name}"
        self.blobs = ContainerClient.from_container_url(self._container_url, credential=DEVELOPMENT_KEY)
        self.lustre = LustreMount(self.mount, Lfs(LFS))
        self.daemon: Started | None = None
        self.standby: Started | None = None
        self.plant = ""
        self.forgot = False
        self.deaths = self.starts = 0
        self._requests = 0
        install(self.folder / "bin")
        for part in ("jobs", "living", "queue", "records", "comments", "terminals", "gates", "asks"):
            (self.folder / "slurm" / part).mkdir(parents=True)
        (self.folder / "slurm.conf").touch()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have the emulator up, the daemon as it is started; nothing is left afterwards but what a failure shows."""
        self._emulator_log.touch()
        arguments = [f"--folder={self.folder / 'emulator'}", f"--mount={self.mount}", "--port=0"]
        arguments += [f"--container-url={self._container_url}", f"--subscription={SUBSCRIPTION}"]
        arguments += [f"--resource-group={RESOURCE_GROUP}", f"--amlfs={AMLFS}", *self._options]
        emulator = self._starter.start("emulator", arguments, self._emulator_log)
        try:
            until(lambda: "ready arm=" in self._emulator_log.read_text() or not emulator.alive, "the emulator")
            said = self._emulator_log.read_text()
            assert "ready arm=" in said, said
            self.arm_url = said.partition("arm=")[2].split()[0]
            self.control = Control(self.arm_url)
            (self.mount / "jobs").mkdir(exist_ok=True)
            text = configuration(self.folder, self.arm_url, self._daemons_url, self._settings)
            (self.folder / "amlfs.toml").write_text(text)
            yield
        finally:
            self.kill_all()
            emulator.signal(signal.SIGTERM)
            until(lambda: not emulator.alive, "the emulator ends")
            self.door.close()
            self.blobs.delete_container()
            self.blobs.close()

    def _start(self, die_at: str, *options: str) -> Started:
        more = {VARIABLE: die_at} if die_at else {}
        if self.plant:
            more |= {plants.VARIABLE: self.plant, plants.FOLDER_VARIABLE: str(self.folder)}
        self.starts += 1
        return self._starter.start("daemon", [f"--config={self.folder / 'amlfs.toml'}", *options], self.log, **more)

    def start_standby(self, die_at: str = "") -> None:
        """Start a daemon that waits for the other's end, and wait until it waits, or need not."""
        waiting = self._said(" standby ")
        standby = self.standby = self._start(die_at, "--standby")
        until(lambda: self._said(" standby ") > waiting or not (self.daemon_alive and standby.alive), "a standby waits")

    def stop_daemon(self) -> None:
        """Tell the daemon to stop, and wait for its end: no death, unless it dies on the way."""
        stopped = self._said(" stopped")
        if self.daemon is not None and self.daemon.signal(signal.SIGTERM):
            until(lambda: not self.daemon_alive, "the daemon has ended")
        if self._said(" stopped") > stopped:
            self.daemon = None

    def _said(self, word: str) -> int:
        return self.log.read_text(errors="replace").count(word) if self.log.exists() else 0

    @property
    def holds(self) -> bool:
        """Say whether jobs wait in Slurm's hold."""
        return self._settings.mode == "hold"

    @property
    def daemon_alive(self) -> bool:
        """Say whether it runs."""
        return self.daemon is not None and self.daemon.alive

    @property
    def standby_alive(self) -> bool:
        """Say whether another waits for its end."""
        return self.standby is not None and self.standby.alive

    def kill_daemon(self) -> None:
        """End it by SIGKILL, if it runs."""
        if self.daemon is not None and self.daemon.signal(signal.SIGKILL):
            until(lambda: not self.daemon_alive, "the daemon is dead")

    def kill_all(self) -> None:
        """End it and the one that stands by."""
        if self.standby is not None:
            standby, self.standby = self.standby, None
            standby.signal(signal.SIGKILL)
            until(lambda: not standby.alive, "the standby is dead")
        self.kill_daemon()

    def hang_daemon(self, *, hangs: bool) -> None:
        """Stop the daemon's process, or let it go on."""
        if self.daemon is not None:
            self.daemon.signal(signal.SIGSTOP if hangs else signal.SIGCONT)

    def take_over(self) -> None:
        """Call the one that stood by the daemon."""
        self.daemon, self.standby = self.standby, None

    def forget(self) -> None:
        """Kill all daemons, and take their memory away."""
        self.kill_all()
        for path in self.state_dir.glob(f"{FILE_NAME}*"):
            path.unlink()
        self.forgot = True

    def drop(self, request: Request) -> None:
        """Put a request into the inbox as a hook does."""
        self._requests += 1
        name = f"{self._requests}.{request.job_id}-{request.kind.value}"
        draft = self.state_dir / "inbox" / "tmp" / name
        draft.write_bytes(dump_request(request))
        draft.rename(self.state_dir / "inbox" / "new" / name)

    def has_request(self, job_id: int, token: str) -> bool:
        """Say whether an ask lies in the inbox still."""
        for part in ("new", "cur"):
            for path in (self.state_dir / "inbox" / part).iterdir():
                try:
                    text = path.read_text()
                except FileNotFoundError:
                    continue
                if f"job_id={job_id}\n" in text and f"token={token}\n" in text:
                    return True
        return False

    def requests_left(self) -> list[str]:
        """List what lies in the inbox."""
        return [path.name for part in ("new", "cur") for path in (self.state_dir / "inbox" / part).iterdir()]

    def board(self, job_id: int) -> Board | None:
        """Read a board."""
        try:
            return load_board((self.state_dir / "board" / str(job_id)).read_bytes())
        except (FileNotFoundError, UserError):
            return None

    def records(self) -> Records:
        """Read what the daemon remembers."""
        return read_records(self.state_dir / FILE_NAME)

    def events(self, job_id: int) -> tuple[Event, ...]:
        """Read a job's timeline."""
        return read_events(self.state_dir / FILE_NAME, job_id)

    def has_store(self) -> bool:
        """Say whether there is a database to read."""
        try:
            self.records()
        except AmlfsError:
            return False
        return True

    def restart_daemon(self, die_at: str = "") -> None:
        """See that a daemon acts, the one that stands by or a new one, and wait until it can be asked for something."""
        if self.daemon is not None and not self.daemon_alive:
            self.deaths += 1
            if self.standby_alive:
                self.take_over()
        if not self.daemon_alive:
            self.daemon = self._start(die_at)
            # The folders are there when it has come so far, or it died before.
            until(lambda: (self.state_dir / "inbox" / "tmp").exists() or not self.daemon_alive, "the inbox is there")

    def put(self, name: str, data: bytes) -> None:
        """Write a blob."""
        self.blobs.upload_blob(name, data, overwrite=True)

    def all_blobs(self) -> dict[str, bytes]:
        """Read every blob."""
        return {it.name: bytes(self.blobs.download_blob(it.name).readall()) for it in self.blobs.list_blobs()}

    def make_slurm_silent(self, *, silent: bool) -> None:
        """Let Slurm's commands fail, or answer again."""
        path = self.folder / "slurm" / "silent"
        if silent:
            path.touch()
        else:
            path.unlink(missing_ok=True)

    def said(self) -> str:
        """Read the end of the daemon's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-60:]) if self.log.exists() else ""

    def remove(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder, ignore_errors=True)


ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
}
