"""The one tree of errors.

    AmlfsError
    ├── UserError           the asker has to change something; the text says what and how
    ├── TemporaryError      waiting or trying again can put it right; carries `retry_after`
    │   └── ThrottledError  the other side asked us to slow down
    ├── PermanentError      trying again the same way cannot help; an operator has to look
    ├── FencedError         another daemon has taken our place: do nothing more, and end
    └── InvariantError      one of our own promises is broken: stop, do not guess

Each message is one sentence that a user or an admin can act on. Adapters raise these and nothing of the libraries
below them; the library's error is chained with `from`. Kinds are told by HTTP status and `error.code`, never by text.
"""

from __future__ import annotations

from datetime import timedelta


class AmlfsError(Exception):
    """Root of every error that this package raises on purpose.

    `correlation_id` is Azure's x-ms-correlation-request-id where the failure came from Azure, else "".
    `code` is Azure's error.code, else "".
    """

    def __init__(self, message: str, *, correlation_id: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.correlation_id = correlation_id
        self.code = code


class UserError(AmlfsError):
    """The asker has to change what was asked."""


class TemporaryError(AmlfsError):
    """Waiting can put it right. `retry_after` is the least wait that the other side asked for, zero if none."""

    def __init__(
        self, message: str, *, retry_after: timedelta = timedelta(0), correlation_id: str = "", code: str = ""
    ) -> None:
        super().__init__(message, correlation_id=correlation_id, code=code)
        self.retry_after = retry_after


class ThrottledError(TemporaryError):
    """The other side asked us to slow down (HTTP 429), or our own retry budget for this hour is used up."""


class PermanentError(AmlfsError):
    """Trying again the same way cannot help."""


class FencedError(AmlfsError):
    """Another daemon acts on the state directory now."""


class InvariantError(AmlfsError):
    """One of our own promises is broken."""
