"""Ports that are free on loopback."""

from __future__ import annotations

import contextlib
import secrets
import socket

FIRST, LAST = 10_000, 32_000
"""Below the ports that Linux gives to outgoing connections (32768 on), or one of those could take a service's port
while it restarts."""


class Ports:
    """Takes free ports and keeps them until they are let go, right before their services start."""

    def __init__(self) -> None:
        self._kept: list[socket.socket] = []

    def take(self) -> int:
        """Take a port that nobody has on 127.0.0.1."""
        while True:
            port = FIRST + secrets.randbelow(LAST - FIRST)
            mine = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                mine.bind(("127.0.0.1", port))
            except OSError:
                mine.close()
                continue
            self._kept.append(mine)
            return port

    def let_go(self) -> None:
        """Give all ports to those who were told their numbers."""
        for mine in self._kept:
            mine.close()
        self._kept.clear()


def answers(port: int) -> bool:
    """Say whether somebody listens on a port of 127.0.0.1."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
