"""Which blobs of which sizes there are, in 16 bytes for each: a million take about 20 MB, where their names take 200.

What is kept is a keyed digest of 128 bits. Of a million files without a blob, beside a million blobs, one is taken for
proved with a probability of 1e-26; with a random key nobody can prepare one. Pure; the caller brings the key.
"""

from __future__ import annotations

from hashlib import blake2b

_DIGEST_BYTES = 16
_BUCKET_BITS = 12
"""4,096 buckets: of a million digests each holds 4 kB, which are searched faster than Python makes a tuple."""


class Fingerprints:
    """A set of (name, size in bytes)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._buckets: dict[int, bytearray] = {}

    def add(self, name: str, size_bytes: int) -> None:
        """Put one in."""
        digest, bucket = self._digest(name, size_bytes)
        self._buckets.setdefault(bucket, bytearray()).extend(digest)

    def holds(self, name: str, size_bytes: int) -> bool:
        """Say whether it was put in."""
        digest, number = self._digest(name, size_bytes)
        bucket = self._buckets.get(number)
        if bucket is None:
            return False
        at = bucket.find(digest)
        while at >= 0 and at % _DIGEST_BYTES:
            at = bucket.find(digest, at + 1)
        return at >= 0

    def _digest(self, name: str, size_bytes: int) -> tuple[bytes, int]:
        text = f"{size_bytes} {name}".encode("utf-8", "surrogatepass")
        digest = blake2b(text, digest_size=_DIGEST_BYTES, key=self._key).digest()
        return digest, int.from_bytes(digest[:2], "big") >> (16 - _BUCKET_BITS)
