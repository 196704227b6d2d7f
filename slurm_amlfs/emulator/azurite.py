"""Blobs in a real Azurite (or any storage account that takes Azurite's published key).

Listing and names were tried with Azurite 3.34 and azure-storage-blob 12.31: spaces, quotes, newlines, percent
escapes, "?", "#" and all of Unicode work. A control character other than tab, CR and LF in any name makes Azurite
answer its listing with 500; "." and ".." segments cannot be sent, because HTTP clients resolve them in URLs.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import requests
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ContainerClient
from requests.adapters import HTTPAdapter

from slurm_amlfs.domain.view import FileKind
from slurm_amlfs.emulator import metadata
from slurm_amlfs.emulator.contents import Blob
from slurm_amlfs.emulator.tree import FileInfo
from slurm_amlfs.errors import TemporaryError

DEVELOPMENT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key of devstoreaccount1 that Azurite's own documentation publishes; it opens nothing else."""

CONNECTIONS = 32
"""Connections kept open: more than the threads that fetch and store at once."""

RETRIES = 2
"""One second apart: Azurite is on this machine, and what it does not answer then it will not answer."""

STREAMS = 2
"""Parallel ranges of one large blob."""


class AzuriteContents:
    """A container of an Azurite on this machine, with connections that are reused."""

    def __init__(self, container_url: str) -> None:
        session = requests.Session()
        session.mount("http://", HTTPAdapter(pool_connections=CONNECTIONS, pool_maxsize=CONNECTIONS))
        self._client = ContainerClient.from_container_url(
            container_url,
            credential=DEVELOPMENT_KEY,
            transport=RequestsTransport(session=session, session_owner=False),
            retry_total=RETRIES,
            initial_backoff=0,
            increment_base=1,
        )
        self._session = session

    def ensure(self) -> None:
        """Make the container if it is not there.

        Raises:
            TemporaryError: Azurite does not answer.
        """
        try:
            if not self._client.exists():
                self._client.create_container()
        except ResourceExistsError:
            return
        except AzureError as error:
            raise TemporaryError(f"Azurite does not answer at {self._client.url}; is it running? ({error})") from error

    def walk(self, prefix: str) -> Iterator[Blob]:
        """Stream blobs as `Contents.walk` says; 5,000 a page, metadata with them."""
        try:
            for blob in self._client.list_blobs(name_starts_with=prefix or None, include=["metadata"]):
                yield Blob(blob.name, blob.size, blob.last_modified, blob.metadata or {})
        except AzureError as error:
            raise OSError(errno.EIO, f"the container cannot be listed: {error}") from error

    def fetch(self, name: str, into: BinaryIO) -> None:
        """Read a blob as `Contents.fetch` says."""
        try:
            self._client.download_blob(name, max_concurrency=STREAMS).readinto(into)
        except ResourceNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, "no such blob", name) from error
        except AzureError as error:
            raise OSError(errno.EIO, f"the blob cannot be read: {error}", name) from error

    def store(self, name: str, source: Path, info: FileInfo) -> None:
        """Write a blob as `Contents.store` says."""
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise OSError(errno.EILSEQ, "a blob name has to be Unicode text", name) from error
        attributes = metadata.write(kind=info.kind, uid=info.uid, gid=info.gid, mode=info.mode, mtime_ns=info.mtime_ns)
        try:
            with _open(source, info) as data:
                self._client.upload_blob(
                    name, data, overwrite=True, metadata=attributes, max_concurrency=STREAMS, length=None
                )
        except AzureError as error:
            raise OSError(errno.EIO, f"the blob cannot be written: {error}", name) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._session.close()


def _open(source: Path, info: FileInfo) -> BinaryIO:
    if info.kind is FileKind.DIRECTORY:
        return BytesIO()
    if info.kind is FileKind.SYMLINK:
        return BytesIO(info.target.encode("utf-8", "surrogateescape"))
    return cast("BinaryIO", source.open("rb"))


def is_container_url(text: str) -> bool:
    """Say whether a URL is http on this machine and names an account and a container."""
    parts = urlsplit(text)
    path = parts.path.strip("/").split("/")
    return parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"} and len(path) == 2  # noqa: PLR2004 - account and container
