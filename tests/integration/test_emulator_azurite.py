"""The emulator on a real Azurite: names that are odd, attributes that come and go, bytes that are the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from sandbox.azurite import azurite, container, container_url
from sandbox.ports import Ports
from slurm_amlfs.domain.view import ImportState
from slurm_amlfs.emulator.assembly import Emulator, Settings, running
from slurm_amlfs.emulator.azurite import AzuriteContents
from slurm_amlfs.emulator.conflict import Mode
from slurm_amlfs.emulator.imports import ImportWish
from slurm_amlfs.emulator.rates import Rates
from slurm_amlfs.errors import TemporaryError, UserError

from emulator_bed import until  # isort: skip - a module beside this one

pytestmark = pytest.mark.integration

ODD = [
    "a b",
    "q'uo\"te",
    "new\nline",
    "cr\rx",
    "tab\tx",
    "pct%20x%2Fy",
    "amp&<x>",
    "q?m#h",
    "+plus+",
    "日本/ñ/😀",
    "e\u0301",
    "dot.",
    " blank",
    "x" * 255,
    "deep/" * 150 + "f",
]
"""Blob names that Azurite takes, lists and gives back unchanged by azure-storage-blob."""


@dataclass
class Bed:
    """An emulator on Azurite."""

    emulator: Emulator
    blobs: ContainerClient

    def bring(self, name: str, prefix: str) -> ImportState:
        """Import a prefix."""
        imports = self.emulator.engine.imports
        imports.create(ImportWish(name, "x", (prefix,), Mode.FAIL, -1))

        def over() -> ImportState | None:
            job = imports.find(name)
            return job.import_state if job is not None and job.import_state.over else None

        state = until(over, 30)
        assert isinstance(state, ImportState)
        return state


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp("azurite")
    ports = Ports()
    port = ports.take()
    ports.let_go()
    service = azurite(folder, folder, port)
    service.start()
    try:
        rates = Rates(import_overhead_seconds=0, archive_overhead_seconds=0)
        settings = Settings(folder=folder / "state", container_url=container_url(port), rates=rates)
        with running(settings) as emulator, container(port) as blobs:
            yield Bed(emulator, blobs)
    finally:
        service.stop()


class TestAzurite:
    def test_odd_names_come_unchanged(self, bed: Bed) -> None:
        """Each becomes a file of that very path, with its size and owner, and its bytes when it is restored."""
        for number, name in enumerate(ODD):
            bed.blobs.upload_blob(f"odd/{name}", b"x" * number, metadata={"owner": "1000", "permissions": "0600"})
        assert bed.bring("odd", "/odd/") is ImportState.COMPLETED
        for number, name in enumerate(ODD):
            seen = bed.emulator.hsm.look(f"odd/{name}")
            assert seen is not None, name
            assert (seen.size, seen.uid, seen.mode) == (number, 1000, 0o600)
        bed.emulator.hsm.restore("odd/new\nline")
        assert Path(bed.emulator.hsm.tree.at("odd/new\nline")).read_bytes() == b"xx"

    def test_names_that_cannot_be_paths_are_errors(self, bed: Bed) -> None:
        """Counted, and the others come."""
        for name in ("a//b", "slash/", "y" * 256, "good"):
            bed.blobs.upload_blob(f"bad/{name}", b"1")
        assert bed.bring("bad", "/bad/") is ImportState.COMPLETED_PARTIAL
        job = bed.emulator.engine.imports.find("bad")
        assert job is not None
        assert (job.counts.errors, job.counts.files) == (3, 1)

    def test_odd_files_go_out_unchanged(self, bed: Bed) -> None:
        """Bytes, POSIX metadata, stubs of the directories; a second import finds all of it there."""
        hsm = bed.emulator.hsm
        hsm.add_directory("out", 5, 6, 0o750)
        for name in ("a b", "new\nline", "pct%20x", "日本", "big"):
            fd = hsm.files.create(f"out/{name}", 1, 0o1640, 1000, 100)
            hsm.files.write(fd, name.encode() * (1 if name != "big" else 3_000_000), 0)
            hsm.files.release(fd)
        bed.emulator.engine.archives.begin("/out")
        until(lambda: (status := bed.emulator.engine.archives.status()) and status.archive_state.over, 30)
        for name in ("a b", "new\nline", "pct%20x", "日本", "big"):
            client = bed.blobs.get_blob_client(f"out/{name}")
            assert client.download_blob().readall() == name.encode() * (1 if name != "big" else 3_000_000)
            metadata = client.get_blob_properties().metadata
            assert (metadata["owner"], metadata["group"], metadata["permissions"]) == ("1000", "100", "1640")
        stub = bed.blobs.get_blob_client("out").get_blob_properties()
        assert (stub.size, stub.metadata["hdi_isfolder"], stub.metadata["permissions"]) == (0, "true", "0750")
        assert bed.bring("again", "/out") is ImportState.COMPLETED
        job = bed.emulator.engine.imports.find("again")
        assert job is not None
        assert (job.counts.preexisting_files, job.counts.preexisting_directories, job.counts.conflicts) == (5, 1, 0)

    def test_a_file_whose_name_is_not_text_is_named(self, bed: Bed) -> None:
        """It cannot be a blob's name, so the archive fails and says which."""
        fd = bed.emulator.hsm.files.create("raw\udcff", 1, 0o600, 0, 0)
        bed.emulator.hsm.files.release(fd)
        bed.emulator.engine.archives.begin("/raw")
        until(lambda: (one := bed.emulator.engine.archives.status()) and one.path == "/raw" and one.archive_state.over)
        status = bed.emulator.engine.archives.status()
        assert status is not None
        assert status.archive_state == "Failed"
        assert "/raw\\udcff" in status.error_message


class TestWithoutAzurite:
    def test_nobody_answers(self) -> None:
        """One line that says so."""
        contents = AzuriteContents("http://127.0.0.1:1/devstoreaccount1/x")
        with pytest.raises(TemporaryError, match="is it running"):
            contents.ensure()
        contents.close()

    @pytest.mark.parametrize(
        "url", ["", "https://a.blob.core.windows.net/c", "http://10.0.0.1/a/c", "http://127.0.0.1:1/a"]
    )
    def test_another_url_is_refused(self, tmp_path: Path, url: str) -> None:
        """With the mend."""
        with pytest.raises(UserError, match="--container-url"), running(Settings(folder=tmp_path, container_url=url)):
            pass
