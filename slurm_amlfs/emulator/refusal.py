"""How ARM says no: an HTTP status, an error code, a message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conflict:
    """The answer to a second action while the slot is taken.

    "Attempting to start another import job returns an error" (blob-integration.md); neither the status nor the code
    of that error is recorded anywhere, so both can be configured.
    """

    status: int = 409
    code: str = "Conflict"


class RefusalError(Exception):
    """A request that is answered with {"error": {"code", "message"}}."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers: dict[str, str] = {}


def not_found(kind: str, name: str, group: str) -> RefusalError:
    """Say that a resource is not there, as ARM does for every provider."""
    return RefusalError(
        404,
        "ResourceNotFound",
        f"The Resource 'Microsoft.StorageCache/amlFilesystems/{kind}/{name}' under resource group '{group}' was not "
        "found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )
