"""The container behind one file system, by azure-storage-blob. The SDK's own retries are off.

A page of a listing is one attempt, or what `retry` makes of it: a listing of thousands of pages need not begin again
because one of them failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient, ExponentialRetry

from slurm_amlfs.adapters.azure_errors import translated
from slurm_amlfs.adapters.azure_transport import CountedTransport
from slurm_amlfs.adapters.blob_pages import Page, Pages, view_of
from slurm_amlfs.adapters.repeats import Repeats
from slurm_amlfs.adapters.retry import Retry
from slurm_amlfs.domain.endpoint import is_safe
from slurm_amlfs.domain.view import BlobView, Children
from slurm_amlfs.errors import PermanentError

PAGE_BLOBS = 5000
"""Most that List Blobs gives in one answer (learn.microsoft.com/rest/api/storageservices/list-blobs, maxresults)."""

AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's development account key: no secret, the same everywhere (Azurite README, "Default Storage Account")."""


class BlobContainer:
    """One container's Blobs port.

    Args:
        url: https://ACCOUNT.blob.core.windows.net/CONTAINER; http is taken on loopback only (Azurite).
        credential: Makes the credential; called for https only.
        repeats: Counts the requests.
        retry: Asks for a page again.

    Raises:
        PermanentError: http to another machine.
    """

    def __init__(
        self, url: str, credential: Callable[[], TokenCredential], repeats: Repeats, retry: Retry | None = None
    ) -> None:
        plain = not url.lower().startswith("https://")
        if not is_safe(url):
            raise PermanentError(f"container_url {url!r} would send data in the clear; use https")
        self._client = ContainerClient.from_container_url(
            url,
            credential=AZURITE_KEY if plain else credential(),
            retry_policy=ExponentialRetry(retry_total=0),
            transport=CountedTransport(repeats),
        )
        self._repeats = repeats
        self._retry = retry or Retry(lambda: False)

    def walk(self, prefix: str) -> Iterator[BlobView]:
        """Stream the blobs whose name begins with `prefix`, page by page; nothing is asked before the first is wanted.

        A directory of a hierarchical namespace, or a stub of one, is a blob like any other here: empty, and with a
        directory in its place on Lustre.

        Raises:
            PermanentError: there is no such container.
            AmlfsError: as `azure_errors.translated` says, also in mid-stream.
        """
        for page in self.pages(prefix):
            yield from page

    def pages(self, prefix: str) -> Iterator[Sequence[BlobView]]:
        """Stream the same blobs a page at a time. The service may send a page without blobs that is not the last.

        Raises:
            AmlfsError: as from `walk`.
        """
        begins = prefix.removeprefix("/")
        pages = Pages()
        listing = self._client.list_blobs(
            name_starts_with=begins or None, results_per_page=PAGE_BLOBS, raw_response_hook=pages.read
        )
        for page in self._stream(f"list blobs under {prefix!r}", pages, listing.by_page()):
            yield page.blobs

    def children(self, prefix: str) -> Iterator[Children]:
        """Stream, a page at a time, the blobs and folders directly under `prefix`, by the delimiter "/".

        Raises:
            AmlfsError: as from `walk`.
        """
        begins = prefix.removeprefix("/")
        pages = Pages()
        listing = self._client.walk_blobs(
            name_starts_with=begins or None, delimiter="/", results_per_page=PAGE_BLOBS, raw_response_hook=pages.read
        )
        for page in self._stream(f"list what is in {prefix!r}", pages, listing.by_page()):
            yield Children(tuple(page.blobs), tuple(page.folders))

    def find(self, name: str) -> BlobView | None:
        """Look up one blob by its full name; None if there is none.

        By a list of one, since the name itself sorts first among all that begin with it: in a URL's path, a name with
        "/../" or "//" in it would be made another name on the way (RFC 3986, 5.2.4).

        Raises:
            PermanentError: there is no such container.
        """
        key = name.removeprefix("/")
        if not key:
            return None
        with self._explained(f"look up the blob {name!r}"):
            first = next(iter(self._client.list_blobs(name_starts_with=key, results_per_page=1)), None)
        return view_of(first) if first and first.name == key else None

    def _stream(self, doing: str, pages: Pages, listing: Iterator[Iterator[Any]]) -> Iterator[Page]:
        failed = False

        def ask() -> Page | None:
            nonlocal failed
            with self._explained(doing):
                try:
                    page = pages.take(listing)
                except BaseException:
                    failed = True
                    raise
                if page is None and failed:
                    # The SDK takes a first page that it could not read for the last one.
                    raise ValueError("the listing cannot go on")
            failed = False
            return page

        while (page := self._retry.call(ask)) is not None:
            yield page

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        with translated(doing, self._repeats.spoiled):
            try:
                yield
            except HttpResponseError as error:
                headers = getattr(error.response, "headers", {})
                if headers.get("x-ms-error-code") == "ContainerNotFound":
                    raise PermanentError(
                        f"there is no container at {self._client.url}; create it, or mend container_url",
                        code="ContainerNotFound",
                        correlation_id=headers.get("x-ms-request-id", ""),
                    ) from error
                raise
