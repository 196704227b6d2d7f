"""The blobs behind the emulated file system, as its other parts see them.

`azurite.py` and `folder.py` implement `Contents`; `faulty.py` wraps one so that faults reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from slurm_amlfs.emulator.tree import FileInfo


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob of a listing. `name` has no leading "/"."""

    name: str
    size: int
    last_modified: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


class Contents(Protocol):
    """A container. All calls may be made from several threads at once."""

    def walk(self, prefix: str) -> Iterator[Blob]:
        """Stream the blobs whose name begins with `prefix` (no leading "/"), in the order of the names.

        Raises:
            OSError: the container cannot be listed.
        """

    def fetch(self, name: str, into: BinaryIO) -> None:
        """Write a blob's bytes to an open file, from the file's start.

        Raises:
            FileNotFoundError: no such blob.
            OSError: it could not be read.
        """

    def store(self, name: str, source: Path, info: FileInfo) -> None:
        """Write a blob from a file, with the attributes of `info` as metadata; an existing blob is overwritten.

        For a directory (`info.kind`) an empty blob with hdi_isfolder=true is written, for a symlink one whose content
        is `info.target`; `source` is not read then.

        Raises:
            OSError: it could not be written, or the name cannot be a blob's.
        """

    def close(self) -> None:
        """Let go of connections."""
