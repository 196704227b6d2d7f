"""Which addresses may be spoken to without TLS: this machine's own, where the emulator and Azurite are."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def on_loopback(url: str) -> bool:
    """Say whether a URL's host is this machine itself. A URL that cannot be read is not."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_safe(url: str) -> bool:
    """Say whether data may go there: by https to anybody, by http to this machine only."""
    scheme = url.partition("://")[0].lower()
    return scheme == "https" or (scheme == "http" and on_loopback(url))
