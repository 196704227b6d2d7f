"""The contracts that the fakes keep in the fast gate, kept by the real adapters on what is real."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from azure.storage.blob import ContainerClient
from emulator_bed import PLACE, SUBSCRIPTION, Bed, bed, until

from sandbox.azurite import azurite
from sandbox.emulator import LFS
from sandbox.ports import Ports
from sandbox.service import Service
from sandbox.site import Site
from slurm_amlfs.adapters.arm import ArmFileSystem
from slurm_amlfs.adapters.blob import AZURITE_KEY, BlobContainer
from slurm_amlfs.adapters.lfs import Lfs
from slurm_amlfs.adapters.lustre import LustreMount
from slurm_amlfs.application.ports import Slurm
from slurm_amlfs.domain.view import HsmState
from tests.contract.arm_contract import ArmContract
from tests.contract.blobs_contract import BlobsContract, Upload
from tests.contract.lustre_contract import LustreContract
from tests.contract.slurm_contract import SlurmContract
from tests.fakes.counting import counted
from tests.integration.clients import slurm_client

__all__ = ["bed"]

pytestmark = pytest.mark.integration


def no_credential() -> NoReturn:
    """Fail: on loopback there is none."""
    raise AssertionError


class EmulatedArm:
    """What goes on behind the port, on an emulator in this process."""

    def __init__(self, bed: Bed, arm: ArmFileSystem) -> None:
        self._bed = bed
        self._arm = arm

    def upload(self, name: str, size_bytes: int) -> None:
        """Put a blob into the folder that is the container."""
        path = self._bed.blobs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size_bytes)

    def hold(self) -> None:
        """Stall what starts."""
        self._bed.control.stall("*")

    def let_end(self) -> None:
        """Let it go, and wait for its end."""
        self._bed.control.let_go()
        until(lambda: all(job.import_state.over for job in self._arm.imports()))
        until(lambda: all(archive.archive_state.over for archive in self._arm.file_system().archives))

    def wait_until(self, seen: Callable[[], bool]) -> None:
        """Look until it is seen."""
        until(seen)


class TestArmOnTheEmulator(ArmContract):
    @pytest.fixture
    def arm(self, bed: Bed) -> ArmFileSystem:
        """Make the port."""
        return ArmFileSystem(bed.emulator.url, SUBSCRIPTION, *PLACE, no_credential, repeats=counted())

    @pytest.fixture
    def world(self, bed: Bed, arm: ArmFileSystem) -> EmulatedArm:
        """Stand behind it."""
        return EmulatedArm(bed, arm)


@contextmanager
def started(service: Service) -> Iterator[None]:
    """Run a service until the block ends."""
    service.start()
    try:
        yield
    finally:
        service.stop()


def free_port() -> int:
    """Find a port for a service that starts at once."""
    ports = Ports()
    port = ports.take()
    ports.let_go()
    return port


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Azurite; give the account's address."""
    folder, port = tmp_path_factory.mktemp("azurite"), free_port()
    with started(azurite(folder, folder, port)):
        yield f"http://127.0.0.1:{port}/devstoreaccount1"


class TestBlobsOnAzurite(BlobsContract):
    @pytest.fixture
    def container(self, account: str) -> Iterator[ContainerClient]:
        """Make a new container."""
        with ContainerClient.from_container_url(f"{account}/{uuid.uuid4()}", credential=AZURITE_KEY) as container:
            container.create_container()
            yield container

    @pytest.fixture
    def blobs(self, container: ContainerClient) -> BlobContainer:
        """Make the port."""
        return BlobContainer(container.url, no_credential, counted())

    @pytest.fixture
    def upload(self, container: ContainerClient) -> Upload:
        """Put blobs into it."""

        def upload(name: str, size_bytes: int) -> None:
            container.upload_blob(name, b"x" * size_bytes)

        return upload


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run the emulator with a mount; give that."""
    folder = tmp_path_factory.mktemp("emulator")
    mount = folder / "mount"
    mount.mkdir()
    argv = [sys.executable, "-m", "slurm_amlfs.emulator.program", "--port=0", f"--mount={mount}"]
    argv += [f"--folder={folder / 'state'}", f"--contents={folder / 'blobs'}"]
    with started(Service("emulator", argv, folder, lambda said: "ready arm=" in said, {"PATH": os.defpath})):
        yield mount


class EmulatedLustre:
    """What jobs and copytools do, on the emulator's mount."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.is_mounted = True

    def write(self, path: str, size_bytes: int) -> None:
        """Write a file."""
        self._place(path).write_bytes(b"x" * size_bytes)

    def add_released(self, path: str, size_bytes: int) -> None:
        """Write a file, archive and release it: what an import leaves, without ARM."""
        self.write(path, size_bytes)
        self.mark_archived(path)
        self._lfs("hsm_release", self._place(path))

    def link(self, path: str) -> None:
        """Make a symlink to /etc."""
        self._place(path).symlink_to("/etc")

    def hard_link(self, path: str, name: str) -> None:
        """Give a file another name."""
        self._place(name).hardlink_to(self._place(path))

    def mark_archived(self, path: str) -> None:
        """Archive a file, and wait until it is."""
        place = self._place(path)
        self._lfs("hsm_archive", place)
        until(lambda: b" archived" in self._lfs("hsm_state", place).removeprefix(os.fsencode(place)))

    def lose(self, path: str) -> None:
        """Say that the archive has lost a file."""
        subprocess.run([LFS, "hsm_set", "--lost", self._place(path)], check=True)

    def finish_restores(self) -> None:
        """Wait until nothing is under way on any file."""
        files = [path for path in self.mount.rglob("*") if path.is_file() and not path.is_symlink()]
        until(lambda: all(b": NOOP" in self._lfs("hsm_action", path) for path in files))

    def finish_archives(self) -> None:
        """Wait until nothing is under way on any file."""
        self.finish_restores()

    def forbid(self, path: str) -> None:
        """Say that a file must not be archived."""
        subprocess.run([LFS, "hsm_set", "--noarchive", self._place(path)], check=True)

    def unmount(self) -> None:
        """Say that it is not mounted; the next test needs it."""
        self.is_mounted = False

    def receipts(self) -> dict[int, str]:
        """Read the texts of all receipts."""
        folder = self.mount / ".amlfs" / "receipts"
        return {int(path.name): path.read_text(errors="surrogateescape") for path in folder.iterdir()}

    def clear(self) -> None:
        """Remove everything."""
        for path in self.mount.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _place(self, path: str) -> Path:
        place = self.mount / path.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _lfs(self, command: str, path: Path) -> bytes:
        return subprocess.run([LFS, command, path], check=True, capture_output=True).stdout


