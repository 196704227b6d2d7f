"""Pages of a listing, read from the service's answer before the SDK makes its own objects of it.

The SDK looks for some fifty properties in each blob, 0.3 ms of Python's for each, so that a million blobs take five
minutes and hold up every other thread meanwhile. We need four. `Pages.read` is a `raw_response_hook`: it takes the
blobs out of an answer that lists some, and the SDK finds the same answer without blobs, with the marker of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from azure.core.pipeline import PipelineResponse
from azure.storage.blob import BlobPrefix, BlobProperties

from slurm_amlfs.domain.view import BlobView

_OK = 200


class Page(NamedTuple):
    """One answer: its blobs, and the folders that a listing by folders has in place of what is in them."""

    blobs: list[BlobView]
    folders: list[str]


class Pages:
    """One listing. The SDK's iterator by page drives it, and `read` is its hook."""

    def __init__(self) -> None:
        self._page = Page([], [])

    def take(self, pages: Iterator[Iterable[BlobProperties | BlobPrefix]]) -> Page | None:
        """Give the next page when the SDK has it, with what was left to the SDK; None after the last.

        After an error the next call asks for the same page.
        """
        rest = next(pages, None)
        if rest is None:
            return None
        page, self._page = self._page, Page([], [])
        for item in rest:
            if isinstance(item, BlobPrefix):
                page.folders.append(item.name)
            else:
                page.blobs.append(view_of(item))
        return page

    def read(self, response: PipelineResponse[Any, Any]) -> None:
        """Take the blobs out of an answer; one that is not understood is left to the SDK, which knows its errors."""
        http = response.http_response
        self._page = Page([], [])
        if http.status_code != _OK:
            return
        try:
            self._page, rest = read_page(http.body())
        except (ET.ParseError, ValueError):
            return
        response.http_response = _Rest(http, rest)


class _Rest:
    """An answer with another body."""

    def __init__(self, http: Any, body: bytes) -> None:  # noqa: ANN401 - the SDK has two kinds of answers
        self._http = http
        self._body = body

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the answer has
        return getattr(self._http, name)

    def body(self) -> bytes:
        """Give the body."""
        return self._body

    def text(self, encoding: str | None = None) -> str:
        """Give the body as text."""
        return self._body.decode(encoding or "utf-8")


def read_page(body: bytes) -> tuple[Page, bytes]:
    """Split an answer of List Blobs into what it lists and what is left (learn.microsoft.com, "List Blobs").

    Raises:
        xml.etree.ElementTree.ParseError: it is no XML.
        ValueError: a blob has no size or no time.
    """
    root = ET.fromstring(body)  # noqa: S314 - from the service, over TLS; the SDK parses it the same way
    times: dict[str, datetime] = {}
    page = Page([], [])
    listed = root.find("Blobs")
    if listed is not None:
        page.blobs.extend(_view(node, times) for node in listed.iterfind("Blob"))
        page.folders.extend(_name(node) for node in listed.iterfind("BlobPrefix"))
        listed.clear()
    return page, ET.tostring(root, encoding="utf-8")


def view_of(blob: BlobProperties) -> BlobView:
    """Read the SDK's own object."""
    return BlobView(name=blob.name, size_bytes=blob.size, last_modified=blob.last_modified, etag=blob.etag or "")


def _view(node: ET.Element, times: dict[str, datetime]) -> BlobView:
    properties = node.find("Properties")
    if properties is None:
        raise ValueError("a blob without properties")
    said = properties.findtext("Last-Modified", "")
    modified = times.get(said)
    if modified is None:
        modified = times[said] = parsedate_to_datetime(said)
    return BlobView(
        name=_name(node),
        size_bytes=int(properties.findtext("Content-Length", "")),
        last_modified=modified,
        etag=properties.findtext("Etag", ""),
    )


def _name(node: ET.Element) -> str:
    named = node.find("Name")
    if named is None:
        raise ValueError("a blob or folder without a name")
    name = named.text or ""
    return unquote(name) if named.get("Encoded") == "true" else name
