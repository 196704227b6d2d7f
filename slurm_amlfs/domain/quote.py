"""Quote a user's text in a message, so that no text of a user's changes the shape of a line.

etc/amlfs_text.lua does the same, byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_BYTES = 60
"""How much of a user's text a message repeats; enough to recognise it."""

LONGEST_LIST = 3
"""How many names a message lists before it only counts them."""


def quote(text: str) -> str:
    r"""Put text in double quotes; what is not printable ASCII becomes \xHH; what is longer than 60 bytes is cut."""
    data = text.encode("utf-8", "surrogateescape")
    inner = "".join(_escaped(byte) for byte in data[:LONGEST_BYTES])
    return f'"{inner}"' + ("..." if len(data) > LONGEST_BYTES else "")


def quote_list(texts: Sequence[str]) -> str:
    """Quote the first three and count the others: '"a", "b", "c" and 2 more'."""
    shown = ", ".join(quote(text) for text in texts[:LONGEST_LIST])
    return shown + (f" and {len(texts) - LONGEST_LIST} more" if len(texts) > LONGEST_LIST else "")


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte <= 0x7E else f"\\x{byte:02x}"  # noqa: PLR2004 - printable ASCII
