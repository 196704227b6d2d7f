"""Whether anything changed in Blob under a prefix, in 16 bytes however many blobs there are. Pure.

Each blob's name and ETag are digested to 128 bits, and the digests summed modulo 2^128, so the order of a listing does
not matter. An ETag is another after each write, so equal digests of two listings mean that no blob was written, added
or deleted between them. It is kept with leases from one daemon to the next and so has no key: who makes digests collide
by the names of his own blobs only hides his own changes.
"""

from __future__ import annotations

from hashlib import blake2b

_BYTES = 16
_MODULUS = 1 << (8 * _BYTES)


class EtagDigest:
    """The digest of one listing."""

    def __init__(self) -> None:
        self._sum = 0
        self._known = True

    def add(self, name: str, etag: str) -> None:
        """Take a blob. One without an ETag may change unseen, so there is no digest then."""
        self._known = self._known and bool(etag)
        # An ETag has no NUL in it, so what is before the first one cannot be taken for a part of the name.
        text = f"{etag}\0{name}".encode("utf-8", "surrogatepass")
        self._sum += int.from_bytes(blake2b(text, digest_size=_BYTES).digest(), "big")

    def text(self) -> str:
        """Write it in 32 hexadecimal digits; "" if it is not known."""
        return f"{self._sum % _MODULUS:0{2 * _BYTES}x}" if self._known else ""
