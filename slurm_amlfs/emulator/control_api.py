"""The control endpoint, /_emulator/..., for loopback only: set and clear faults, read the journal, change rates.

The bodies are the JSON forms of `faults.Fault`, `journal.Page` and `rates.Rates`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from slurm_amlfs.emulator.engine import Engine
from slurm_amlfs.emulator.faults import Fault, Faults, Name
from slurm_amlfs.emulator.journal import Action, Journal
from slurm_amlfs.emulator.rates import Rates

ROOT = "/_emulator"

Form = TypeVar("Form")


@dataclass(frozen=True, slots=True)
class RequestCount:
    """How often an operation was answered with a status."""

    operation: str
    status: int
    count: int


@dataclass(frozen=True, slots=True)
class JournalPage:
    """The journal as JSON has it."""

    requests: tuple[RequestCount, ...]
    actions: tuple[Action, ...]
    most_at_once: int


FAULT = TypeAdapter(Fault)
FAULTS = TypeAdapter(tuple[Fault, ...])
NAMES: TypeAdapter[tuple[Name, ...]] = TypeAdapter(tuple[Name, ...])
PAGE = TypeAdapter(JournalPage)
RATES = TypeAdapter(Rates)


class ControlApi:
    """The control endpoint's handlers."""

    def __init__(self, engine: Engine, faults: Faults, journal: Journal) -> None:
        self._engine = engine
        self._faults = faults
        self._journal = journal

    def routes(self) -> list[web.RouteDef]:
        """List the routes."""
        return [
            web.put(f"{ROOT}/faults", self._set),
            web.get(f"{ROOT}/faults", self._list),
            web.post(f"{ROOT}/faults/clear", self._clear),
            web.get(f"{ROOT}/journal", self._read),
            web.get(f"{ROOT}/rates", self._rates),
            web.put(f"{ROOT}/rates", self._set_rates),
        ]

    async def _set(self, request: web.Request) -> web.Response:
        local(request)
        self._faults.set(await _read_body(request, FAULT))
        return web.Response(status=204)

    async def _list(self, request: web.Request) -> web.Response:
        local(request)
        return _json(FAULTS.dump_json(self._faults.all()))

    async def _clear(self, request: web.Request) -> web.Response:
        local(request)
        names = await _read_body(request, NAMES)
        self._faults.clear(names)
        return web.Response(status=204)

    async def _read(self, request: web.Request) -> web.Response:
        local(request)
        page = self._journal.page()
        counts = tuple(RequestCount(*key, count) for key, count in page.requests.items())
        return _json(PAGE.dump_json(JournalPage(counts, page.actions, page.most_at_once)))

    async def _rates(self, request: web.Request) -> web.Response:
        local(request)
        return _json(RATES.dump_json(self._engine.rates()))

    async def _set_rates(self, request: web.Request) -> web.Response:
        local(request)
        self._engine.set_rates(await _read_body(request, RATES))
        return web.Response(status=204)


def local(request: web.Request) -> None:
    """Let only this machine in.

    Raises:
        web.HTTPForbidden: from elsewhere.
    """
    try:
        loopback = ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise web.HTTPForbidden(text="the emulator is controlled from its own machine only")


async def _read_body(request: web.Request, form: TypeAdapter[Form]) -> Form:
    try:
        return form.validate_json(await request.read())
    except ValidationError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
