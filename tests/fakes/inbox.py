"""An inbox in memory."""

from __future__ import annotations

from collections.abc import Iterator

from slurm_amlfs.wire import Request


class FakeInbox:
    """The Inbox port over a dict, in the order of arrival."""

    def __init__(self) -> None:
        self.waiting: dict[str, Request] = {}
        self._arrived = 0

    def drop(self, request: Request) -> str:
        """Drop a request as a hook does."""
        self._arrived += 1
        handle = f"{self._arrived:020d}"
        self.waiting[handle] = request
        return handle

    def take(self) -> Iterator[tuple[str, Request]]:
        """Claim what has arrived, oldest first; what is not done comes again."""
        yield from list(self.waiting.items())

    def done(self, handle: str) -> None:
        """Forget a request."""
        self.waiting.pop(handle, None)
