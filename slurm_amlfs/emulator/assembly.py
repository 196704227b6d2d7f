"""Put the emulator's parts together, and take them apart again in the right order."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from slurm_amlfs.emulator.answers import Answers
from slurm_amlfs.emulator.arm import Arm
from slurm_amlfs.emulator.azurite import AzuriteContents, is_container_url
from slurm_amlfs.emulator.bodies import Place
from slurm_amlfs.emulator.checks import location
from slurm_amlfs.emulator.contents import Contents
from slurm_amlfs.emulator.control_api import ControlApi
from slurm_amlfs.emulator.copytool import Copytool
from slurm_amlfs.emulator.engine import Engine
from slurm_amlfs.emulator.faults import Faults
from slurm_amlfs.emulator.faulty import FaultyContents
from slurm_amlfs.emulator.folder import FolderContents
from slurm_amlfs.emulator.hsm import RestoreRate
from slurm_amlfs.emulator.journal import Journal
from slurm_amlfs.emulator.ledger import Ledger
from slurm_amlfs.emulator.marked import MarkedHsm
from slurm_amlfs.emulator.mount import CACHE_SECONDS
from slurm_amlfs.emulator.mounting import Mounted
from slurm_amlfs.emulator.rates import Rates
from slurm_amlfs.emulator.refusal import Conflict
from slurm_amlfs.emulator.server import Server
from slurm_amlfs.emulator.service import Service
from slurm_amlfs.emulator.throttle import Throttle
from slurm_amlfs.errors import PermanentError, UserError

TEBIBYTE = 2**40


@dataclass(frozen=True, slots=True)
class Settings:
    """What the emulator is started with.

    Blobs are in the container of `container_url` (Azurite), or under the folder `contents` where that is given;
    `copytool` is a library that restores small ones from there.
    Without `mount` there is ARM only. `port` 0 is any free one. `max_requests` is Lustre's hsm.max_requests.
    `cache_seconds` is how long the kernel may remember names and attributes.
    """

    folder: Path
    container_url: str = ""
    contents: Path | None = None
    copytool: Path | None = None
    mount: Path | None = None
    port: int = 0
    subscription: str = "00000000-0000-0000-0000-000000000000"
    resource_group: str = "emulated"
    amlfs: str = "amlfs"
    location: str = "eastus"
    hierarchical: bool = False
    capacity_bytes: int = 8 * TEBIBYTE
    max_requests: int = 32
    cache_seconds: float = CACHE_SECONDS
    rates: Rates = field(default_factory=Rates)
    conflict: Conflict = field(default_factory=Conflict)


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator, for the process that it runs in. Others use `control.Control`."""

    url: str
    engine: Engine
    hsm: MarkedHsm
    faults: Faults
    journal: Journal
    mounted: Mounted | None

    @property
    def alive(self) -> bool:
        """Say whether the mount is still served; true where there is none."""
        return self.mounted is None or self.mounted.alive


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Emulator]:
    """Run an emulator on a folder; what the folder holds from before is taken up.

    Raises:
        UserError: the settings are wrong.
        PermanentError: the folder is in use by another, the port is taken, or FUSE refuses.
        TemporaryError: Azurite or FUSE does not answer.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone(settings.folder))
        stopping = threading.Event()
        faults, journal = Faults(), Journal()
        copytool = _copytool(settings, faults)
        contents = FaultyContents(_contents(settings), faults, stopping)
        stack.callback(contents.close)
        rate = RestoreRate(settings.rates.restore_bytes_per_second)
        hsm = MarkedHsm(settings.folder, contents, settings.capacity_bytes, rate, settings.max_requests, copytool)
        stack.callback(hsm.close)
        mounted = Mounted(hsm, settings.mount, settings.cache_seconds, faults) if settings.mount else None
        if mounted:
            stack.callback(mounted.stop)
        stack.callback(faults.clear)
        service = Service(
            tree=hsm,
            contents=contents,
            rates=settings.rates,
            faults=faults,
            journal=journal,
            ledger=Ledger(settings.folder),
            hierarchical=settings.hierarchical,
            conflict=settings.conflict,
        )
        engine = Engine(service)
        stack.callback(engine.close)
        stack.callback(stopping.set)
        engine.start()
        answers = Answers(engine, faults, _place(settings))
        arm = Arm(answers, faults, journal, Throttle(), settings.conflict)
        server = Server(arm, ControlApi(engine, faults, journal), settings.port)
        stack.callback(server.stop)
        server.start()
        yield Emulator(server.url, engine, hsm, faults, journal, mounted)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise PermanentError(f"another emulator runs on {folder}; stop it, or choose another --folder") from error
    try:
        yield
    finally:
        os.close(lock)


def _contents(settings: Settings) -> Contents:
    if settings.contents is not None:
        return FolderContents(settings.contents)
    if not is_container_url(settings.container_url):
        raise UserError(
            f"the container URL {settings.container_url!r} is not Azurite's on this machine;"
            " give --container-url http://127.0.0.1:PORT/devstoreaccount1/CONTAINER, or --contents FOLDER"
        )
    contents = AzuriteContents(settings.container_url)
    try:
        contents.ensure()
    except BaseException:
        contents.close()
        raise
    return contents


def _copytool(settings: Settings, faults: Faults) -> Copytool | None:
    if settings.copytool is None:
        return None
    if settings.contents is None:
        raise UserError("--copytool restores from a folder only; give --contents FOLDER, or leave it out")
    return Copytool(settings.copytool, settings.contents, faults)


def _place(settings: Settings) -> Place:
    account, _, container = urlsplit(settings.container_url).path.strip("/").partition("/")
    return Place(
        settings.subscription,
        settings.resource_group,
        settings.amlfs,
        location(settings.location),
        account or "emulated",
        container or "data",
        round(settings.capacity_bytes / TEBIBYTE, 3),
    )
