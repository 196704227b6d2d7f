"""What a run stands on: a real daemon and a real emulator as processes, and an Azurite that all runs share.

Slurm is a model (model_slurm.py) that real programs show to the daemon; nothing else is stood in for.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from azure.storage.blob import ContainerClient

from sandbox.emulator import AMLFS, LFS, RESOURCE_GROUP, SUBSCRIPTION
from slurm_amlfs.adapters.lfs import Lfs
from slurm_amlfs.adapters.lustre import LustreMount
from slurm_amlfs.adapters.memory_reading import read_events, read_records
from slurm_amlfs.adapters.store import FILE_NAME
from slurm_amlfs.domain.records import Event, Records
from slurm_amlfs.emulator.azurite import DEVELOPMENT_KEY
from slurm_amlfs.emulator.control import Control
from slurm_amlfs.errors import UserError
from slurm_amlfs.wire import Board, Request, dump_request, load_board
from tests.faults.blob_door import BlobDoor
from tests.faults.daemons import Daemons
from tests.faults.programs import install
from tests.faults.settings import USUAL, Settings, configuration
from tests.faults.starter import Starter
from tests.faults.until import until


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
        self._emulator_log = self.folder / "emulator.log"
        self._starter, self._options = shared.starter, emulator_options
        self._settings = settings
        self._container_url = f"{shared.account_url}/{name}"
        behind = urlsplit(shared.account_url)
        self.door = BlobDoor(behind.port or 80)
        self._daemons_url = f"http://127.0.0.1:{self.door.port}{behind.path}/{name}"
        self.blobs = ContainerClient.from_container_url(self._container_url, credential=DEVELOPMENT_KEY)
        self.lustre = LustreMount(self.mount, Lfs(LFS))
        self.daemons = Daemons(shared.starter, self.folder)
        self.forgot = False
        self._requests = 0
        install(self.folder / "bin")
        for part in ("jobs", "living", "queue", "records", "comments", "terminals", "gates", "asks"):
            (self.folder / "slurm" / part).mkdir(parents=True)
        (self.folder / "slurm.conf").touch()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have the emulator up, daemons as they are started; nothing is left afterwards but what a failure shows."""
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
            self.daemons.kill_all()
            emulator.signal(signal.SIGTERM)
            until(lambda: not emulator.alive, "the emulator ends")
            self.door.close()
            self.blobs.delete_container()
            self.blobs.close()

    @property
    def holds(self) -> bool:
        """Say whether jobs wait in Slurm's hold."""
        return self._settings.mode == "hold"

    def forget(self) -> None:
        """Kill all daemons, and take their memory away."""
        self.daemons.kill_all()
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

    def remove(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder, ignore_errors=True)


ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
}
