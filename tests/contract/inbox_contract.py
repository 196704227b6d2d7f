"""What every Inbox keeps. A subclass gives the fixtures `inbox` and `drop`, which drops a request as a hook does."""

from __future__ import annotations

from collections.abc import Callable

from slurm_amlfs.application.ports import Inbox
from slurm_amlfs.wire import Request, RequestKind

Drop = Callable[[Request], object]


class InboxContract:
    """The promises of the Inbox port."""

    def test_empty(self, inbox: Inbox) -> None:
        """Nothing comes where nothing was dropped."""
        assert list(inbox.take()) == []

    def test_oldest_first(self, inbox: Inbox, drop: Drop) -> None:
        """Requests come in the order they were dropped, whole."""
        requests = [
            Request(
                RequestKind.SETUP, 7, "", 61001, 61001, directives=("stage_in prefix=/a\n%", "stage_out prefix=/é")
            ),
            Request(RequestKind.DATA_IN, 7, "1-2"),
            Request(RequestKind.TEARDOWN, 6, hurry=True, exit_code=3),
        ]
        for request in requests:
            drop(request)
        taken = [request for _, request in inbox.take()]
        assert [(it.kind, it.job_id, it.token, it.directives, it.hurry) for it in taken] == [
            (it.kind, it.job_id, it.token, it.directives, it.hurry) for it in requests
        ]

    def test_comes_again_until_done(self, inbox: Inbox, drop: Drop) -> None:
        """What was claimed and not finished is claimed again, before what came later."""
        drop(Request(RequestKind.DATA_IN, 7))
        [(first, _)] = inbox.take()
        drop(Request(RequestKind.DATA_IN, 8))
        again = list(inbox.take())
        assert [(handle == first, request.job_id) for handle, request in again] == [(True, 7), (False, 8)]
        for handle, _ in again:
            inbox.done(handle)
        inbox.done(first)
        assert list(inbox.take()) == []
