"""An HTTP server that gives the answers a test wrote down, in their order, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Status 0 breaks the connection off. A body that is no text is written as JSON."""

    status: int
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: "PUT /path?query", headers, and the body as JSON if it is any."""

    line: str
    headers: Mapping[str, str]
    body: Any


class ScriptedServer(ThreadingHTTPServer):
    """Give `answers` one after the other; a request too many is answered 501."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def lines(self) -> list[str]:
        """What was asked, without query and without what all paths begin with."""
        lines = (asked.line.partition("?")[0] for asked in self.asked)
        return [line.replace(_ROOT, "") for line in lines]


_ROOT = (
    "/subscriptions/0b2d2d5c-0000-4000-8000-000000000001/resourceGroups/hpc"
    "/providers/Microsoft.StorageCache/amlFilesystems"
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline()
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        text = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        body = json.loads(text) if text.startswith("{") else text
        self.server.asked.append(Asked(f"{self.command} {self.path}", dict(self.headers), body))
        answer = self.server.answers.pop(0) if self.server.answers else Answer(501)
        if answer.status == 0:
            self.close_connection = True
            return
        data = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
        self.send_response_only(answer.status)
        kind = "application/xml" if isinstance(answer.body, str) else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is BaseHTTPRequestHandler's
        """Stay silent."""


@contextmanager
def serving() -> Iterator[ScriptedServer]:
    """Run a server until the block ends."""
    with ScriptedServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
