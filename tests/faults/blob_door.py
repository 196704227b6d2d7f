"""A door between the daemon and Azurite that can be slammed: connections are cut, those under way and the next ones."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

_PIECE_BYTES = 1 << 16


class BlobDoor:
    """Passes connections on to a port of this machine, from one of its own (`port`)."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._refused = 0
        threading.Thread(target=self._serve, name="blob-door", daemon=True).start()

    def slam(self, times: int) -> None:
        """Cut what is under way, and the next so many connections as soon as they come."""
        with self._lock:
            self._refused = times
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Pass nobody any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.slam(0)

    def _serve(self) -> None:
        while True:
            try:
                asker, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                refused, self._refused = self._refused > 0, max(self._refused - 1, 0)
            if refused:
                asker.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._behind))
            except OSError:
                asker.close()
                continue
            with self._lock:
                self._open |= {asker, server}
            for one, other in ((asker, server), (server, asker)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(_PIECE_BYTES):
                other.sendall(piece)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(one)
        one.close()