class TestLustreOnTheEmulator(LustreContract):
    @pytest.fixture
    def world(self, mount: Path) -> EmulatedLustre:
        """Empty the file system."""
        world = EmulatedLustre(mount)
        world.clear()
        return world

    @pytest.fixture
    def lustre(self, world: EmulatedLustre) -> LustreMount:
        """Make the port."""
        return LustreMount(world.mount, Lfs(LFS), lambda path: world.is_mounted and path.is_mount())

    def test_many(self, lustre: LustreMount, world: EmulatedLustre) -> None:
        """More files than one request takes are restored and released."""
        paths = [f"/many/{number}" for number in range(130)]
        for path in paths:
            world.write(path, 1)
        for path in paths:
            world.mark_archived(path)
        lustre.release(paths)
        assert all(state & HsmState.RELEASED for state in lustre.hsm_states(paths).values())
        lustre.restore(paths)
        world.finish_restores()
        assert not any(state & HsmState.RELEASED for state in lustre.hsm_states(paths).values())


class Cluster:
    """What alice does on the shared site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def fail(self, exit_code: int) -> int:
        """Submit a job that fails."""
        return self._site.submit("alice", f"#!/bin/sh\nexit {exit_code}\n")

    def hold(self, *, requeue: bool = True) -> int:
        """Submit a held job."""
        return self._site.submit("alice", "#!/bin/sh\nexit 0\n", "--hold", "--requeue" if requeue else "--no-requeue")

    def may_requeue(self, job_id: int) -> bool:
        """Read what scontrol shows."""
        return self._site.job(job_id)["Requeue"] == "1"

    def hold_with(self, directives: Sequence[str], tasks: int = 1) -> int:
        """Submit a held job with directives in its script."""
        lines = "".join(f"#AMLFS {line}\n" for line in directives)
        array = [f"--array=1-{tasks}"] if tasks > 1 else []
        return self._site.submit("alice", f"#!/bin/sh\n{lines}exit 0\n", "--hold", *array)

    def wait_for(self, job_id: int, word: str, directives: Sequence[str] = ()) -> int:
        """Submit it with a dependency."""
        lines = "".join(f"#AMLFS {line}\n" for line in directives)
        return self._site.submit("alice", f"#!/bin/sh\n{lines}exit 0\n", f"--dependency={word}:{job_id}")

    def cancel(self, job_id: int) -> None:
        """Cancel it."""
        self._site.run("alice", ["scancel", str(job_id)])

    def uid(self) -> int:
        """Name alice's uid."""
        return pwd.getpwnam("alice").pw_uid

    def comment_of(self, job_id: int) -> str:
        """Read what scontrol shows."""
        shown = self._site.run(None, ["scontrol", "show", "job", str(job_id)])
        [line] = [line.strip() for line in shown.splitlines() if line.strip().startswith("AdminComment=")]
        return line.removeprefix("AdminComment=")

    def wait_until(self, seen: Callable[[], bool]) -> None:
        """Look until it is seen."""
        self._site.wait(seen, 60, "what Slurm does in its own time")


class TestSlurmOnTheSite(SlurmContract):
    @pytest.fixture
    def slurm(self, site: Site) -> Iterator[Slurm]:
        """Make the port."""
        with slurm_client(site) as made:
            yield made

    @pytest.fixture
    def world(self, site: Site) -> Iterator[Cluster]:
        """Stand behind it; what is left is cancelled."""
        yield Cluster(site)
        site.run(None, ["scancel", "--user=alice", "--state=PENDING"])
