"""Azure's errors as ours, for ARM and Blob.

Kinds are told by HTTP status and error.code, never by message text. This module knows azure.core, no service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from slurm_amlfs.errors import AmlfsError, PermanentError, TemporaryError, ThrottledError

CONNECTION_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 30
LONGEST_RETRY_AFTER = timedelta(hours=1)
"""What is asked beyond this is a broken clock, not a wish (ARM's longest throttling window is an hour)."""

_SERVER_ERRORS = 500
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
"""An error.code is a word; for a body that is no error of Azure's, the SDK puts a whole text there."""
LET_IN_AGAIN = timedelta(seconds=30)
"""Who was not let in asks again after this: somebody has to mend it, and a role takes minutes to work."""
_NOT_LET_IN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@contextmanager
def translated(doing: str, spoiled: Callable[[], None]) -> Iterator[None]:
    """Turn azure.core's errors into ours.

    Args:
        doing: What was tried, for the message: "Azure refused to {doing}".
        spoiled: Is told when an answer came and makes no sense: it is no success.

    Raises:
        ThrottledError: 429.
        TemporaryError: 408, 409, 5xx, no connection, no answer in time, one that makes no sense. Also 401, 403 and a
            missing credential: an admin mends those while jobs wait (a role assignment takes up to five minutes to
            work), and a job that failed over one would be held until an operator releases it.
        PermanentError: any other status.
    """
    try:
        yield
    except HttpResponseError as error:
        if error.status_code is None or error.status_code < HTTPStatus.BAD_REQUEST:
            spoiled()
        raise from_response(error, doing) from error
    except (AzureError, ValueError, TypeError, AttributeError) as error:
        # The last three are how the SDK's models take an answer that is no JSON, or JSON of another shape.
        spoiled()
        raise _without_response(error, doing) from error


def from_response(error: HttpResponseError, doing: str) -> AmlfsError:
    """Map one error that has an HTTP status; one without is a connection that broke."""
    response = error.response
    if response is None or error.status_code is None:
        return _without_response(error, doing)
    status = error.status_code
    headers: Mapping[str, str] = getattr(response, "headers", {})
    code = _code(error, headers)
    correlation = headers.get("x-ms-correlation-request-id", "") or headers.get("x-ms-request-id", "")
    said = f"Azure refused to {doing} (HTTP {status}{' ' + code if code else ''})"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ThrottledError(
            f"Azure asks to slow down ({doing}); wait, it goes on by itself",
            retry_after=_retry_after(headers),
            correlation_id=correlation,
            code=code,
        )
    retry_after = _retry_after(headers)
    if status in _NOT_LET_IN:
        retry_after = max(retry_after, LET_IN_AGAIN)
        mend = "give the daemon's identity its roles on the file system and the storage account, it goes on by itself"
    elif status == HTTPStatus.CONFLICT:
        mend = "something else is under way there, it goes on by itself"
    elif status == HTTPStatus.REQUEST_TIMEOUT or status >= _SERVER_ERRORS or status < HTTPStatus.BAD_REQUEST:
        mend = "wait, it goes on by itself"
    else:
        return PermanentError(f"{said}; see error.code, and the configuration", correlation_id=correlation, code=code)
    return TemporaryError(f"{said}; {mend}", retry_after=retry_after, correlation_id=correlation, code=code)


def _without_response(error: Exception, doing: str) -> TemporaryError:
    if isinstance(error, ClientAuthenticationError):
        return TemporaryError(
            f"no Azure credential to {doing}; log the daemon's identity in, it goes on by itself",
            retry_after=LET_IN_AGAIN,
        )
    return TemporaryError(
        f"Azure gave no usable answer to {doing} ({type(error).__name__}); wait, it goes on by itself"
    )


def _code(error: HttpResponseError, headers: Mapping[str, str]) -> str:
    """Read error.code: Blob's header (a HEAD has no body), else ARM's body through the SDK."""
    code = headers.get("x-ms-error-code", "") or getattr(error.error, "code", "")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _retry_after(headers: Mapping[str, str]) -> timedelta:
    """Read Retry-After: seconds, or an HTTP date set against the answer's own Date, so that our clock plays no part."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        asked = timedelta(seconds=min(int(text), LONGEST_RETRY_AFTER.total_seconds()))
    else:
        try:
            sent = headers.get("Date")
            since = parsedate_to_datetime(sent) if sent else datetime.now(UTC)
            asked = parsedate_to_datetime(text) - since
        except (TypeError, ValueError):
            return timedelta(0)
    return min(max(asked, timedelta(0)), LONGEST_RETRY_AFTER)
