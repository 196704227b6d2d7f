"""A folder that plays a container."""

from __future__ import annotations

import io
from pathlib import Path

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator.folder import FolderContents
from slurm_amlfs.emulator.tree import FileInfo

FILE = FileInfo(FileKind.REGULAR, 3, 10**9, 1000, 100, 0o640)


class TestFolder:
    def test_what_is_stored_is_listed_and_fetched(self, tmp_path: Path) -> None:
        """Bytes, size and metadata; names with spaces and newlines."""
        contents = FolderContents(tmp_path / "blobs")
        (tmp_path / "f").write_bytes(b"abc")
        contents.store("a b/new\nline", tmp_path / "f", FILE)
        into = io.BytesIO()
        contents.fetch("a b/new\nline", into)
        (blob,) = contents.walk("")
        assert (blob.name, blob.size, into.getvalue()) == ("a b/new\nline", 3, b"abc")
        assert (blob.metadata["owner"], blob.metadata["permissions"]) == ("1000", "0640")

    def test_a_prefix_is_a_string(self, tmp_path: Path) -> None:
        """The prefix "data" takes data2, "data/" does not, a deep prefix does not walk what is beside it."""
        contents = FolderContents(tmp_path)
        for name in ("data/x", "data2/x", "other/x", "data/sub/y"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

        def names(prefix: str) -> list[str]:
            return [blob.name for blob in contents.walk(prefix)]

        assert names("data") == ["data/sub/y", "data/x", "data2/x"]
        assert names("data/") == ["data/sub/y", "data/x"]
        assert names("data/s") == ["data/sub/y"]
        assert names("nothing/there") == []

    def test_a_directory_is_a_blob_when_it_has_a_stub(self, tmp_path: Path) -> None:
        """And not otherwise."""
        contents = FolderContents(tmp_path)
        (tmp_path / "plain").mkdir()
        contents.store("stub", Path(), FileInfo(FileKind.DIRECTORY, 4096, 0, 1, 1, 0o755))
        (blob,) = contents.walk("")
        assert (blob.name, blob.size, blob.metadata["hdi_isfolder"]) == ("stub", 0, "true")

    def test_a_symlink_is_its_target(self, tmp_path: Path) -> None:
        """Marked is_symlink, as AzCopy does."""
        contents = FolderContents(tmp_path)
        contents.store("l", tmp_path / "l", FileInfo(FileKind.SYMLINK, 1, 0, 1, 1, 0o777, 0, "to/there"))
        (blob,) = contents.walk("")
        assert ((tmp_path / "l").read_text(), blob.metadata["is_symlink"]) == ("to/there", "true")
