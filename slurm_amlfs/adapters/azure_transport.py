"""What goes over the wire to Azure, each request of it counted, whichever part of the SDK sends it.

The SDK repeats calls by itself in more places than its retry policy: redirects, challenges, registrations, tokens.
Counting at the bottom needs to know none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Self, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

from azure.core.credentials import (
    AccessToken,
    AccessTokenInfo,
    SupportsTokenInfo,
    TokenCredential,
    TokenRequestOptions,
)
from azure.core.pipeline.transport import HttpTransport, RequestsTransport

from slurm_amlfs.adapters.azure_errors import CONNECTION_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
from slurm_amlfs.adapters.clock_skew import ClockSkew
from slurm_amlfs.adapters.repeats import Repeats

T = TypeVar("T")

_FAILED = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_SERVER_ERRORS = 500
_MARKERS = {"marker", "$skiptoken", "skiptoken"}
"""Query words by which Blob and ARM name a page of a listing that is not its first."""
_PAGE_SIZE = "maxresults"
"""azure-storage-blob says it for the first page only."""


class CountedTransport(HttpTransport[Any, Any]):
    """Sends requests, if they may be sent."""

    def __init__(self, repeats: Repeats, skew: ClockSkew | None = None) -> None:
        self._skew = skew or ClockSkew()
        self._sender: HttpTransport[Any, Any] = RequestsTransport(
            connection_timeout=CONNECTION_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS
        )
        self._repeats = repeats

    def __enter__(self) -> Self:
        """Open it."""
        self._sender.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def open(self) -> None:
        """Open it."""
        self._sender.open()

    def close(self) -> None:
        """Close it."""
        self._sender.close()

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the SDK types it
        """Send a request, once.

        Raises:
            ThrottledError: it is a repeated one, and there were too many in this hour.
        """
        what, continues = _named(request.method, request.url)
        key = self._repeats.begin(what, continues=continues)
        well = False
        try:
            response = self._sender.send(request, **kwargs)
            self._skew.heard(response.headers.get("Date", ""))
            well = response.status_code < _SERVER_ERRORS and response.status_code not in _FAILED
        finally:
            self._repeats.ended(key, well=well)
        return response


class CountedCredential:
    """A credential that is not asked over and over while it gives nothing."""

    def __init__(self, credential: TokenCredential, repeats: Repeats) -> None:
        self._credential = credential
        self._repeats = repeats

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - as the SDK types it
        """Get a token."""
        return self._ask(scopes, lambda: self._credential.get_token(*scopes, **options))

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Get a token, and what is known of it."""
        known = cast("SupportsTokenInfo", self._credential)
        return self._ask(scopes, lambda: known.get_token_info(*scopes, options=options))

    def _ask(self, scopes: tuple[str, ...], ask: Callable[[], T]) -> T:
        key = self._repeats.begin(f"token {' '.join(scopes)}")
        well = False
        try:
            token = ask()
            well = True
        finally:
            self._repeats.ended(key, well=well)
        return token


def _named(method: str, url: str) -> tuple[str, bool]:
    """Name a call, the same for each page of a listing; say whether it asks for a page that is not the first."""
    parts = urlsplit(url)
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    rest = [pair for pair in query if pair[0].lower() not in {*_MARKERS, _PAGE_SIZE}]
    return f"{method} {parts.netloc}{parts.path} {rest}", any(name.lower() in _MARKERS for name, _ in query)
