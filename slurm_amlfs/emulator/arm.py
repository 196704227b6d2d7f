"""ARM over HTTP: headers, throttling, faults of the connection. What is answered is decided in `answers.py`.

Headers are those of the recorded Azure PowerShell traffic.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

from slurm_amlfs.emulator import bodies, checks
from slurm_amlfs.emulator.altered import altered
from slurm_amlfs.emulator.answers import Answer, Answers, Request
from slurm_amlfs.emulator.faults import Faults, Name
from slurm_amlfs.emulator.journal import Journal
from slurm_amlfs.emulator.refusal import Conflict, RefusalError
from slurm_amlfs.emulator.routes import UNKNOWN, Target, route
from slurm_amlfs.emulator.throttle import Throttle

ALWAYS = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}

_CODES = {401: "ExpiredAuthenticationToken", 403: "AuthorizationFailed", 503: "ServerTimeout"}
"""error.code by status, where it is not that of an internal error (recorded, and ARM's own pages on errors)."""

CUT = 0
"""The journal's status of a request whose connection was cut."""


class Arm:
    """The HTTP side of ARM."""

    def __init__(
        self, answers: Answers, faults: Faults, journal: Journal, throttle: Throttle, conflict: Conflict
    ) -> None:
        self._answers = answers
        self._faults = faults
        self._journal = journal
        self._throttle = throttle
        self._conflict = conflict

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        target = route(request.method, request.path)
        if self._faults.take(Name.DROP_BEFORE, target.operation):
            return self._cut(request, target)
        slow = self._faults.take(Name.SLOW, target.operation)
        if slow:
            await asyncio.sleep(slow.seconds)
        body = await request.read()
        try:
            self._disturb(request.method, target)
            understood = self._understand(request, target, body)
            answer = await asyncio.to_thread(self._answers.answer, understood)
        except RefusalError as refusal:
            answer = Answer(refusal.status, bodies.error(refusal.code, refusal.message), refusal.headers)
        if self._faults.take(Name.DROP_AFTER, target.operation):
            return self._cut(request, target)
        self._journal.request(target.operation, answer.status)
        headers = self._headers(request, target, answer)
        if fault := self._faults.take(Name.ALTER, target.operation):
            return web.json_response(altered(answer.body, fault.message), status=answer.status, headers=headers)
        if answer.body is None:
            return web.Response(status=answer.status, headers=headers)
        return web.json_response(answer.body, status=answer.status, headers=headers)

    def _disturb(self, method: str, target: Target) -> None:
        """Refuse what a fault, or ARM's own throttling, refuses.

        Raises:
            RefusalError: it is refused.
        """
        operation = target.operation
        fault = self._faults.take(Name.ERROR, operation)
        if fault:
            raise RefusalError(
                fault.status,
                _CODES.get(fault.status, "InternalServerError"),
                fault.message or "Encountered internal server error.",
            )
        fault = self._faults.take(Name.THROTTLE, operation)
        if fault:
            raise throttled(fault.retry_after, self._now() if fault.message == "date" else None)
        fault = self._faults.take(Name.REFUSE, operation)
        if fault:
            message = fault.message or "Only one import or export action can run at a time."
            raise RefusalError(self._conflict.status, self._conflict.code, message)
        seconds = self._throttle.draw(method)
        if seconds:
            raise throttled(seconds)

    def _understand(self, request: web.Request, target: Target, body: bytes) -> Request:
        if target is UNKNOWN:
            raise RefusalError(
                404, "InvalidResourceType", f"The path {request.path!r} is none of the emulator's for {request.method}."
            )
        version = checks.api_version(request.query.get("api-version"))
        base = f"{request.scheme}://{request.host}"
        return Request(target, version, base, request.path, request.query, checks.parsed(body))

    def _headers(self, request: web.Request, target: Target, answer: Answer) -> dict[str, str]:
        correlation = request.headers.get("x-ms-correlation-request-id") or str(uuid.uuid4())
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = ALWAYS | self._throttle.headers(request.method) | answer.headers
        headers["Date"] = format_datetime(self._now(), usegmt=True)
        headers["x-ms-request-id"] = answer.operation_id or str(uuid.uuid4())
        headers["x-ms-correlation-request-id"] = correlation
        headers["x-ms-routing-request-id"] = f"EMULATOR:{moment}:{correlation}"
        if target.operation == "ascOperations.get":
            headers |= self._throttle.poll_header()
        return headers

    def _now(self) -> datetime:
        """Read the service's clock."""
        fault = self._faults.peek(Name.CLOCK, "*")
        return datetime.now(UTC) + timedelta(seconds=fault.seconds if fault else 0.0)

    def _cut(self, request: web.Request, target: Target) -> web.StreamResponse:
        self._journal.request(target.operation, CUT)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def throttled(retry_after: int | None, now: datetime | None = None) -> RefusalError:
    """Say 429, with Retry-After when it is known (request-limits-and-throttling); as a date, by the clock given."""
    refusal = RefusalError(429, "TooManyRequests", "The request is being throttled.")
    if retry_after is not None and now is not None:
        refusal.headers["Retry-After"] = format_datetime(now + timedelta(seconds=retry_after), usegmt=True)
    elif retry_after is not None:
        refusal.headers["Retry-After"] = str(retry_after)
    return refusal
