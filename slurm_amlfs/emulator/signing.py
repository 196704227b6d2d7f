"""The URLs of operations, with their four long query arguments t, c, s and h, which must all come back.

Recorded: 3.3 kB, most of it a certificate (c); t is a time in .NET ticks. Here c, s and h are derived
from a secret, look alike, and are checked. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

CERTIFICATE_BYTES = 2214
SIGNATURE_BYTES = 256
HASH_BYTES = 32
TICKS_PER_SECOND = 10_000_000
YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)


def ticks(moment: datetime) -> int:
    """Count 100 ns since the year 1, as .NET does."""
    since = moment - YEAR_ONE
    return (since.days * 86_400 + since.seconds) * TICKS_PER_SECOND + since.microseconds * 10


def signed(secret: bytes, path: str, api_version: str, moment: datetime) -> dict[str, str]:
    """Give the query arguments of an operation's URL, api-version first."""
    args = {"api-version": api_version, "t": str(ticks(moment))}
    args["c"] = "MII" + _long(secret, "certificate", CERTIFICATE_BYTES)
    args["s"] = _long(secret, f"{path}\n{args['t']}", SIGNATURE_BYTES)
    args["h"] = _long(secret, f"{path}\n{args['t']}\n{args['s']}", HASH_BYTES)
    return args


def genuine(secret: bytes, path: str, query: Mapping[str, str]) -> bool:
    """Say whether t, c, s and h all came back unchanged."""
    try:
        expected = {
            "c": "MII" + _long(secret, "certificate", CERTIFICATE_BYTES),
            "s": _long(secret, f"{path}\n{query['t']}", SIGNATURE_BYTES),
            "h": _long(secret, f"{path}\n{query['t']}\n{query['s']}", HASH_BYTES),
        }
        return all(hmac.compare_digest(expected[key], query[key]) for key in expected)
    except (KeyError, TypeError):
        return False


def address(base: str, path: str, args: Mapping[str, str]) -> str:
    """Put a URL together."""
    return f"{base}{path}?{urlencode(args)}"


def _long(secret: bytes, text: str, size: int) -> str:
    digest = hashlib.shake_256(secret + b"\0" + text.encode()).digest(size)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
