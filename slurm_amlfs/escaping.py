"""How a text is written as the value of one line in inbox and board files, whatever bytes it holds. Pure."""

from __future__ import annotations

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def escape(text: str) -> str:
    """Encode a value for one line."""
    return "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}"  # noqa: PLR2004 - printable ASCII, %
        for byte in text.encode("utf-8", "surrogateescape")
    )


def unescape(value: str) -> str:
    """Decode a value. A `%` that is not followed by two hex digits stands for itself."""
    head, *rest = value.split("%")
    out = bytearray(head.encode("utf-8", "surrogateescape"))
    for part in rest:
        if len(part) >= 2 and _HEX_DIGITS.issuperset(part[:2]):  # noqa: PLR2004 - %XX
            out.append(int(part[:2], 16))
            out += part[2:].encode("utf-8", "surrogateescape")
        else:
            out += b"%" + part.encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")
